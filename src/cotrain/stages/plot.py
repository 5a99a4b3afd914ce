"""Draws overview.png (photograph, truth and predictions side by side) and progress.png (scores over the rounds)."""

from pathlib import Path

import pandas as pd

from cotrain import datasets, figures, store
from cotrain.settings import Plot

MAX_ROWS = 6


def run(settings: Plot, summary: Path, predictions: list[Path], images: Path, out: list[Path], made_by: dict) -> None:
    """`--out` takes two paths: the overview and the progress figure."""
    index = store.read_table(images, "index").set_index("image_id")
    legend = dict(settings.colors)
    colors = list(legend.values())
    with store.open_hdf5(predictions[0], "pictures") as file:
        ids = store.image_ids(file)[:MAX_ROWS]
        truths = [figures.colorize(file[f"truth/{i}"][:], colors) for i in ids]
    rows = [[datasets.read_image(index["image"][i], t.shape[:2]), t] for i, t in zip(ids, truths, strict=True)]
    for path in predictions:
        with store.open_hdf5(path, "pictures") as file:
            for row, image_id in zip(rows, ids, strict=True):
                row.append(figures.colorize(file[f"prediction/{image_id}"][:], colors))
    with store.replacing(out[1]) as temporary:
        figures.progress(temporary, pd.read_csv(summary).set_index("round"), dict(settings.series))
    with store.replacing(out[0]) as temporary:
        titles = ("photograph", "truth", *settings.columns)
        figures.overview(temporary, rows, titles, legend)
    for path in reversed(out):
        store.write_sidecar(path, made_by)
