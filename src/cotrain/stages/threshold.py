"""Turns predictions into pseudo-labels by per-class thresholds (Sect. III-A, Run)."""

from pathlib import Path

from cotrain import store
from cotrain.progress import progress
from cotrain.pseudolabels import POLICIES, assign, image_statistics
from cotrain.settings import Thresholding


def run(settings: Thresholding, predictions: Path, out: Path, table: Path, made_by: dict) -> None:
    with store.open_hdf5(predictions, "predictions") as file:
        classes, ids = store.classes_of(file), store.image_ids(file)
        histogram = file["histogram"][:]
        thresholds = POLICIES[settings.policy](
            histogram, settings.portion, settings.confidence_min, settings.confidence_max
        )
        size, rounds = file["label"].shape[2:], [settings.round] * len(ids)
        with store.create_pseudolabels(out, classes, ids, rounds, size, made_by) as write:
            for i in progress(range(len(ids)), f"threshold {settings.round}", "image"):
                confidence = file["confidence"][i, 0]
                label = assign(file["label"][i, 0], confidence, thresholds)
                write(i, label, image_statistics(label, confidence, len(classes)))
    rows = [
        {"class": c, "name": classes[c], "pixels": pixels, "portion": settings.portion, "threshold": thresholds[c]}
        for c, pixels in enumerate(histogram.sum(axis=1))
    ]
    store.write_table(table, "thresholds", rows, made_by)
