"""Draws overview.png (photograph, truth and predictions side by side) and progress.png (scores over the rounds)."""

from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.data import indexing
from cotrain.data.colors import colorize
from cotrain.data.images import read_image
from cotrain.files import atomic, hdf5, tables
from cotrain.report import figures
from cotrain.settings.report import Plot

MAX_ROWS = 6

Pictures = list[np.ndarray]  # each (H, W, 3) uint8


def run(
    settings: Plot,
    summary: Annotated[Path, READ],
    predictions: Annotated[list[Path], READ],
    images: Annotated[Path, READ],
    out: Annotated[list[Path], WRITE],
    made_by: dict,
) -> None:
    """`--out` takes two paths: the overview and the progress figure."""
    if len(out) != 2:
        raise BadInput(f"--out: {len(out)} paths; give two, of the overview and of the progress figure")
    if len(settings.columns) != len(predictions):
        counts = f"{len(predictions)} files for {len(settings.columns)} columns"
        raise BadInput(f"--predictions: {counts}; give one for each")
    overview, progress = out
    scores = tables.read_summary(summary)
    rows = _rows(settings, predictions, images)
    with atomic.replacing(progress) as temporary:
        figures.progress(temporary, scores, dict(settings.series))
    with atomic.replacing(overview) as temporary:
        titles = ("photograph", "truth", *settings.columns)
        figures.overview(temporary, rows, titles, dict(settings.colors))
    atomic.write_sidecar(progress, made_by)
    atomic.write_sidecar(overview, made_by)


def _rows(settings: Plot, predictions: list[Path], images: Path) -> list[Pictures]:
    """Photograph, truth and predictions of the first images whose predictions were kept."""
    index = tables.read_table(images, "index")
    colors = [color for _, color in settings.colors]
    with hdf5.open_hdf5(predictions[0], "pictures") as file:
        if file.classes != tuple(name for name, _ in settings.colors):
            raise BadInput(f"{predictions[0]}: other classes than settings.colors; use the label set of its run")
        image_ids = hdf5.image_ids(file)[:MAX_ROWS]
        if not image_ids:
            raise BadInput(f"{predictions[0]}: it has no pictures; evaluate with `pictures` of at least 1")
        truths = [colorize(file[f"truth/{image_id}"][:], colors) for image_id in image_ids]
    paths = indexing.by_id(index, image_ids, images)["image"]
    rows = []
    for path, truth in zip(paths, truths, strict=True):
        photograph = read_image(path, truth.shape[:2])
        rows.append([photograph, truth])
    for path in predictions:
        with hdf5.open_hdf5(path, "pictures") as file:
            for row, image_id in zip(rows, image_ids, strict=True):
                prediction = file[f"prediction/{image_id}"][:]
                row.append(colorize(prediction, colors))
    return rows
