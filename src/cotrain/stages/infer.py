"""Runs one model, or an ensemble, over images and stores the most probable classes of each pixel."""

from pathlib import Path

import numpy as np
import torch

from cotrain import datasets, inference, models, store
from cotrain.errors import BadInput
from cotrain.progress import progress
from cotrain.pseudolabels import SCALE, VOID
from cotrain.settings import Infer


def run(settings: Infer, model: list[Path], images: Path, out: Path, made_by: dict) -> None:
    rows = store.read_table(images, "index")
    count, classes = len(rows), len(settings.classes)
    if settings.keep_classes > classes:
        raise BadInput(f"keep_classes: {settings.keep_classes} of {classes} classes are wanted; lower it")
    torch.set_num_threads(settings.threads)
    device = models.device_of(settings.device)
    probabilities = inference.ensemble([models.load(m, settings.classes).to(device) for m in model], settings.ensemble)
    ego = datasets.read_mask(settings.ego_mask, settings.size) if settings.ego_mask else None
    histogram = np.zeros((classes, SCALE + 1), np.int64)
    shape = (count, settings.keep_classes, *settings.size)
    with store.create_hdf5(out, "predictions", settings.classes, made_by) as file:
        store.write_strings(file, "image_id", rows["image_id"].tolist())
        labels = store.create_maps(file, "label", shape, np.uint8, store.LABEL_FILTER)
        confidences = store.create_maps(file, "confidence", shape, np.uint16, store.CONFIDENCE_FILTER)
        for start in progress(range(0, count, settings.batch), f"infer {out.parent.name}", "batch"):
            part = slice(start, min(start + settings.batch, count))
            batch = np.stack([datasets.read_image(path, settings.size) for path in rows["image"][part]])
            p = probabilities(torch.from_numpy(batch).permute(0, 3, 1, 2))
            label, confidence = inference.most_probable(p, settings.keep_classes)
            if ego is not None:
                label[..., ego], confidence[..., ego] = VOID, 0
            histogram += inference.confidence_histogram(label[:, 0], confidence[:, 0], classes)
            labels[part], confidences[part] = label, confidence
        file.create_dataset("histogram", data=histogram, chunks=(1, SCALE + 1), **store.LABEL_FILTER)
