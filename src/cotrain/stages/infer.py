"""Runs one model, or an ensemble, over images and stores the most probable classes of each pixel."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.data import labels
from cotrain.data.images import read_image
from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.networks import checkpoint, devices, inference
from cotrain.settings.inference import Infer


def run(
    settings: Infer,
    model: Annotated[list[Path], READ],
    images: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    statistics: Annotated[Path | None, READ] = None,
) -> None:
    """`--statistics` has the spatial prior that the probabilities are multiplied with.

    With `shard`, only that part of the images; `cotrain merge` joins the parts.
    """
    classes = len(settings.classes)
    if settings.keep_classes > classes:
        raise BadInput(f"keep_classes: {settings.keep_classes} of {classes} classes are wanted; lower it")
    rows = tables.read_table(images, "index")
    rows = rows.iloc[inference.part(len(rows), settings.batch, settings.shard)]
    ids = rows["image_id"].tolist()

    devices.prepare(settings.threads)
    device = devices.device_of(settings.device)
    models = [checkpoint.load(path, settings.classes, settings.trust).to(device) for path in model]
    ensemble = inference.ensemble(models, settings.ensemble)
    prior = _prior(settings, statistics) if statistics else None
    maps = inference.strategy(ensemble, settings, prior)

    ego = labels.read_mask(settings.ego_mask, settings.size) if settings.ego_mask else None
    shape = (settings.keep_classes, *settings.size)
    largest_total = float(len(models)) if settings.ensemble == "max" else 1.0
    histogram = np.zeros((classes, SCALE + 1), np.int64)
    with labelfiles.create_predictions(out, settings.classes, ids, shape, largest_total, histogram, made_by) as write:
        probabilities = maps(_photographs(rows, settings.size))
        for i, p in enumerate(progress(probabilities, f"infer {out.parent.name}", "image", len(ids))):
            label, confidence = inference.most_probable(p, settings.keep_classes)
            if ego is not None:
                label[:, ego] = VOID
                confidence[:, ego] = 0
            inference.count_confidences(histogram, label[0], confidence[0])
            write(i, label, confidence)


def _photographs(rows: pd.DataFrame, size: tuple[int, int]) -> Iterator[tuple[str, np.ndarray]]:
    """Id and image (H, W, 3) uint8 at the working size."""
    for row in rows.itertuples():
        yield row.image_id, read_image(row.image, size)


def _prior(settings: Infer, statistics: Path) -> np.ndarray:
    """q_n(c) (C, H, W) float32."""
    with hdf5.open_hdf5(statistics, "statistics") as file:
        if "prior" not in file:
            raise BadInput(f"{statistics}: it has no prior; run statistics with its setting `prior`")
        prior = file["prior"][:]
        classes = hdf5.classes_of(file)
    height, width = prior.shape[1:]
    if classes != settings.classes or (height, width) != settings.size:
        raise BadInput(
            f"{statistics}: its prior is of other classes or size ({len(classes)} classes at {height}×{width}); "
            "give the one of this run"
        )
    return prior
