"""Runs one model, or an ensemble, over images and stores the most probable classes of each pixel."""

from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.data import labels
from cotrain.data.images import read_image
from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.networks import checkpoint, devices, inference
from cotrain.settings.inference import Infer


def run(
    settings: Infer, model: list[Path], images: Path, out: Path, made_by: dict, statistics: Path | None = None
) -> None:
    """`--statistics` has the spatial prior that the probabilities are multiplied with.

    With `shard`, only that part of the images; `cotrain merge` joins the parts.
    """
    rows, classes = tables.read_table(images, "index"), len(settings.classes)
    rows = rows.iloc[inference.part(len(rows), settings.batch, settings.shard)]
    if settings.keep_classes > classes:
        raise BadInput(f"keep_classes: {settings.keep_classes} of {classes} classes are wanted; lower it")
    devices.prepare(settings.threads)
    device = devices.device_of(settings.device)
    loaded = [checkpoint.load(m, settings.classes, settings.trust).to(device) for m in model]
    probabilities = inference.ensemble(loaded, settings.ensemble)
    maps = inference.strategy(probabilities, settings, _prior(settings, statistics) if statistics else None)
    photographs = ((row.image_id, read_image(row.image, settings.size)) for row in rows.itertuples())
    ego = labels.read_mask(settings.ego_mask, settings.size) if settings.ego_mask else None
    histogram = np.zeros((classes, SCALE + 1), np.int64)
    ids, shape = rows["image_id"].tolist(), (settings.keep_classes, *settings.size)
    total = float(len(model)) if settings.ensemble == "max" else 1.0
    with labelfiles.create_predictions(out, settings.classes, ids, shape, total, histogram, made_by) as write:
        for i, p in enumerate(progress(maps(photographs), f"infer {out.parent.name}", "image", len(ids))):
            label, confidence = inference.most_probable(p, settings.keep_classes)
            if ego is not None:
                label[:, ego], confidence[:, ego] = VOID, 0
            inference.count_confidences(histogram, label[0], confidence[0])
            write(i, label, confidence)


def _prior(settings: Infer, statistics: Path) -> np.ndarray:
    """q_n(c) (C, H, W) float32."""
    with hdf5.open_hdf5(statistics, "statistics") as file:
        if "prior" not in file:
            raise BadInput(f"{statistics}: it has no prior; run statistics with its setting `prior`")
        prior, classes = file["prior"][:], hdf5.classes_of(file)
    if classes != settings.classes or prior.shape[1:] != settings.size:
        found = f"{len(classes)} classes at {prior.shape[1]}×{prior.shape[2]}"
        raise BadInput(f"{statistics}: its prior is of other classes or size ({found}); give the one of this run")
    return prior
