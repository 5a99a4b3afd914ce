"""Joins the evaluations of all rounds into one table: mIoU, gap closed, pseudo-labels and IoU per class."""

from pathlib import Path

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.files import atomic
from cotrain.files.scores import read_json
from cotrain.method import metrics
from cotrain.settings.report import Summarize


def run(
    settings: Summarize,
    metrics_files: list[Path],
    out: Path,
    text: Path,
    made_by: dict,
    measures: list[Path] | None = None,
) -> None:
    """`--measures` are the files of the measure stage; each belongs to the round its path ends with."""
    if len(metrics_files) != len(settings.rows):
        raise BadInput(f"--metrics: {len(metrics_files)} files for {len(settings.rows)} rows; give one per row")
    names = dict(settings.rows)
    scores = dict(zip(names, (read_json(f, "metrics") for f in metrics_files), strict=True))
    for path, score in zip(metrics_files, scores.values(), strict=True):
        if score["classes"] != next(iter(scores.values()))["classes"]:
            raise BadInput(f"{path}: other classes than {metrics_files[0]}; give files of one run")
    measured = {_round(f, names): read_json(f, "measure") for f in measures or []}
    bounds = [scores[r]["miou"] if r in scores else None for r in (settings.source_only, settings.upper_bound)]
    rows = []
    for name, score in scores.items():
        gap = None if None in (*bounds, score["miou"]) else metrics.gap_closed(score["miou"], *bounds)
        labels = measured.get(name, {})
        row = {"round": name, "name": names[name], "miou": score["miou"], "gap_closed": gap}
        row |= {"coverage": labels.get("coverage"), "accuracy": labels.get("accuracy")}
        of_class = dict(zip(score["classes"], score["iou"], strict=True))
        rows.append(row | of_class | _means(settings.means, of_class))
    frame = pd.DataFrame(rows)
    notes = "".join(f"\n{note}" for note in settings.notes)
    atomic.write_bytes(text, (_table(frame, list(settings.means)) + (notes and f"{notes}\n")).encode())
    atomic.write_sidecar(text, made_by)
    with atomic.replacing(out) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    atomic.write_sidecar(out, made_by)


def _means(means: dict[str, tuple[str, ...]], iou: dict[str, float | None]) -> dict[str, float]:
    """Mean IoU over each of several lists of classes."""
    try:
        return {name: metrics.mean_iou(np.array([iou[c] for c in classes], float)) for name, classes in means.items()}
    except KeyError as missing:
        raise BadInput(f"means: {missing} is none of the classes of --metrics; use the label set of the run") from None


def _round(path: Path, rounds: dict[str, str]) -> str:
    parts = path.with_suffix("").as_posix()
    return next((r for r in sorted(rounds, key=len, reverse=True) if parts.endswith(f"/{r}")), parts)


def _table(frame: pd.DataFrame, means: list[str]) -> str:
    """The table as text for a terminal, in percent: rounds first, then the IoU of each class."""
    heads = {"name": "", "miou": "mIoU"} | dict(zip(means, means, strict=True))
    heads |= {"gap_closed": "gap closed", "coverage": "labelled", "accuracy": "correct"}
    show = {"na_rep": "", "float_format": "{:.1f}".format}
    percent = frame.set_index("name").drop(columns="round").astype(float) * 100
    per_class = percent.drop(columns=[c for c in heads if c in percent]).T
    per_class.columns = [f"({i})" for i in range(1, len(frame) + 1)]
    rounds = percent[[c for c in heads if c in percent]].rename(columns=heads).reset_index()
    rounds["name"] = [f"({i}) {name}" for i, name in enumerate(rounds["name"], start=1)]
    width = rounds["name"].str.len().max()
    text = rounds.to_string(
        index=False, formatters={"name": f"{{:<{width}}}".format}, header=list(heads.values()), **show
    )
    return f"{text}\n\nIoU per class\n{per_class.to_string(**show)}\n"
