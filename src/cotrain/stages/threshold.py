"""Turns predictions into pseudo-labels by a policy: thresholds of classes, then assignment (Sect. III-A, Run)."""

import sys
from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import image_statistics
from cotrain.method.thresholds import POLICIES
from cotrain.settings.pseudolabels import Threshold


def run(
    settings: Threshold,
    predictions: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    table: Annotated[Path, WRITE],
    made_by: dict,
) -> None:
    policy = POLICIES[settings.policy]
    with hdf5.open_hdf5(predictions, "predictions") as file:
        classes = file.classes
        ids = hdf5.image_ids(file)
        histogram = file["histogram"][:]
        largest_sum = float(file.attrs.get("total", 1))
        thresholds = policy.thresholds(histogram, settings.portion, settings.confidence_min, settings.confidence_max)
        stored_labels = file["label"]
        stored_confidences = file["confidence"]
        _, keep, *size = stored_labels.shape
        undecided = np.zeros(len(ids), np.int64)
        rounds = [settings.round] * len(ids)
        columns = {"undecided": undecided}
        with labelfiles.create_pseudolabels(out, classes, ids, rounds, size, made_by, columns) as write:
            for i in progress(range(len(ids)), f"threshold {settings.round}", "image"):
                labels = stored_labels[i]
                confidences = stored_confidences[i]
                label, confidence = policy.assign(labels, confidences, thresholds)
                undecided[i] = policy.undecided(labels, confidences, thresholds, largest_sum)
                write(i, label, image_statistics(label, confidence, len(classes)))
            rows = _rows(classes, histogram, settings.portion, thresholds)
            tables.write_table(table, "thresholds", rows, made_by)
    if undecided.any():
        _report_undecided(undecided.sum(), len(ids) * np.prod(size), keep)


def _rows(
    classes: tuple[str, ...],
    histogram: np.ndarray,
    portion: float,
    thresholds: np.ndarray,
) -> list[dict]:
    """Rows of thresholds.csv."""
    pixels = histogram.sum(axis=1)
    rows = []
    for c, name in enumerate(classes):
        row = {
            "class": c,
            "name": name,
            "pixels": pixels[c],
            "portion": portion,
            "threshold": thresholds[c],
        }
        rows.append(row)
    return rows


def _report_undecided(undecided: int, pixels: int, keep: int) -> None:
    share = undecided / pixels
    print(
        f"threshold: a class beyond the K = {keep} stored could have won in {undecided} pixels ({share:.2%});"
        " raise keep_classes of infer",
        file=sys.stderr,
    )
