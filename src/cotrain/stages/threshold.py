"""Turns predictions into pseudo-labels by a policy: thresholds of classes, then assignment (Sect. III-A, Run)."""

import sys
from pathlib import Path

import numpy as np

from cotrain.base.progress import progress
from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import image_statistics
from cotrain.method.thresholds import POLICIES
from cotrain.settings.pseudolabels import Threshold


def run(settings: Threshold, predictions: Path, out: Path, table: Path, made_by: dict) -> None:
    policy = POLICIES[settings.policy]
    with hdf5.open_hdf5(predictions, "predictions") as file:
        classes, ids = hdf5.classes_of(file), hdf5.image_ids(file)
        histogram, total = file["histogram"][:], float(file.attrs.get("total", 1))
        thresholds = policy.thresholds(histogram, settings.portion, settings.confidence_min, settings.confidence_max)
        rows = [
            {"class": c, "name": classes[c], "pixels": pixels, "portion": settings.portion, "threshold": thresholds[c]}
            for c, pixels in enumerate(histogram.sum(axis=1))
        ]
        stored = file["label"], file["confidence"]
        keep, *size = stored[0].shape[1:]
        undecided = np.zeros(len(ids), np.int64)
        rounds, more = [settings.round] * len(ids), {"undecided": undecided}
        with labelfiles.create_pseudolabels(out, classes, ids, rounds, size, made_by, more) as write:
            for i in progress(range(len(ids)), f"threshold {settings.round}", "image"):
                labels, confidences = (maps[i] for maps in stored)
                label, confidence = policy.assign(labels, confidences, thresholds)
                undecided[i] = policy.undecided(labels, confidences, thresholds, total)
                write(i, label, image_statistics(label, confidence, len(classes)))
            tables.write_table(table, "thresholds", rows, made_by)
    if undecided.any():
        share = undecided.sum() / (len(ids) * np.prod(size))
        found = f"a class beyond the K = {keep} stored could have won in {undecided.sum()} pixels ({share:.2%})"
        print(f"threshold: {found}; raise keep_classes of infer", file=sys.stderr)
