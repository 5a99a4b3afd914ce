"""Sections of the report on scores: results of each model, IoU of each class."""

from collections.abc import Iterator

from cotrain.procedure import names
from cotrain.report import charts
from cotrain.report.elements import Cell, Chart, Section, Table, class_table, in_percent, percent
from cotrain.report.results import Results
from cotrain.settings.report import Report

COLUMNS = {  # of the summary → heading
    "miou": "mIoU",
    "gap_closed": "Gap closed",
    "coverage": "Pixels labelled",
    "accuracy": "Labels right",
}


def results(run: Results, settings: Report) -> Iterator[Section]:
    """mIoU of each round, and the scores that go with it; nothing without a summary."""
    if run.summary is None:
        return
    rows = []
    for _, scores in run.summary.iterrows():
        cells = [percent(scores[column]) for column in COLUMNS]
        rows.append([Cell(scores["name"]), *cells])
    text = (
        "mIoU of each round and model on the validation images; lines from side to side: models without pseudo-labels"
    )
    yield Section(
        name="results",
        title="Results",
        text="In percent. Gap closed: how far from source only (0) to the upper bound (100), which is trained with the "
        "target's own labels. Pixels labelled, and those of them that are right: of the pseudo-labels trained on.",
        charts=[Chart.of("miou", text, _miou_curves(run, settings))],
        tables=[Table("Scores of each model, %", ["Model", *COLUMNS.values()], rows)],
    )


def _miou_curves(run: Results, settings: Report) -> "charts.figure":
    miou = run.summary["miou"].to_dict()
    series = {}
    places: dict[str, None] = {}
    for name, round_names in settings.series:
        curve = {}
        for round_name in round_names:
            if round_name in miou:
                curve[names.place_of(round_name).label] = in_percent(miou[round_name])
        if curve:
            series[name] = curve
            places |= dict.fromkeys(curve)
    levels = {}
    for round_name in names.LEVELS:
        if round_name in miou:
            levels[run.summary["name"][round_name]] = 100 * miou[round_name]
    return charts.curves(series, list(places), "mIoU, %", levels)


def class_scores(run: Results, settings: Report) -> Iterator[Section]:
    """IoU of each class, before and after the adaptation and for each model; nothing without evaluations."""
    if not run.metrics:
        return
    compared = {}
    for round_name in (settings.before, settings.after):
        if round_name in run.metrics:
            iou = run.metrics[round_name]["iou"]
            compared[run.names[round_name]] = [in_percent(value) for value in iou]
    chart = charts.bars(compared, list(run.classes), "IoU, %")
    iou_of_rounds = {round_name: metrics["iou"] for round_name, metrics in run.metrics.items()}
    yield Section(
        name="classes",
        title="IoU of each class",
        text="On the validation images, before and after the adaptation, and for each model.",
        charts=[Chart.of("iou", f"IoU of each class, {' and '.join(compared)}", chart)],
        tables=[class_table("IoU of each class and model, %", run.classes, iou_of_rounds, run.names)],
    )
