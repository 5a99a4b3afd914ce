"""What the page is put together from: sections of charts and tables."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cotrain.data.colors import Color
from cotrain.report import charts

if TYPE_CHECKING:
    from bokeh.plotting import figure

UNKNOWN = "–"


class Cell(NamedTuple):
    text: str
    share: float | None = None  # in [0, 1]: how strongly the cell is coloured


class Table(NamedTuple):
    caption: str
    head: list[str]
    rows: list[list[Cell]]  # the first cell of a row is its heading
    folded: bool = False


class Chart(NamedTuple):
    name: str
    text: str  # what it shows, for readers who do not see it
    height: int  # pixels
    json: str

    @classmethod
    def of(cls, name: str, text: str, chart: "figure") -> "Chart":
        return cls(name, text, chart.height, charts.packed(chart))


class Section(NamedTuple):
    name: str
    title: str
    text: str
    charts: list[Chart]
    tables: list[Table]


def css(color: Color) -> str:
    """sRGB as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def is_unknown(value: float | None) -> bool:
    return value is None or np.isnan(value)


def in_percent(value: float | None) -> float | None:
    """A share as percent for a chart; None if it is not known."""
    if is_unknown(value):
        return None
    return 100 * value


def percent(value: float | None) -> Cell:
    """A share as percent."""
    if is_unknown(value):
        return Cell(UNKNOWN)
    return Cell(f"{100 * value:.1f}")


def heat(value: float | None) -> Cell:
    """A share as percent, in a cell that is coloured the more strongly the larger it is."""
    if is_unknown(value):
        return Cell(UNKNOWN)
    return Cell(f"{100 * value:.1f}", share=float(np.clip(value, 0, 1)))


def class_table(
    caption: str,
    classes: Sequence[str],
    shares: dict[str, Sequence[float | None]],
    names: dict[str, str],
    folded: bool = False,
) -> Table:
    """A table with a row for each class and a column for each round; `shares`: round → the share of each class."""
    head = ["Class"]
    for round_name in shares:
        head.append(names[round_name])
    rows = []
    for number, class_name in enumerate(classes):
        row = [Cell(class_name)]
        for of_round in shares.values():
            row.append(heat(of_round[number]))
        rows.append(row)
    return Table(caption, head, rows, folded)
