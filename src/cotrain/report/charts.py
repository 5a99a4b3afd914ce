"""Charts of the report: JSON that bokeh's JavaScript draws once a chart comes into view."""

import json
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource, LegendItem
    from bokeh.plotting import figure

COLORS = ("#0072b2", "#d55e00", "#007a5a", "#a3457f", "#56b4e9", "#8a6d00", "#333333")  # Okabe and Ito's, darker
LEVEL_STYLES = ("dotted", "dotdash", "dashed")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "plus", "cross")
OUTLINE = "#333333"
TEXT_COLOR = "#222222"
BAND = 0.8  # share of a name's room on the axis that its bars take

Values = Sequence[float | None]  # percent, counts or seconds; None: unknown


def library() -> str:
    """The JavaScript that draws what `packed` returns."""
    from bokeh.resources import Resources

    resources = Resources(mode="inline", components=["bokeh"])
    return "\n".join(resources.js_raw)


def packed(chart: "figure") -> str:
    """A chart as JSON text for `Bokeh.embed.embed_item`, safe to stand in a script element."""
    from bokeh.embed import json_item

    text = json.dumps(json_item(chart), separators=(",", ":"))
    return text.replace("<", "\\u003c")


def curves(
    series: dict[str, dict[str, float | None]],
    places: list[str],
    axis: str,
    levels: dict[str, float] | None = None,
    colors: Sequence[str] = COLORS,
    lines: Sequence[Sequence[str]] | None = None,
) -> "figure":
    """Lines with a mark at each place.

    series: name → place → value. levels: name → value of a horizontal line. lines: the places that each line of a
    series joins; by default one line joins all.
    """
    chart = _figure(axis, x_range=places or ["none"], height=340)
    items = []
    for number, (name, values) in enumerate(series.items()):
        color = colors[number % len(colors)]
        marker = MARKERS[number % len(MARKERS)]
        items.append(_curve(chart, name, values, lines or [places], color, marker))
    for style, (name, value) in zip(LEVEL_STYLES, (levels or {}).items(), strict=False):
        points = _points(name, dict.fromkeys(places, value), places)
        items.append(_level(chart, name, points, style))
    chart.xaxis.major_label_orientation = 0.7
    return _with_legend(chart, items, [("", "@name"), ("", "@place"), (axis, "@value{0.0}")])


def _curve(
    chart: "figure",
    name: str,
    values: dict[str, float | None],
    lines: Sequence[Sequence[str]],
    color: str,
    marker: str,
) -> "LegendItem":
    """Draws the lines of a series, with a mark at each point; returns its entry of the legend."""
    renderers = []
    for line in lines:
        points = _points(name, values, line)
        renderers.append(chart.line("place", "value", source=points, color=color, line_width=2))
        marks = chart.scatter(
            "place",
            "value",
            source=points,
            size=9,
            color=color,
            marker=marker,
            line_color=OUTLINE,
        )
        renderers.append(marks)
    return _models().LegendItem(label=name, renderers=renderers)


def _level(chart: "figure", name: str, points: "ColumnDataSource", style: str) -> "LegendItem":
    """Draws a horizontal line; returns its entry of the legend."""
    line = chart.line("place", "value", source=points, color="#444444", line_dash=style, line_width=2)
    return _models().LegendItem(label=name, renderers=[line])


def _points(name: str, values: dict[str, float | None], line: Sequence[str]) -> "ColumnDataSource":
    """The known values at the places of a line."""
    known_places = []
    known_values = []
    for place in line:
        value = values.get(place)
        if value is not None:
            known_places.append(place)
            known_values.append(value)
    return _models().ColumnDataSource(
        {
            "place": known_places,
            "value": known_values,
            "name": [name] * len(known_places),
        }
    )


def bars(series: dict[str, Values], names: list[str], axis: str) -> "figure":
    """Horizontal bars at each of `names`, one of each series side by side."""
    names = names or ["none"]
    chart = _bar_chart(names, axis, row_height=10 + 12 * len(series))
    starts = [0.0] * len(names)
    items = []
    for number, (name, values) in enumerate(series.items()):
        thickness = BAND / len(series)
        offset = BAND * ((len(series) - 1) / 2 - number) / len(series)
        color = COLORS[number % len(COLORS)]
        source = _bar_source(name, names, starts, _zero_for_unknown(values), offset)
        items.append(_bar_item(chart, name, source, color, thickness))
    return _bar_legend(chart, items, axis)


