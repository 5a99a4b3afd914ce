"""Figures of a run as PNG files: predictions side by side, scores over the rounds, the spatial prior."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from cotrain.data.colors import Color, colorize, default_colors, overlay  # noqa: F401  (default_colors: for others)
from cotrain.procedure import names

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

COLUMN_WIDTH = 2.6  # inches
PANELS = {  # of `progress`: column of the summary → title
    "miou": "mIoU on the validation set",
    "coverage": "pixels with a pseudo-label",
    "accuracy": "pseudo-labels that are right",
}
LEVEL_STYLES = (":", "-.", "--")


def pyplot() -> ModuleType:
    """Matplotlib; importing it takes half a second, so only what draws a figure does."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def save(figure: "Figure", path: Path) -> None:
    """Writes a figure as PNG, whatever the path ends in, and frees it."""
    figure.savefig(path, dpi=110, format="png")
    pyplot().close(figure)


def legend_patches(colors: dict[str, Color]) -> "list[Patch]":
    """Coloured squares for a legend of classes."""
    from matplotlib.patches import Patch

    patches = []
    for name, color in colors.items():
        patches.append(Patch(color=np.array(color) / 255, label=name))
    return patches


def overview(path: Path, rows: list[list[np.ndarray]], titles: Sequence[str], colors: dict[str, Color]) -> None:
    """Rows of pictures (H, W, 3) uint8, a title above each column, with a legend of classes."""
    height, width = rows[0][0].shape[:2]
    row_height = COLUMN_WIDTH * height / width
    figure, axes = pyplot().subplots(
        len(rows),
        len(titles),
        figsize=(COLUMN_WIDTH * len(titles), row_height * len(rows) + 0.9),
        squeeze=False,
        layout="constrained",
    )
    for row_axes, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(row_axes, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.axis("off")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    patches = legend_patches(colors)
    figure.legend(
        handles=patches,
        loc="outside lower center",
        ncols=min(10, len(patches)),
        fontsize=8,
        frameon=False,
    )
    save(figure, path)


def prior(path: Path, shares: np.ndarray, classes: Sequence[str]) -> None:
    """Heat map of each class's spatial prior (C, H, W) in [0, 1], scaled to its own maximum, which its title states."""
    columns = min(4, len(classes))
    lines = -(-len(classes) // columns)
    height, width = shares.shape[1:]
    row_height = COLUMN_WIDTH * height / width + 0.3
    figure, axes = pyplot().subplots(
        lines,
        columns,
        figsize=(COLUMN_WIDTH * columns, lines * row_height),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, share, name in zip(axes.flat, shares, classes, strict=False):
        axis.imshow(share, vmin=0)
        axis.set_title(f"{name} (up to {share.max():.0%})", fontsize=9)
    save(figure, path)


def progress(path: Path, summary: "pd.DataFrame", series: dict[str, Sequence[str]]) -> None:
    """mIoU, pseudo-label coverage and accuracy (percent) over the rounds of each curve of `series`.

    `summary` is summary.csv indexed by round. Models without pseudo-labels are horizontal lines.
    """
    figure, axes = pyplot().subplots(1, len(PANELS), figsize=(12, 3.6), layout="constrained")
    starts = _starts(series)
    for axis, column in zip(axes, PANELS, strict=True):
        _draw_curves(axis, summary[column], series, starts)
    for name, style in zip(names.LEVELS, LEVEL_STYLES, strict=True):
        if name in summary.index:
            level = 100 * summary["miou"][name]
            axes[0].axhline(level, color="gray", linestyle=style, label=summary["name"][name])
    for axis, title in zip(axes, PANELS.values(), strict=True):
        axis.set(title=title, ylabel="%")
    axes[0].legend(fontsize=8)
    save(figure, path)


def _draw_curves(axis: "Axes", values: "pd.Series", series: dict[str, Sequence[str]], starts: dict[str, int]) -> None:
    """A curve for each of `series` through its `values` (shares by round), from its start on the axis on."""
    ticks = {}
    for name, round_names in series.items():
        places = range(starts[name], starts[name] + len(round_names))
        for place, round_name in zip(places, round_names, strict=True):
            ticks[place] = names.place_of(round_name).tick
        axis.plot(list(places), values.reindex(round_names) * 100, marker="o", label=name)
    axis.set_xticks(list(ticks), list(ticks.values()), rotation=45, ha="right", fontsize=8)
    axis.grid(alpha=0.3)


def _starts(series: dict[str, Sequence[str]]) -> dict[str, int]:
    """First place of each curve on the common axis: phases follow each other, curves of one phase run side by side."""
    phase_starts: dict[str, int] = {}
    starts = {}
    end = 0
    for name, round_names in series.items():
        phase = names.place_of(round_names[0]).phase
        if phase not in phase_starts:
            phase_starts[phase] = end
            end += len(round_names)
        starts[name] = phase_starts[phase]
    return starts
