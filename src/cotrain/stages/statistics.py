"""Counts the classes of the source: per image for class-balanced sampling, per place for the spatial prior."""

from pathlib import Path

import numpy as np

from cotrain.base.progress import progress
from cotrain.data import datasets
from cotrain.files import store
from cotrain.method.prior import count, spatial_prior
from cotrain.settings.stages import Statistics


def run(settings: Statistics, source: Path, out: Path, made_by: dict, picture: Path | None = None) -> None:
    """`--picture` shows the prior of each class as a PNG."""
    rows = store.read_table(source, "index")
    datasets.check_labelled(rows, source)
    classes = settings.labels.classes
    pixels = np.zeros((len(rows), len(classes)), np.int64)
    places = np.zeros((len(classes), *settings.prior.size), np.int32) if settings.prior else None
    for i, row in progress(enumerate(rows.itertuples()), "source statistics", "image", len(rows)):
        coding = settings.labels.coding(row.image_id)
        label = datasets.read_label(row.label, coding, settings.size)
        pixels[i] = np.bincount(label.ravel(), minlength=256)[: len(classes)]
        if settings.prior:
            same = settings.prior.size == settings.size
            count(places, label if same else datasets.read_label(row.label, coding, settings.prior.size))
    with store.create_hdf5(out, "statistics", classes, made_by) as file:
        store.write_strings(file, "image_id", rows["image_id"].tolist())
        file["class_pixels"] = pixels
        if settings.prior:
            prior = spatial_prior(places, settings.prior.smoothing)
            store.create_maps(file, "prior", prior.shape, np.float32, store.CONFIDENCE_FILTER)[...] = prior
            if picture:
                _draw(picture, prior, classes, made_by)


def _draw(picture: Path, prior: np.ndarray, classes: tuple[str, ...], made_by: dict) -> None:
    from cotrain.report import figures  # half a second that is spent only on a picture

    with store.replacing(picture) as temporary:
        figures.prior(temporary, prior, classes)
    store.write_sidecar(picture, made_by)
