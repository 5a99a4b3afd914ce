"""Scores a model on labelled images: one confusion matrix over the whole set, at each label's own size."""

from pathlib import Path

import numpy as np

from cotrain.base.progress import progress
from cotrain.data import indexing, labels
from cotrain.data.images import read_image
from cotrain.files import hdf5, scores, tables
from cotrain.method import metrics
from cotrain.networks import checkpoint, devices, inference
from cotrain.settings.inference import Evaluate


def run(
    settings: Evaluate, model: list[Path], images: Path, out: Path, made_by: dict, pictures: Path | None = None
) -> None:
    """`--pictures` also keeps the predictions of some images, evenly spread over the set."""
    rows = tables.read_table(images, "index")
    indexing.check_labelled(rows, images)
    classes = settings.labels.classes
    devices.prepare(settings.threads)
    device = devices.device_of(settings.device)
    probabilities = inference.ensemble([checkpoint.load(m, classes, settings.trust).to(device) for m in model])
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    shown = set(np.linspace(0, len(rows) - 1, min(settings.pictures, len(rows))).round().astype(int).tolist())
    kept = {}
    maps = inference.whole(inference.views(probabilities, settings.scales, settings.flip), settings.batch)
    photographs = ((row.image_id, read_image(row.image, settings.size)) for row in rows.itertuples())
    for i, p in enumerate(progress(maps(photographs), f"evaluate {out.stem}", "image", len(rows))):
        truth = labels.read_label(rows["label"].iat[i], settings.labels.coding(rows["image_id"].iat[i]))
        prediction = inference.resized_labels(p, truth.shape)
        confusion += metrics.confusion_matrix(truth, prediction, len(classes))
        if i in shown:
            kept[rows["image_id"].iat[i]] = (prediction, truth)
    iou = metrics.intersection_over_union(confusion)
    content = {
        "classes": list(classes),
        "images": len(rows),
        "miou": None if np.isnan(miou := metrics.mean_iou(iou)) else miou,
        "iou": [None if np.isnan(value) else value for value in iou],
        "confusion": confusion.tolist(),
    }
    if pictures:
        with hdf5.create_hdf5(pictures, "pictures", classes, made_by) as file:
            for image_id, maps in kept.items():
                for name, label in zip(("prediction", "truth"), maps, strict=True):
                    file.create_dataset(f"{name}/{image_id}", data=label, chunks=label.shape, **hdf5.LABEL_FILTER)
            hdf5.write_strings(file, "image_id", list(kept))
    scores.write_json(out, "metrics", content, made_by)
