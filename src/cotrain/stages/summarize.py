"""Joins the evaluations of all rounds into one table: mIoU, gap closed, pseudo-labels and IoU per class."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.files import atomic
from cotrain.files.scores import read_json
from cotrain.method import metrics
from cotrain.procedure.names import round_at
from cotrain.settings.report import Summarize

HEADINGS = {"gap_closed": "gap closed", "coverage": "labelled", "accuracy": "correct"}


def run(
    settings: Summarize,
    metrics_files: Annotated[list[Path], READ],
    out: Annotated[Path, WRITE],
    text: Annotated[Path, WRITE],
    made_by: dict,
    measures: Annotated[list[Path] | None, READ] = None,
) -> None:
    """`--measures` are the files of the measure stage; each belongs to the round its path ends with."""
    names = dict(settings.rows)
    scores = _scores(metrics_files, names)
    table = _table(settings, names, scores, _measures(measures or [], names))
    atomic.write_bytes(text, _as_text(table, settings).encode())
    atomic.write_sidecar(text, made_by)
    with atomic.replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    atomic.write_sidecar(out, made_by)


def _scores(paths: list[Path], names: dict[str, str]) -> dict[str, dict]:
    """Round → content of its metrics file; raises BadInput unless there is one for each, all of the same classes."""
    if len(paths) != len(names):
        raise BadInput(f"--metrics: {len(paths)} files for {len(names)} rows; give one per row")
    scores = {}
    for round_name, path in zip(names, paths, strict=True):
        scores[round_name] = read_json(path, "metrics")
    first, *others = scores.values()
    for path, score in zip(paths[1:], others, strict=True):
        if score["classes"] != first["classes"]:
            raise BadInput(f"{path}: other classes than {paths[0]}; give files of one run")
    return scores


def _measures(paths: list[Path], names: dict[str, str]) -> dict[str, dict]:
    """Round → content of its measure file; files of no round of the table are left out."""
    measures = {}
    for path in paths:
        measure = read_json(path, "measure")
        round_name = round_at(path.with_suffix(""), names)
        if round_name is not None:
            measures[round_name] = measure
    return measures


def _table(
    settings: Summarize, names: dict[str, str], scores: dict[str, dict], measures: dict[str, dict]
) -> pd.DataFrame:
    """A row for each round, in shares; None where a number is not known."""
    bounds = [_miou(scores, settings.source_only), _miou(scores, settings.upper_bound)]
    rows = []
    for round_name, score in scores.items():
        measure = measures.get(round_name, {})
        class_iou = dict(zip(score["classes"], score["iou"], strict=True))
        row = {
            "round": round_name,
            "name": names[round_name],
            "miou": score["miou"],
            "gap_closed": _gap_closed(score["miou"], *bounds),
            "coverage": measure.get("coverage"),
            "accuracy": measure.get("accuracy"),
            **class_iou,
            **_means(settings.means, class_iou),
        }
        rows.append(row)
    return pd.DataFrame(rows)


def _miou(scores: dict[str, dict], round_name: str | None) -> float | None:
    return scores[round_name]["miou"] if round_name in scores else None


def _gap_closed(miou: float | None, source_only: float | None, upper_bound: float | None) -> float | None:
    if None in (miou, source_only, upper_bound):
        return None
    return metrics.gap_closed(miou, source_only, upper_bound)


def _means(means: dict[str, tuple[str, ...]], class_iou: dict[str, float | None]) -> dict[str, float]:
    """Mean IoU over each of several lists of classes."""
    mean_ious = {}
    for name, classes in means.items():
        unknown = [class_name for class_name in classes if class_name not in class_iou]
        if unknown:
            raise BadInput(f"means: {unknown[0]!r} is none of the classes of --metrics; use the label set of the run")
        iou = [class_iou[class_name] for class_name in classes]
        mean_ious[name] = metrics.mean_iou(np.array(iou, float))
    return mean_ious


def _as_text(table: pd.DataFrame, settings: Summarize) -> str:
    """The table for a terminal, in percent: rounds first, then the IoU of each class, then the notes."""
    style = {"na_rep": "", "float_format": "{:.1f}".format}
    percent = table.set_index("name").drop(columns="round").astype(float) * 100
    headings = {"miou": "mIoU"} | {name: name for name in settings.means} | HEADINGS

    class_iou = percent.drop(columns=list(headings)).T
    class_iou.columns = [f"({number})" for number in range(1, len(table) + 1)]

    rounds = percent[list(headings)].reset_index()
    rounds["name"] = [f"({number}) {name}" for number, name in enumerate(rounds["name"], start=1)]
    width = rounds["name"].str.len().max()
    rounds_text = rounds.to_string(
        index=False,
        formatters={"name": f"{{:<{width}}}".format},
        header=["", *headings.values()],
        **style,
    )

    lines = [rounds_text, "", "IoU per class", class_iou.to_string(**style)]
    if settings.notes:
        lines += ["", *settings.notes]
    return "\n".join(lines) + "\n"
