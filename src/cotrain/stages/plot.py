"""Draws overview.png (photograph, truth and predictions side by side) and progress.png (scores over the rounds)."""

from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.data import datasets
from cotrain.files import store
from cotrain.report import figures
from cotrain.settings.stages import Plot

MAX_ROWS = 6


def run(settings: Plot, summary: Path, predictions: list[Path], images: Path, out: list[Path], made_by: dict) -> None:
    """`--out` takes two paths: the overview and the progress figure."""
    if len(out) != 2:
        raise BadInput(f"--out: {len(out)} paths; give two, of the overview and of the progress figure")
    if len(settings.columns) != len(predictions):
        raise BadInput(
            f"--predictions: {len(predictions)} files for {len(settings.columns)} columns; give one for each"
        )
    scores = store.read_summary(summary)
    index = store.read_table(images, "index")
    legend = dict(settings.colors)
    colors = list(legend.values())
    with store.open_hdf5(predictions[0], "pictures") as file:
        if file.classes != tuple(legend):
            raise BadInput(f"{predictions[0]}: other classes than settings.colors; use the label set of its run")
        ids = store.image_ids(file)[:MAX_ROWS]
        if not ids:
            raise BadInput(f"{predictions[0]}: it has no pictures; evaluate with `pictures` of at least 1")
        truths = [figures.colorize(file[f"truth/{i}"][:], colors) for i in ids]
    photographs = datasets.by_id(index, ids, images)["image"]
    rows = [[datasets.read_image(path, t.shape[:2]), t] for path, t in zip(photographs, truths, strict=True)]
    for path in predictions:
        with store.open_hdf5(path, "pictures") as file:
            for row, image_id in zip(rows, ids, strict=True):
                row.append(figures.colorize(file[f"prediction/{image_id}"][:], colors))
    with store.replacing(out[1]) as temporary:
        figures.progress(temporary, scores, dict(settings.series))
    with store.replacing(out[0]) as temporary:
        titles = ("photograph", "truth", *settings.columns)
        figures.overview(temporary, rows, titles, legend)
    for path in reversed(out):
        store.write_sidecar(path, made_by)
