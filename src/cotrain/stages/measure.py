"""Measures pseudo-labels: coverage, and accuracy where the target has labels. Nothing is trained on the result."""

from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.data import indexing, labels
from cotrain.files import hdf5, scores, tables
from cotrain.method import metrics
from cotrain.settings.pseudolabels import Measure


def run(settings: Measure, pseudolabels: Path, out: Path, made_by: dict, images: Path | None = None) -> None:
    classes = settings.labels.classes
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    with hdf5.open_hdf5(pseudolabels, "pseudolabels") as file:
        if hdf5.classes_of(file) != classes:
            raise BadInput(f"{pseudolabels}: other classes than settings.labels; use the label set of its run")
        ids, pixels, size = hdf5.image_ids(file), file["class_pixels"][:], file["label"].shape[1:]
        if images:
            truths = indexing.by_id(tables.read_table(images, "index"), ids, images)
            indexing.check_labelled(truths, images)
            for i, row in progress(enumerate(truths.itertuples()), f"measure {out.stem}", "image", len(ids)):
                truth = labels.read_label(row.label, settings.labels.coding(row.image_id), size)
                confusion += metrics.confusion_matrix(truth, file["label"][i], len(classes))
    coverage = float(pixels.sum() / max(1, len(ids) * size[0] * size[1]))
    content = {
        "classes": list(classes),
        "images": len(ids),
        "coverage": coverage,
        "accuracy": float(np.trace(confusion) / confusion.sum()) if confusion.any() else None,
        "precision": _shares(np.diagonal(confusion), confusion.sum(axis=0)),
        "class_share": _shares(pixels.sum(axis=0), pixels.sum()),
    }
    scores.write_json(out, "measure", content, made_by)


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """part/whole as JSON; null where the whole is 0."""
    pairs = np.broadcast_arrays(part, whole)
    return [float(p / w) if w else None for p, w in zip(*pairs, strict=True)]
