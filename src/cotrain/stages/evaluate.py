"""Scores a model on labelled images: one confusion matrix over the whole set, at each label's own size."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.data import indexing, labels
from cotrain.data.images import read_image
from cotrain.files import hdf5, scores, tables
from cotrain.method import metrics
from cotrain.networks import checkpoint, devices, inference
from cotrain.settings.inference import Evaluate


def run(
    settings: Evaluate,
    model: Annotated[list[Path], READ],
    images: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    pictures: Annotated[Path | None, WRITE] = None,
) -> None:
    """`--pictures` also keeps the predictions of some images, evenly spread over the set."""
    rows = tables.read_table(images, "index")
    indexing.check_labelled(rows, images)
    classes = settings.labels.classes

    devices.prepare(settings.threads)
    device = devices.device_of(settings.device)
    models = [checkpoint.load(path, classes, settings.trust).to(device) for path in model]
    views = inference.views(inference.ensemble(models), settings.scales, settings.flip)
    maps = inference.whole(views, settings.batch)

    examples = {}
    pictured = _evenly_spread(settings.pictures, len(rows))
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    probabilities = maps(_photographs(rows, settings.size))
    for i, p in enumerate(progress(probabilities, f"evaluate {out.stem}", "image", len(rows))):
        image_id = rows["image_id"].iat[i]
        truth = labels.read_label(rows["label"].iat[i], settings.labels.coding(image_id))
        prediction = inference.resized_labels(p, truth.shape)
        confusion += metrics.confusion_matrix(truth, prediction, len(classes))
        if i in pictured:
            examples[image_id] = {"prediction": prediction, "truth": truth}
    if pictures:
        _write_pictures(pictures, classes, examples, made_by)
    scores.write_json(out, "metrics", _content(classes, len(rows), confusion), made_by)


def _photographs(rows: pd.DataFrame, size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Id and image (H, W, 3) uint8 at the working size."""
    for row in rows.itertuples():
        yield row.image_id, read_image(row.image, size)


def _evenly_spread(count: int, total: int) -> set[int]:
    """Positions of at most `count` of `total` images."""
    positions = np.linspace(0, total - 1, min(count, total))
    return set(positions.round().astype(int).tolist())


def _content(classes: tuple[str, ...], images: int, confusion: np.ndarray) -> dict:
    """What the JSON file says; a score of nothing is null."""
    iou = metrics.intersection_over_union(confusion)
    return {
        "classes": list(classes),
        "images": images,
        "miou": _or_null(metrics.mean_iou(iou)),
        "iou": [_or_null(value) for value in iou],
        "confusion": confusion.tolist(),
    }


def _or_null(score: float) -> float | None:
    return None if np.isnan(score) else score


def _write_pictures(
    path: Path,
    classes: tuple[str, ...],
    examples: dict[str, dict[str, np.ndarray]],
    made_by: dict,
) -> None:
    """Prediction and truth (H, W) uint8 of each example, by its image's id."""
    with hdf5.create_hdf5(path, "pictures", classes, made_by) as file:
        for image_id, maps in examples.items():
            for name, label in maps.items():
                file.create_dataset(
                    f"{name}/{image_id}",
                    data=label,
                    chunks=label.shape,
                    **hdf5.LABEL_FILTER,
                )
        hdf5.write_strings(file, "image_id", list(examples))
