"""Sections of the report on pseudo-labels: thresholds, coverage and confidence, exchange between the models."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from cotrain.procedure.names import place_of
from cotrain.report import charts
from cotrain.report.elements import UNKNOWN, Cell, Chart, Section, Table, class_table, css, in_percent, percent
from cotrain.report.results import Results
from cotrain.settings.report import Report

CONFIDENCE_BINS = 20
CONFIDENCE_STEPS = 20  # in [0, 1]: where the histogram may start


def thresholds(run: Results, settings: Report) -> Section:
    """The threshold of each class in each round, a line for each curve of the settings."""
    shares = {round_name: table["threshold"].tolist() for round_name, table in run.thresholds.items()}
    series = {}
    for number, class_name in enumerate(run.classes):
        curve = {}
        for round_name, of_round in shares.items():
            curve[run.names[round_name]] = 100 * of_round[number]
        series[class_name] = curve
    lines = []
    places = []
    for _, round_names in settings.series:
        line = [run.names[name] for name in round_names if name in shares]
        lines.append(line)
        places += line
    chart = charts.curves(
        series,
        places,
        axis="threshold, %",
        colors=[css(color) for color in run.class_colors],
        lines=lines,
    )
    return Section(
        name="thresholds",
        title="Thresholds",
        text="A pixel gets a pseudo-label where the probability of its class is at least this. "
        "A click on a name hides it.",
        charts=[Chart.of("thresholds", "Threshold of each class in each round", chart)],
        tables=[class_table("Threshold of each class and round, %", run.classes, shares, run.names)],
    )


def pseudolabels(run: Results) -> Section:
    """How much was labelled in each round, with what confidence, and how much of it is right."""
    histogram = _confidence_histogram(run)
    bars = _coverage_bars(run)
    return Section(
        name="pseudolabels",
        title="Pseudo-labels",
        text="Of each round: the images that were labelled and how much of them; how many of these were kept, or "
        "received from the other model; and what the round was trained on, earlier cycles' labels included.",
        charts=[
            Chart.of("coverage", "Pseudo-labels of each round", bars),
            Chart.of("confidence", "How many images have which confidence, for each round", histogram),
        ],
        tables=[_coverage_table(run), *_precision_table(run), _class_shares_table(run)],
    )


def _coverage_table(run: Results) -> Table:
    head = ["Round", "Images", "Pixels labelled", "Kept or received", "Trained on", "Pixels labelled", "Labels right"]
    rows = []
    for round_name, labelled in run.pseudolabels.items():
        measure = run.measures.get(round_name, {})
        selected = UNKNOWN
        if round_name in run.selected:
            selected = str(len(run.selected[round_name]))
        row = [
            Cell(run.names[round_name]),
            Cell(str(len(labelled.image_ids))),
            percent(labelled.coverage),
            Cell(selected),
            Cell(str(measure.get("images", UNKNOWN))),
            percent(measure.get("coverage")),
            percent(measure.get("accuracy")),
        ]
        rows.append(row)
    return Table("Pseudo-labels of each round; pixels and labels in %", head, rows)


def _confidence_histogram(run: Results) -> "charts.figure":
    """Number of images by mean confidence, up to 1 from a little below the least."""
    confidences = np.concatenate([labelled.confidence for labelled in run.pseudolabels.values()])
    least = confidences.min() if confidences.size else 0.0
    start = min(np.floor(CONFIDENCE_STEPS * float(least)), CONFIDENCE_STEPS - 1) / CONFIDENCE_STEPS
    edges = np.linspace(start, 1, CONFIDENCE_BINS + 1)
    counts = {}
    for round_name, labelled in run.pseudolabels.items():
        of_bins, _ = np.histogram(labelled.confidence, edges)
        counts[run.names[round_name]] = of_bins.tolist()
    return charts.histogram(counts, edges.tolist(), "mean confidence of the labelled pixels", "images")


def _coverage_bars(run: Results) -> "charts.figure":
    names = [run.names[round_name] for round_name in run.pseudolabels]
    coverage = [in_percent(labelled.coverage) for labelled in run.pseudolabels.values()]
    series = {"pixels with a pseudo-label": coverage}
    accuracy = [in_percent(run.measures.get(name, {}).get("accuracy")) for name in run.pseudolabels]
    if any(value is not None for value in accuracy):
        series["of those trained on, right"] = accuracy
    return charts.bars(series, names, "%")


def _precision_table(run: Results) -> Iterator[Table]:
    """Share of right pseudo-labels of each class, of the rounds where it is known; nothing if it is of none."""
    precision = {}
    for round_name, measure in run.measures.items():
        if any(value is not None for value in measure["precision"]):
            precision[round_name] = measure["precision"]
    if precision:
        caption = "Pseudo-labels that are right, of each class, %"
        yield class_table(caption, run.classes, precision, run.names, folded=True)


def _class_shares_table(run: Results) -> Table:
    shares = {}
    for round_name, labelled in run.pseudolabels.items():
        pixels = labelled.class_pixels.sum(axis=0)
        shares[round_name] = pixels / max(1, pixels.sum())
    caption = "Share of each class among the pseudo-labels, %"
    return class_table(caption, run.classes, shares, run.names, folded=True)


def exchange(run: Results) -> Iterator[Section]:
    """What the models sent to each other in each cycle; nothing if they did not."""
    rows = []
    sent = {}  # heading of the exchange → images sent for each class
    for round_name, table in run.selected.items():
        place = place_of(round_name)
        if not place.is_exchange:
            continue
        for sender, images in _by_sender(table, place.member):
            heading = f"cycle {place.cycle}, model {sender} to {place.member}"
            reasons = images["reason"].value_counts()
            sent[heading] = [int(reasons.get(class_name, 0)) for class_name in run.classes]
            rows.append(_exchange_row(heading, images))
    if not sent:
        return
    of_class = {}
    for number, class_name in enumerate(run.classes):
        of_class[class_name] = [counts[number] for counts in sent.values()]
    colors = [css(color) for color in run.class_colors]
    chart = charts.stacked_bars(of_class, list(sent), "images", colors)
    yield Section(
        name="exchange",
        title="Exchange",
        text="Each model receives images with the other's pseudo-labels. An image is sent for the sake of one class.",
        charts=[Chart.of("exchange", "Images sent in each cycle, by the class that they were sent for", chart)],
        tables=[
            Table("Who sent what; confidence in %", ["Sent", "Images", "Mean confidence", "Least"], rows),
            _sent_table(of_class, list(sent)),
        ],
    )


def _by_sender(table: pd.DataFrame, receiver: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """Images that a member received, by the member that sent them; of two members it is the other one."""
    if "model" not in table:
        yield 3 - receiver, table
        return
    for sender, images in table.groupby("model"):
        yield int(sender), images


def _exchange_row(heading: str, table: pd.DataFrame) -> list[Cell]:
    confidence = table["confidence"]
    return [
        Cell(heading),
        Cell(str(len(table))),
        percent(confidence.mean()),
        percent(confidence.min()),
    ]


def _sent_table(of_class: dict[str, list[int]], headings: list[str]) -> Table:
    """Images that were sent for each class in each exchange, coloured by their share of the largest number."""
    most = max(max(counts) for counts in of_class.values())
    rows = []
    for class_name, counts in of_class.items():
        cells = [Cell(str(count), count / max(1, most)) for count in counts]
        rows.append([Cell(class_name), *cells])
    return Table("Images sent for each class", ["Class", *headings], rows)
