"""Counts the classes of the source: per image for class-balanced sampling, per place for the spatial prior."""

from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.data import indexing, labels
from cotrain.files import atomic, hdf5, tables
from cotrain.method.prior import count, spatial_prior
from cotrain.settings.source import Statistics


def run(
    settings: Statistics,
    source: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    picture: Annotated[Path | None, WRITE] = None,
) -> None:
    """`--picture` shows the prior of each class as a PNG."""
    rows = tables.read_table(source, "index")
    indexing.check_labelled(rows, source)
    ids = rows["image_id"].tolist()
    classes = settings.labels.classes
    class_pixels = np.zeros((len(ids), len(classes)), np.int64)
    prior_size = settings.prior.size if settings.prior else (0, 0)
    class_counts = np.zeros((len(classes), *prior_size), np.int32)
    paths = progress(rows["label"], "source statistics", "image", len(ids))
    for i, (image_id, path) in enumerate(zip(ids, paths, strict=True)):
        coding = settings.labels.coding(image_id)
        label = labels.read_label(path, coding, settings.size)
        pixels = np.bincount(label.ravel(), minlength=256)
        class_pixels[i] = pixels[: len(classes)]
        if settings.prior:
            if prior_size != settings.size:
                label = labels.read_label(path, coding, prior_size)
            count(class_counts, label)
    prior = None
    if settings.prior:
        prior = spatial_prior(class_counts, settings.prior.smoothing)
    _write(out, ids, classes, class_pixels, prior, made_by)
    if prior is not None and picture:
        _draw(picture, prior, classes, made_by)


def _write(
    out: Path,
    ids: list[str],
    classes: tuple[str, ...],
    class_pixels: np.ndarray,
    prior: np.ndarray | None,
    made_by: dict,
) -> None:
    with hdf5.create_hdf5(out, "statistics", classes, made_by) as file:
        hdf5.write_strings(file, "image_id", ids)
        file["class_pixels"] = class_pixels
        if prior is not None:
            maps = hdf5.create_maps(file, "prior", prior.shape, np.float32, hdf5.CONFIDENCE_FILTER)
            maps[...] = prior


def _draw(picture: Path, prior: np.ndarray, classes: tuple[str, ...], made_by: dict) -> None:
    from cotrain.report import figures  # half a second that is spent only on a picture

    with atomic.replacing(picture) as temporary:
        figures.prior(temporary, prior, classes)
    atomic.write_sidecar(picture, made_by)
