"""Contact sheets: small pictures of image sets, with their labels over them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cotrain.data.colors import Color, overlay
from cotrain.data.images import read_image
from cotrain.data.labels import read_label
from cotrain.report.figures import COLUMN_WIDTH, legend_patches, pyplot, save
from cotrain.settings.datasets import Coding

TILE_HEIGHT = 160  # pixels
MAX_COLUMNS = 6


class Line(NamedTuple):
    """A row of the sheet."""

    title: str  # "" if the row continues the one above
    tiles: list[np.ndarray]


def tile_size(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width on the sheet of an image of `size` (height, width)."""
    height, width = size
    return TILE_HEIGHT, max(1, round(TILE_HEIGHT * width / height))


def photograph_tile(image: Path, size: tuple[int, int]) -> np.ndarray:
    """An image of `size` as a tile (h, w, 3) uint8."""
    return read_image(image, tile_size(size))


def labelled_tile(
    image: Path, label: Path, size: tuple[int, int], coding: Coding, colors: Sequence[Color]
) -> np.ndarray:
    """An image of `size` with the colours of its classes over it, as a tile (h, w, 3) uint8."""
    classes = read_label(label, coding, tile_size(size))
    return overlay(photograph_tile(image, size), classes, colors)


def contact_sheet(path: Path, tiles: dict[str, list[np.ndarray]], colors: dict[str, Color]) -> None:
    """Writes a PNG of titled groups of tiles, of any widths, with a legend of classes."""
    columns = max([1, *(min(MAX_COLUMNS, len(group)) for group in tiles.values())])
    lines = _lines(tiles, columns)
    legend_height = 0.3 * -(-len(colors) // 10)
    figure, axes = pyplot().subplots(
        max(1, len(lines)),
        columns,
        figsize=(COLUMN_WIDTH * columns, 1.6 * len(lines) + legend_height + 0.6),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.axis("off")
    for row_axes, line in zip(axes, lines, strict=False):
        row_axes[0].set_title(line.title, fontsize=9, loc="left")
        for axis, tile in zip(row_axes, line.tiles, strict=False):
            axis.imshow(tile, interpolation="nearest")
    if colors:
        figure.legend(
            handles=legend_patches(colors),
            fontsize=7,
            frameon=False,
            loc="outside lower center",
            ncols=min(columns * 2, len(colors)),
        )
    save(figure, path)


def _lines(tiles: dict[str, list[np.ndarray]], columns: int) -> list[Line]:
    """The groups broken into rows of the sheet."""
    lines = []
    for title, group in tiles.items():
        for start in range(0, len(group), columns):
            title_of_line = title if start == 0 else ""
            lines.append(Line(title_of_line, group[start : start + columns]))
    return lines
