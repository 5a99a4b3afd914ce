"""What a run found, as the report tells it: sections of charts and tables, made of what the other stages wrote."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cotrain.base.progress import times
from cotrain.files.sidecars import entries, in_force, kept
from cotrain.report import charts
from cotrain.settings.report import Report

BINS = 20  # of image confidences
NUMBERS = "miou", "gap_closed", "coverage", "accuracy"


class Cell(NamedTuple):
    text: str
    share: float | None = None  # in [0, 1]: how strongly it is coloured


class Table(NamedTuple):
    caption: str
    head: list[str]
    rows: list[list[Cell]]  # the first cell of each names it
    folded: bool = False


class Chart(NamedTuple):
    name: str
    text: str  # what it shows, for those who do not see it
    height: int  # pixels
    json: str

    @classmethod
    def of(cls, name: str, text: str, chart: "charts.figure") -> "Chart":
        return cls(name, text, chart.height, charts.packed(chart))


class Section(NamedTuple):
    name: str
    title: str
    text: str
    charts: list[Chart]
    tables: list[Table]


class Labelled(NamedTuple):
    """What is known of a round's pseudo-labels without their maps."""

    ids: list[str]
    confidence: np.ndarray  # (N,)
    class_pixels: np.ndarray  # (N, C)
    size: tuple[int, int]

    @property
    def coverage(self) -> float:
        return float(self.class_pixels.sum() / max(1, len(self.ids) * self.size[0] * self.size[1]))


