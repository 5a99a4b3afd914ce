"""Counts the pixels of each class in each source image, for class-balanced sampling (METHODS 1.4)."""

from pathlib import Path

import numpy as np

from cotrain import datasets, store
from cotrain.progress import progress
from cotrain.settings import Statistics


def run(settings: Statistics, source: Path, out: Path, made_by: dict) -> None:
    rows = store.read_table(source, "index")
    classes = settings.labels.classes
    pixels = np.zeros((len(rows), len(classes)), np.int64)
    for i, path in progress(enumerate(rows["label"]), "source statistics", "image", len(rows)):
        label = datasets.read_label(path, settings.labels.values, settings.size)
        pixels[i] = np.bincount(label.ravel(), minlength=256)[: len(classes)]
    with store.create_hdf5(out, "statistics", classes, made_by) as file:
        store.write_strings(file, "image_id", rows["image_id"].tolist())
        file["class_pixels"] = pixels
