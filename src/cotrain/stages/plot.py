"""Draws overview.png (photograph, truth and predictions side by side) and progress.png (scores over the rounds)."""

from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.data import indexing
from cotrain.data.colors import colorize
from cotrain.data.images import read_image
from cotrain.files import atomic, hdf5, tables
from cotrain.report import figures
from cotrain.settings.report import Plot

MAX_ROWS = 6


def run(settings: Plot, summary: Path, predictions: list[Path], images: Path, out: list[Path], made_by: dict) -> None:
    """`--out` takes two paths: the overview and the progress figure."""
    if len(out) != 2:
        raise BadInput(f"--out: {len(out)} paths; give two, of the overview and of the progress figure")
    if len(settings.columns) != len(predictions):
        raise BadInput(
            f"--predictions: {len(predictions)} files for {len(settings.columns)} columns; give one for each"
        )
    scores = tables.read_summary(summary)
    index = tables.read_table(images, "index")
    legend = dict(settings.colors)
    colors = list(legend.values())
    with hdf5.open_hdf5(predictions[0], "pictures") as file:
        if file.classes != tuple(legend):
            raise BadInput(f"{predictions[0]}: other classes than settings.colors; use the label set of its run")
        ids = hdf5.image_ids(file)[:MAX_ROWS]
        if not ids:
            raise BadInput(f"{predictions[0]}: it has no pictures; evaluate with `pictures` of at least 1")
        truths = [colorize(file[f"truth/{i}"][:], colors) for i in ids]
    photographs = indexing.by_id(index, ids, images)["image"]
    rows = [[read_image(path, t.shape[:2]), t] for path, t in zip(photographs, truths, strict=True)]
    for path in predictions:
        with hdf5.open_hdf5(path, "pictures") as file:
            for row, image_id in zip(rows, ids, strict=True):
                row.append(colorize(file[f"prediction/{image_id}"][:], colors))
    with atomic.replacing(out[1]) as temporary:
        figures.progress(temporary, scores, dict(settings.series))
    with atomic.replacing(out[0]) as temporary:
        titles = ("photograph", "truth", *settings.columns)
        figures.overview(temporary, rows, titles, legend)
    for path in reversed(out):
        atomic.write_sidecar(path, made_by)
