"""Measures pseudo-labels: coverage, and accuracy where the target has labels. Nothing is trained on the result."""

from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.data import indexing, labels
from cotrain.files import hdf5, scores, tables
from cotrain.method import metrics
from cotrain.settings.pseudolabels import Measure


def run(
    settings: Measure,
    pseudolabels: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    images: Annotated[Path | None, READ] = None,
) -> None:
    classes = settings.labels.classes
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    with hdf5.open_hdf5(pseudolabels, "pseudolabels") as file:
        if file.classes != classes:
            raise BadInput(f"{pseudolabels}: other classes than settings.labels; use the label set of its run")
        class_pixels = file["class_pixels"][:]
        ids = hdf5.image_ids(file)
        height, width = file["label"].shape[1:]
        if images:
            rows = indexing.by_id(tables.read_table(images, "index"), ids, images)
            indexing.check_labelled(rows, images)
            for i, row in progress(enumerate(rows.itertuples()), f"measure {out.stem}", "image", len(ids)):
                coding = settings.labels.coding(row.image_id)
                truth = labels.read_label(row.label, coding, (height, width))
                confusion += metrics.confusion_matrix(truth, file["label"][i], len(classes))
    pixels = len(ids) * height * width
    content = {
        "classes": list(classes),
        "images": len(ids),
        "coverage": float(class_pixels.sum() / max(1, pixels)),
        "accuracy": _accuracy(confusion),
        "precision": _shares(np.diagonal(confusion), confusion.sum(axis=0)),
        "class_share": _shares(class_pixels.sum(axis=0), class_pixels.sum()),
    }
    scores.write_json(out, "measure", content, made_by)


def _accuracy(confusion: np.ndarray) -> float | None:
    """Share of the pixels that are right; None where no pixel has both a pseudo-label and a label."""
    if not confusion.any():
        return None
    return float(np.trace(confusion) / confusion.sum())


def _shares(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """part/whole as JSON, (C,) each, or one whole for all; null where the whole is 0."""
    wholes = np.broadcast_to(whole, part.shape)
    shares = []
    for numerator, denominator in zip(part, wholes, strict=True):
        share = float(numerator / denominator) if denominator else None
        shares.append(share)
    return shares
