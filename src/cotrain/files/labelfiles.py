"""Predictions and pseudo-labels, one map per image."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotrain.method.labelmaps import SCALE, ImageStatistics

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass
from cotrain.files.hdf5 import CONFIDENCE_FILTER, LABEL_FILTER, create_hdf5, create_maps, write_strings


@contextlib.contextmanager
def create_predictions(
    path: Path,
    classes: tuple[str, ...],
    ids: list[str],
    shape: Sequence[int],
    total: float,
    histogram: np.ndarray,
    made_by: dict,
) -> Iterator[Callable[[int, np.ndarray, np.ndarray], None]]:
    """A new file of predictions, maps of `shape` (K, H, W) for each image; yields `write(i, label, confidence)`.

    `total` is the largest sum of a pixel's probabilities; `histogram` (C, 65536) is written when the block ends.
    """
    with create_hdf5(path, "predictions", classes, made_by) as file:
        file.attrs["total"] = total
        write_strings(file, "image_id", ids)
        labels = create_maps(file, "label", (len(ids), *shape), np.uint8, LABEL_FILTER)
        confidences = create_maps(file, "confidence", (len(ids), *shape), np.uint16, CONFIDENCE_FILTER)

        def write(i: int, label: np.ndarray, confidence: np.ndarray) -> None:
            labels[i], confidences[i] = label, confidence

        yield write
        file.create_dataset("histogram", data=histogram, chunks=(1, SCALE + 1), **LABEL_FILTER)


@contextlib.contextmanager
def create_pseudolabels(
    path: Path,
    classes: tuple[str, ...],
    ids: list[str],
    rounds: list[str],
    size: Sequence[int],
    made_by: dict,
    more: dict[str, np.ndarray] | None = None,
) -> Iterator[Callable[[int, np.ndarray, ImageStatistics], None]]:
    """A new file of pseudo-labels, one class map and its statistics per image; yields `write(i, label, statistics)`.

    `more` are further datasets of one row per image, written as they are when the block ends.
    """
    count = len(ids)
    tables = {
        "confidence": np.zeros(count, np.float32),
        "class_confidence": np.full((count, len(classes)), np.nan, np.float32),
        "class_pixels": np.zeros((count, len(classes)), np.int64),
    }
    with create_hdf5(path, "pseudolabels", classes, made_by) as file:
        maps = create_maps(file, "label", (count, *size), np.uint8, LABEL_FILTER)

        def write(i: int, label: np.ndarray, statistics: ImageStatistics) -> None:
            maps[i] = label
            for name, table in tables.items():
                table[i] = getattr(statistics, name)

        yield write
        write_strings(file, "image_id", ids)
        write_strings(file, "round", rounds)
        for name, table in (tables | (more or {})).items():
            file[name] = table