def css(color: tuple[int, int, int]) -> str:
    """sRGB as a style sheet writes it."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def percent(value: float | None, heat: bool = False) -> Cell:
    """A share as percent; empty where it is not known."""
    if value is None or np.isnan(value):
        return Cell("–")
    return Cell(f"{100 * value:.1f}", float(np.clip(value, 0, 1)) if heat else None)


def _place(round: str) -> str:
    """Where a round stands on the axis of the cycles; models side by side stand at one place."""
    stage, *cycle = round.replace("_2", "").split("/")
    names = {"selftrain": "self-training", "cotrain": "co-training", "final": "last training"}
    return " ".join([names.get(stage, stage), *(str(int(c)) for c in cycle[:1])])


def _curves(values: dict[str, float | None], settings: Report) -> tuple[dict, list[str]]:
    """Series of the settings that have values by round: name → place → percent; and all places."""
    series, places = {}, {}
    for name, rounds in settings.series:
        known = {_place(r): values[r] for r in rounds if r in values}
        if known:
            places |= known
            series[name] = {p: None if v is None or np.isnan(v) else 100 * v for p, v in known.items()}
    return series, list(places)


def results(summary: pd.DataFrame, settings: Report) -> Iterator[Section]:
    rows = [[Cell(row["name"]), *(percent(row[n]) for n in NUMBERS)] for _, row in summary.iterrows()]
    head = ["Model", "mIoU", "Gap closed", "Pixels labelled", "Labels right"]
    series, places = _curves(summary["miou"].to_dict(), settings)
    levels = {
        summary["name"][r]: 100 * summary["miou"][r]
        for r in ("source_only", "source", "upper_bound")
        if r in summary.index
    }
    chart = charts.curves(series, places, "mIoU, %", levels)
    text = (
        "mIoU of each round and model on the validation images; lines from side to side: models without pseudo-labels"
    )
    yield Section(
        "results",
        "Results",
        "In percent. Gap closed: how far from source only (0) to the upper bound (100), which is trained with the "
        "target's own labels. Pixels labelled, and those of them that are right: of the pseudo-labels trained on.",
        [Chart.of("miou", text, chart)],
        [Table("Scores of each model, %", head, rows)],
    )


def per_class(scores: dict[str, dict], names: dict[str, str], settings: Report) -> Iterator[Section]:
    classes = [name for name, _ in settings.colors]
    rows = [
        [Cell(c), *(percent(score["iou"][i], heat=True) for score in scores.values())] for i, c in enumerate(classes)
    ]
    compared = [r for r in (settings.before, settings.after) if r in scores]
    series = {names[r]: [None if v is None else 100 * v for v in scores[r]["iou"]] for r in compared}
    text = f"IoU of each class, {' and '.join(series)}"
    yield Section(
        "classes",
        "IoU of each class",
        "On the validation images, before and after the adaptation, and for each model.",
        [Chart.of("iou", text, charts.bars(series, classes, "IoU, %"))],
        [Table("IoU of each class and model, %", ["Class", *(names[r] for r in scores)], rows)],
    )


def thresholds(tables: dict[str, pd.DataFrame], names: dict[str, str], settings: Report) -> Section:
    classes = [name for name, _ in settings.colors]
    joined = [[names[r] for r in rounds if r in tables] for _, rounds in settings.series]
    places = [place for line in joined for place in line]
    series = {
        c: {names[r]: 100 * t["threshold"].iat[i] for r, t in tables.items() if i < len(t)}
        for i, c in enumerate(classes)
    }
    colors = [css(color) for _, color in settings.colors]
    chart = charts.curves(series, places, "threshold, %", colors=colors, joined=joined)
    head = ["Class", *(names[r] for r in tables)]
    rows = [[Cell(c), *(percent(value / 100, heat=True) for value in series[c].values())] for c in classes]
    return Section(
        "thresholds",
        "Thresholds",
        "A pixel gets a pseudo-label where the probability of its class is at least this. A click on a name hides it.",
        [Chart.of("thresholds", "Threshold of each class in each round", chart)],
        [Table("Threshold of each class and round, %", head, rows)],
    )


def coverage(
    labelled: dict[str, Labelled],
    measured: dict[str, dict],
    chosen: dict[str, pd.DataFrame],
    names: dict[str, str],
    classes: tuple[str, ...],
) -> Section:
    head = ["Round", "Images", "Pixels labelled", "Kept or received", "Trained on", "Pixels labelled", "Labels right"]
    rows = []
    for r, found in labelled.items():
        measure = measured.get(r, {})
        kept_ = str(len(chosen[r])) if r in chosen else "–"
        row = [Cell(names[r]), Cell(str(len(found.ids))), percent(found.coverage), Cell(kept_)]
        row += [
            Cell(str(measure.get("images", "–"))),
            percent(measure.get("coverage")),
            percent(measure.get("accuracy")),
        ]
        rows.append(row)
    least = min((float(found.confidence.min()) for found in labelled.values() if len(found.ids)), default=0.0)
    edges = np.linspace(np.floor(20 * least) / 20, 1, BINS + 1) if least < 0.95 else np.linspace(0.95, 1, BINS + 1)
    counts = {names[r]: np.histogram(found.confidence, edges)[0].tolist() for r, found in labelled.items()}
    histogram = charts.steps(counts, edges.tolist(), "mean confidence of the labelled pixels", "images")
    places = [names[r] for r in labelled]
    shares = {"pixels with a pseudo-label": [100 * found.coverage for found in labelled.values()]}
    right = [measured.get(r, {}).get("accuracy") for r in labelled]
    if any(value is not None for value in right):
        shares["of those trained on, right"] = [None if value is None else 100 * value for value in right]
    tables = [Table("Pseudo-labels of each round; pixels and labels in %", head, rows)]
    precise = {r: m["precision"] for r, m in measured.items() if any(v is not None for v in m["precision"])}
    if precise:
        lines = [[Cell(c), *(percent(p[i], heat=True) for p in precise.values())] for i, c in enumerate(classes)]
        head = ["Class", *(names[r] for r in precise)]
        tables.append(Table("Pseudo-labels that are right, of each class, %", head, lines, folded=True))
    pixels = {r: found.class_pixels.sum(axis=0) / max(1, found.class_pixels.sum()) for r, found in labelled.items()}
    lines = [[Cell(c), *(percent(shares_[i], heat=True) for shares_ in pixels.values())] for i, c in enumerate(classes)]
    tables.append(Table("Share of each class among the pseudo-labels, %", ["Class", *places], lines, folded=True))
    return Section(
        "pseudolabels",
        "Pseudo-labels",
        "Of each round: the images that were labelled and how much of them; how many of these were kept, or received "
        "from the other model; and what the round was trained on, earlier cycles' labels included.",
        [
            Chart.of("coverage", "Pseudo-labels of each round", charts.bars(shares, places, "%")),
            Chart.of("confidence", "How many images have which confidence, for each round", histogram),
        ],
        tables,
    )


def exchange(
    chosen: dict[str, pd.DataFrame], names: dict[str, str], colors: tuple[tuple[str, tuple], ...]
) -> Iterator[Section]:
    """What model 1 sent to model 2 in each cycle, and the reverse."""
    received = {r: table for r, table in chosen.items() if r.startswith("cotrain/")}
    if not received:
        return
    classes = [name for name, _ in colors]
    counts, rows = {}, []
    for r, table in received.items():
        cycle, receiver = int(r.split("/")[1]), r[-1]
        name = f"cycle {cycle}, model {3 - int(receiver)} to {receiver}"
        of_class = table["reason"].value_counts()
        counts[name] = [int(of_class.get(c, 0)) for c in classes]
        confidence = table["confidence"]
        low, mean = (confidence.min(), confidence.mean()) if len(table) else (None, None)
        rows.append([Cell(name), Cell(str(len(table))), percent(mean), percent(low)])
    stacks = {c: [found[i] for found in counts.values()] for i, c in enumerate(classes)}
    shades = [css(color) for _, color in colors]
    most = max(1, *(max(found) for found in counts.values()))
    lines = [[Cell(c), *(Cell(str(n), n / most) for n in stacks[c])] for c in classes]
    for_class = charts.bars(stacks, list(counts), "images", stacked=shades)
    yield Section(
        "exchange",
        "Exchange",
        "Each model receives images with the other's pseudo-labels. An image is sent for the sake of one class.",
        [Chart.of("exchange", "Images sent in each cycle, by the class that they were sent for", for_class)],
        [
            Table("Who sent what; confidence in %", ["Sent", "Images", "Mean confidence", "Least"], rows),
            Table("Images sent for each class", ["Class", *counts], lines),
        ],
    )


def time(logs: Path | None) -> Iterator[Section]:
    found = times(logs) if logs else {}
    if not found:
        return
    frame = pd.DataFrame(found.values(), index=list(found), columns=["stage", "seconds", "memory"])
    stages = frame.groupby("stage").agg({"seconds": ["count", "sum", "max"], "memory": "max"})
    stages.columns = ["jobs", "sum", "longest", "memory"]
    stages = stages.sort_values("sum", ascending=False)
    rows = [
        [Cell(name), Cell(str(row.jobs)), Cell(f"{row.sum:.1f}"), Cell(f"{row.longest:.1f}"), Cell(str(row.memory))]
        for name, row in zip(stages.index, stages.itertuples(index=False, name="Row"), strict=True)
    ]
    lines = [[Cell(job), Cell(row[0]), Cell(f"{row[1]:.1f}"), Cell(str(row[2]))] for job, row in found.items()]
    chart = charts.bars({"all jobs": stages["sum"].tolist()}, stages.index.tolist(), "seconds")
    yield Section(
        "times",
        "Time of each stage",
        "Seconds that the commands took, by their logs. Jobs run side by side, so the run took less than the sum. Of a "
        "training that was stopped and went on, the last part alone.",
        [Chart.of("times", "Seconds of each stage, all jobs together", chart)],
        [
            Table("Seconds and memory of each stage", ["Stage", "Jobs", "Seconds", "Longest", "MiB at most"], rows),
            Table("Of each job", ["Job", "Stage", "Seconds", "MiB at most"], lines, folded=True),
        ],
    )


def made_of(made_by: dict) -> dict[str, dict]:
    """Path → what is kept beside it, of all files that went into one, and into those, as far as it is known."""
    found: dict[str, dict] = {}
    todo = [entry["path"] for _, entry in entries(made_by)]
    while todo:
        path = todo.pop()
        if path not in found and (known := kept(Path(path))):
            found[path] = known
            todo += [entry["path"] for _, entry in entries(known["provenance"])]
    return dict(sorted(found.items()))


def provenance(made_by: dict) -> Section:
    files = made_of(made_by)
    stages: dict[str, dict[str, dict[str, None]]] = {}
    for known in files.values():
        made = known["provenance"]
        for key, value in in_force(made).items():
            texts = stages.setdefault(made["stage"], {}).setdefault(key, {})
            texts[json.dumps(value, ensure_ascii=False)] = None
    tables = [
        Table(
            f"Settings of {stage}",
            ["Setting", "Value, or values"],
            [[Cell(key), Cell(" · ".join(texts))] for key, texts in sorted(of_stage.items())],
            folded=True,
        )
        for stage, of_stage in sorted(stages.items())
    ]
    rows = [[Cell(p), Cell(k["provenance"]["stage"]), Cell(k["sha256"][:16])] for p, k in files.items()]
    tables.append(Table("Files, and what made them", ["File", "Stage", "SHA-256, first digits"], rows, folded=True))
    return Section(
        "provenance",
        "Settings and provenance",
        f"Made by cotrain {made_by['code']} from {len(files)} files. Where jobs of a stage had different settings, all "
        "values are there. `cotrain explain FILE` tells more of any file.",
        [],
        tables,
    )