def stacked_bars(series: dict[str, Values], names: list[str], axis: str, colors: Sequence[str]) -> "figure":
    """One horizontal bar at each of `names`, in which the series follow each other in `colors`."""
    names = names or ["none"]
    chart = _bar_chart(names, axis, row_height=30)
    starts = [0.0] * len(names)
    items = []
    for number, (name, values) in enumerate(series.items()):
        color = colors[number % len(colors)]
        source = _bar_source(name, names, starts, _zero_for_unknown(values), offset=0.0)
        items.append(_bar_item(chart, name, source, color, BAND))
        starts = source.data["right"]
    return _bar_legend(chart, items, axis)


def _bar_chart(names: list[str], axis: str, row_height: int) -> "figure":
    height = max(200, 90 + len(names) * row_height)
    return _figure(axis, y_range=names[::-1], height=height, values_below=True)


def _zero_for_unknown(values: Values) -> list[float]:
    return [value or 0.0 for value in values]


def _bar_source(
    name: str, names: list[str], starts: list[float], values: list[float], offset: float
) -> "ColumnDataSource":
    """Bars from `starts` on, `offset` above the middle of the room that each of `names` has."""
    ends = [start + value for start, value in zip(starts, values, strict=True)]
    return _models().ColumnDataSource(
        {
            "place": names,
            "left": starts,
            "value": values,
            "name": [name] * len(names),
            "right": ends,
            "y": [(place, offset) for place in names],
        }
    )


def _bar_item(chart: "figure", name: str, source: "ColumnDataSource", color: str, thickness: float) -> "LegendItem":
    """Draws the bars of a series; returns its entry of the legend."""
    renderer = chart.hbar(
        "y",
        left="left",
        right="right",
        source=source,
        color=color,
        line_color=OUTLINE,
        line_width=0.5,
        height=thickness,
    )
    return _models().LegendItem(label=name, renderers=[renderer])


def _bar_legend(chart: "figure", items: "list[LegendItem]", axis: str) -> "figure":
    chart.x_range.start = 0
    return _with_legend(chart, items, [("", "@name"), ("", "@place"), (axis, "@value{0.0}")])


def histogram(series: dict[str, Values], edges: list[float], axis: str, count: str) -> "figure":
    """Histograms with common bins as step lines: name → a count for each bin between `edges`."""
    models = _models()
    chart = _figure(count, height=320)
    chart.xaxis.axis_label = axis
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    items = []
    for number, (name, counts) in enumerate(series.items()):
        source = models.ColumnDataSource(
            {
                "x": middles,
                "value": list(counts),
                "name": [name] * len(middles),
            }
        )
        line = chart.step(
            "x",
            "value",
            source=source,
            mode="center",
            color=COLORS[number % len(COLORS)],
            line_width=2,
            line_dash="solid" if number < len(COLORS) else "dashed",
        )
        items.append(models.LegendItem(label=name, renderers=[line]))
    return _with_legend(chart, items, [("", "@name"), (axis, "@x{0.000}"), (count, "@value")])


def _models() -> ModuleType:
    """Bokeh's models; importing them takes a second, so only what draws a chart does."""
    from bokeh import models

    return models


def _figure(axis: str, values_below: bool = False, **options: object) -> "figure":
    """An empty chart as wide as its place on the page; `axis` names its values, drawn at the left or below."""
    from bokeh.plotting import figure

    chart = figure(sizing_mode="stretch_width", tools="hover,reset,save", toolbar_location=None, **options)
    value_axis = chart.xaxis if values_below else chart.yaxis
    value_axis.axis_label = axis
    for part in (*chart.xaxis, *chart.yaxis):
        part.axis_label_text_font_style = "normal"
        part.axis_label_text_color = TEXT_COLOR
        part.major_label_text_color = TEXT_COLOR
        part.major_label_text_font_size = "13px"
        part.axis_label_text_font_size = "13px"
    return chart


def _with_legend(chart: "figure", items: "list[LegendItem]", hover: list[tuple[str, str]]) -> "figure":
    """Adds a legend below the chart, where a telephone has room for it; a click on a name hides its marks."""
    chart.hover.tooltips = hover
    legend = _models().Legend(
        items=items,
        click_policy="hide",
        ncols=2,
        padding=2,
        margin=2,
        location="bottom_left",
    )
    legend.border_line_color = None
    legend.label_text_font_size = "12px"
    legend.label_text_color = TEXT_COLOR
    chart.add_layout(legend, "below")
    lines = -(-len(items) // 2)
    chart.height += 24 * lines
    return chart
