"""The pictures a person judges an adaptation by."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from cotrain.data.colors import Color, colorize, default_colors  # noqa: F401  (default_colors: for others)

if TYPE_CHECKING:
    import pandas as pd


def _pyplot() -> ModuleType:
    """Imported where something is drawn: it takes half a second."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def overview(path: Path, rows: list[list[np.ndarray]], titles: Sequence[str], colors: dict[str, Color]) -> None:
    """Rows of pictures (H, W, 3) uint8 under common titles, with a legend of classes."""
    plt = _pyplot()
    height, width = rows[0][0].shape[:2]
    shape = (2.6 * len(titles), 2.6 * height / width * len(rows) + 0.9)
    figure, axes = plt.subplots(len(rows), len(titles), figsize=shape, squeeze=False, layout="constrained")
    for line, pictures in zip(axes, rows, strict=True):
        for axis, picture in zip(line, pictures, strict=True):
            axis.imshow(picture, interpolation="nearest")
            axis.axis("off")
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    patches = _legend(colors)
    figure.legend(handles=patches, loc="outside lower center", ncols=min(10, len(patches)), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def overlay(image: np.ndarray, label: np.ndarray, colors: Sequence[Color], opacity: float = 0.5) -> np.ndarray:
    """A photograph (H, W, 3) uint8 with the colours of its class map (H, W) over it; black over void."""
    return np.rint(image + opacity * (colorize(label, colors) - image.astype(float))).astype(np.uint8)


def _legend(colors: dict[str, Color]) -> list:
    from matplotlib.patches import Patch

    return [Patch(color=np.array(color) / 255, label=name) for name, color in colors.items()]


def contact_sheet(path: Path, rows: dict[str, list[np.ndarray]], colors: dict[str, Color]) -> None:
    """Titled groups of small pictures (H, W, 3) uint8, of any widths, with a legend of classes."""
    plt = _pyplot()
    rows = {title: pictures for title, pictures in rows.items() if pictures}
    columns = max([1, *(min(6, len(pictures)) for pictures in rows.values())])
    lines = []
    for title, pictures in rows.items():
        starts = range(0, len(pictures), columns)
        lines += [(title if i == 0 else "", pictures[i : i + columns]) for i in starts]
    shape = (2.6 * columns, 1.6 * len(lines) + 0.3 * -(-len(colors) // 10) + 0.6)
    figure, axes = plt.subplots(max(1, len(lines)), columns, figsize=shape, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for line, (title, pictures) in zip(axes, lines, strict=False):
        for axis, picture in zip(line, pictures, strict=False):
            axis.imshow(picture, interpolation="nearest")
        line[0].set_title(title, fontsize=9, loc="left")
    patches = _legend(colors)
    if patches:
        place = {"loc": "outside lower center", "ncols": min(columns * 2, len(patches))}
        figure.legend(handles=patches, fontsize=7, frameon=False, **place)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def prior(path: Path, shares: np.ndarray, classes: Sequence[str]) -> None:
    """Heat map of each class's spatial prior (C, H, W) in [0, 1], each up to its own maximum, which its title names."""
    plt = _pyplot()
    columns = min(4, len(classes))
    lines = -(-len(classes) // columns)
    height, width = shares.shape[1:]
    shape = (2.6 * columns, lines * (2.6 * height / width + 0.3))
    figure, axes = plt.subplots(lines, columns, figsize=shape, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, share, name in zip(axes.flat, shares, classes, strict=False):
        axis.imshow(share, vmin=0)
        axis.set_title(f"{name} (up to {share.max():.0%})", fontsize=9)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def progress(path: Path, summary: "pd.DataFrame", series: dict[str, Sequence[str]]) -> None:
    """mIoU, pseudo-label coverage and accuracy (percent) over the rounds of each curve of `series`.

    `summary` is summary.csv indexed by round. Source only and upper bound are drawn as lines.
    """
    plt = _pyplot()
    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for axis, column in zip(axes, ("miou", "coverage", "accuracy"), strict=True):
        ticks = {}
        for name, rounds in series.items():
            values = summary[column].reindex(rounds) * 100
            places = list(range(_start(name, series), _start(name, series) + len(rounds)))
            ticks |= {p: "/".join(r.split("/")[:2]) for p, r in zip(places, rounds, strict=True)}
            axis.plot(places, values, marker="o", label=name)
        axis.set_xticks(list(ticks), list(ticks.values()), rotation=45, ha="right", fontsize=8)
        axis.grid(alpha=0.3)
    for name, style in (("source_only", ":"), ("source", "-."), ("upper_bound", "--")):
        if name in summary.index:
            axes[0].axhline(100 * summary["miou"][name], color="gray", linestyle=style, label=summary["name"][name])
    titles = ("mIoU on the validation set", "pixels with a pseudo-label", "pseudo-labels that are right")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, ylabel="%")
    axes[0].legend(fontsize=8)
    figure.savefig(path, dpi=110, format="png")
    plt.close(figure)


def _start(name: str, series: dict[str, Sequence[str]]) -> int:
    """First place of a curve on the common axis: curves with the same prefix of rounds run side by side."""
    start, seen = 0, {}
    for rounds in series.values():
        seen.setdefault(rounds[0].split("/")[0], len(rounds))
    for prefix, length in seen.items():
        if series[name][0].split("/")[0] == prefix:
            return start
        start += length
    return start
