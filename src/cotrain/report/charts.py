"""The charts of the report: bokeh's, as JSON that its library draws in a browser when they come into view."""

import json
from collections.abc import Sequence
from itertools import pairwise
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bokeh.models import LegendItem
    from bokeh.plotting import figure

COLORS = ("#0072b2", "#d55e00", "#007a5a", "#a3457f", "#56b4e9", "#8a6d00", "#333333")  # Okabe and Ito's, darker
STYLES = ("dotted", "dotdash", "dashed")
MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "star", "plus", "cross")

Values = Sequence[float | None]  # percent, counts or seconds; None: no mark


def _models() -> ModuleType:
    """Bokeh's, imported where something is drawn: it takes a second."""
    from bokeh import models

    return models


def library() -> str:
    """The JavaScript that draws what `packed` gives."""
    from bokeh.resources import Resources

    return "\n".join(Resources(mode="inline", components=["bokeh"]).js_raw)


def packed(chart: "figure") -> str:
    """A chart as JSON text, for `Bokeh.embed.embed_item`; it can stand in a script of a page."""
    from bokeh.embed import json_item

    return json.dumps(json_item(chart), separators=(",", ":")).replace("<", "\\u003c")


def curves(
    series: dict[str, dict[str, float | None]],
    places: list[str],
    axis: str,
    levels: dict[str, float] | None = None,
    colors: Sequence[str] = COLORS,
    joined: Sequence[Sequence[str]] | None = None,
) -> "figure":
    """Lines with a mark at each place; `series`: name → place → value. `levels` are drawn from side to side.

    `joined` are the places that a line goes through, for each line of a series; otherwise it goes through all.
    """
    models = _models()
    chart = _figure(axis, x_range=places or ["none"], height=340)
    items = []
    for n, (name, values) in enumerate(series.items()):
        marks = {"color": colors[n % len(colors)], "marker": MARKERS[n % len(MARKERS)], "line_color": "#333333"}
        drawn = []
        for line in joined or [places]:
            known = {place: values[place] for place in line if values.get(place) is not None}
            data = {"place": list(known), "value": list(known.values()), "name": [name] * len(known)}
            source = models.ColumnDataSource(data)
            drawn.append(chart.line("place", "value", source=source, color=marks["color"], line_width=2))
            drawn.append(chart.scatter("place", "value", source=source, size=9, **marks))
        items.append(models.LegendItem(label=name, renderers=drawn))
    for style, (name, value) in zip(STYLES, (levels or {}).items(), strict=False):
        data = {"place": places, "value": [value] * len(places), "name": [name] * len(places)}
        line = chart.line(
            "place", "value", source=models.ColumnDataSource(data), color="#444444", line_dash=style, line_width=2
        )
        items.append(models.LegendItem(label=name, renderers=[line]))
    chart.xaxis.major_label_orientation = 0.7
    return _with_legend(chart, items, [("", "@name"), ("", "@place"), (axis, "@value{0.0}")])


def bars(series: dict[str, Values], names: list[str], axis: str, stacked: Sequence[str] | None = None) -> "figure":
    """Horizontal bars at each of `names`, one for each of `series` side by side, or stacked in colours `stacked`."""
    models, names = _models(), names or ["none"]
    height = 90 + len(names) * (30 if stacked else 10 + 12 * len(series))
    chart = _figure(axis, y_range=names[::-1], height=max(200, height), below=True)
    items, left = [], [0.0] * len(names)
    for n, (name, values) in enumerate(series.items()):
        values = [value or 0.0 for value in values]
        data = {"place": names, "left": left, "value": values, "name": [name] * len(names)}
        data["right"] = [start + value for start, value in zip(left, values, strict=True)]
        offset = 0.0 if stacked else 0.8 * ((len(series) - 1) / 2 - n) / len(series)
        source = models.ColumnDataSource(data | {"y": [(place, offset) for place in names]})
        color = (stacked or COLORS)[n % len(stacked or COLORS)]
        thick = 0.8 if stacked else 0.8 / len(series)
        style = {"color": color, "line_color": "#333333", "line_width": 0.5, "height": thick}
        items.append(
            models.LegendItem(
                label=name, renderers=[chart.hbar("y", left="left", right="right", source=source, **style)]
            )
        )
        if stacked:
            left = data["right"]
    chart.x_range.start = 0
    return _with_legend(chart, items, [("", "@name"), ("", "@place"), (axis, "@value{0.0}")])


def steps(series: dict[str, Values], edges: list[float], axis: str, count: str) -> "figure":
    """Histograms with the same bins as lines of steps: name → a count for each bin between `edges`."""
    models, chart = _models(), _figure(count, height=320)
    chart.xaxis.axis_label = axis
    middles = [(a + b) / 2 for a, b in pairwise(edges)]
    items = []
    for n, (name, values) in enumerate(series.items()):
        source = models.ColumnDataSource({"x": middles, "value": list(values), "name": [name] * len(middles)})
        style = {
            "color": COLORS[n % len(COLORS)],
            "line_width": 2,
            "line_dash": "solid" if n < len(COLORS) else "dashed",
        }
        items.append(
            models.LegendItem(label=name, renderers=[chart.step("x", "value", source=source, mode="center", **style)])
        )
    return _with_legend(chart, items, [("", "@name"), (axis, "@x{0.000}"), (count, "@value")])


def _figure(axis: str, below: bool = False, **options: object) -> "figure":
    """An empty chart as wide as its place on the page."""
    from bokeh.plotting import figure

    chart = figure(sizing_mode="stretch_width", tools="hover,reset,save", toolbar_location=None, **options)
    (chart.xaxis if below else chart.yaxis).axis_label = axis
    for part in (*chart.xaxis, *chart.yaxis):
        part.axis_label_text_font_style = "normal"
        part.axis_label_text_color = part.major_label_text_color = "#222222"
        part.major_label_text_font_size = part.axis_label_text_font_size = "13px"
    return chart


def _with_legend(chart: "figure", items: "list[LegendItem]", hover: list[tuple[str, str]]) -> "figure":
    """The legend below, where it has room on a telephone too; a click on a name hides what it stands for."""
    chart.hover.tooltips = hover
    legend = _models().Legend(items=items, click_policy="hide", ncols=2, padding=2, margin=2, location="bottom_left")
    legend.border_line_color = None
    legend.label_text_font_size, legend.label_text_color = "12px", "#222222"
    chart.add_layout(legend, "below")
    chart.height += 24 * -(-len(items) // 2)
    return chart
