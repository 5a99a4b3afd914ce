"""Runs one model, or an ensemble, over images and stores the most probable classes of each pixel."""

from pathlib import Path

import numpy as np
import torch

from cotrain import datasets, inference, models, store
from cotrain.errors import BadInput
from cotrain.progress import progress
from cotrain.pseudolabels import SCALE, VOID
from cotrain.settings import Infer


def run(
    settings: Infer, model: list[Path], images: Path, out: Path, made_by: dict, statistics: Path | None = None
) -> None:
    """`--statistics` has the spatial prior that the probabilities are multiplied with."""
    rows = store.read_table(images, "index")
    count, classes = len(rows), len(settings.classes)
    if settings.keep_classes > classes:
        raise BadInput(f"keep_classes: {settings.keep_classes} of {classes} classes are wanted; lower it")
    torch.set_num_threads(settings.threads)
    device = models.device_of(settings.device)
    loaded = [models.load(m, settings.classes, settings.trust).to(device) for m in model]
    probabilities = inference.ensemble(loaded, settings.ensemble)
    maps = inference.strategy(probabilities, settings, _prior(settings, statistics) if statistics else None)
    photographs = ((row.image_id, datasets.read_image(row.image, settings.size)) for row in rows.itertuples())
    ego = datasets.read_mask(settings.ego_mask, settings.size) if settings.ego_mask else None
    histogram = np.zeros((classes, SCALE + 1), np.int64)
    shape = (count, settings.keep_classes, *settings.size)
    with store.create_hdf5(out, "predictions", settings.classes, made_by) as file:
        file.attrs["total"] = float(len(model)) if settings.ensemble == "max" else 1.0
        store.write_strings(file, "image_id", rows["image_id"].tolist())
        labels = store.create_maps(file, "label", shape, np.uint8, store.LABEL_FILTER)
        confidences = store.create_maps(file, "confidence", shape, np.uint16, store.CONFIDENCE_FILTER)
        for i, p in enumerate(progress(maps(photographs), f"infer {out.parent.name}", "image", count)):
            label, confidence = inference.most_probable(p, settings.keep_classes)
            if ego is not None:
                label[:, ego], confidence[:, ego] = VOID, 0
            inference.count_confidences(histogram, label[0], confidence[0])
            labels[i], confidences[i] = label, confidence
        file.create_dataset("histogram", data=histogram, chunks=(1, SCALE + 1), **store.LABEL_FILTER)


def _prior(settings: Infer, statistics: Path) -> np.ndarray:
    """q_n(c) (C, H, W) float32."""
    with store.open_hdf5(statistics, "statistics") as file:
        if "prior" not in file:
            raise BadInput(f"{statistics}: it has no prior; run statistics with its setting `prior`")
        prior, classes = file["prior"][:], store.classes_of(file)
    if classes != settings.classes or prior.shape[1:] != settings.size:
        found = f"{len(classes)} classes at {prior.shape[1]}×{prior.shape[2]}"
        raise BadInput(f"{statistics}: its prior is of other classes or size ({found}); give the one of this run")
    return prior
