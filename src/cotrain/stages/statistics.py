"""Counts the classes of the source: per image for class-balanced sampling, per place for the spatial prior."""

from pathlib import Path

import numpy as np

from cotrain.base.progress import progress
from cotrain.data import indexing, labels
from cotrain.files import atomic, hdf5, tables
from cotrain.method.prior import count, spatial_prior
from cotrain.settings.source import Statistics


def run(settings: Statistics, source: Path, out: Path, made_by: dict, picture: Path | None = None) -> None:
    """`--picture` shows the prior of each class as a PNG."""
    rows = tables.read_table(source, "index")
    indexing.check_labelled(rows, source)
    classes = settings.labels.classes
    pixels = np.zeros((len(rows), len(classes)), np.int64)
    places = np.zeros((len(classes), *settings.prior.size), np.int32) if settings.prior else None
    for i, row in progress(enumerate(rows.itertuples()), "source statistics", "image", len(rows)):
        coding = settings.labels.coding(row.image_id)
        label = labels.read_label(row.label, coding, settings.size)
        pixels[i] = np.bincount(label.ravel(), minlength=256)[: len(classes)]
        if settings.prior:
            same = settings.prior.size == settings.size
            count(places, label if same else labels.read_label(row.label, coding, settings.prior.size))
    with hdf5.create_hdf5(out, "statistics", classes, made_by) as file:
        hdf5.write_strings(file, "image_id", rows["image_id"].tolist())
        file["class_pixels"] = pixels
        if settings.prior:
            prior = spatial_prior(places, settings.prior.smoothing)
            hdf5.create_maps(file, "prior", prior.shape, np.float32, hdf5.CONFIDENCE_FILTER)[...] = prior
            if picture:
                _draw(picture, prior, classes, made_by)


def _draw(picture: Path, prior: np.ndarray, classes: tuple[str, ...], made_by: dict) -> None:
    from cotrain.report import figures  # half a second that is spent only on a picture

    with atomic.replacing(picture) as temporary:
        figures.prior(temporary, prior, classes)
    atomic.write_sidecar(picture, made_by)
