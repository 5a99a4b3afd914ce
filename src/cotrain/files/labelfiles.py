"""Files of predictions and of pseudo-labels, written image by image."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from cotrain.files.hdf5 import CONFIDENCE_FILTER, LABEL_FILTER, create_hdf5, create_maps, write_strings
from cotrain.method.labelmaps import SCALE, ImageStatistics


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

    Labels are (K, H, W) uint8, best first, and confidences (K, H, W) uint16. `total` is the largest sum of a pixel's
    probabilities; `histogram` (C, 65536) is written when the block ends.
    """
    with create_hdf5(path, "predictions", classes, made_by) as file:
        file.attrs["total"] = total
        write_strings(file, "image_id", ids)
        all_maps = (len(ids), *shape)
        labels = create_maps(file, "label", all_maps, np.uint8, LABEL_FILTER)
        confidences = create_maps(file, "confidence", all_maps, np.uint16, CONFIDENCE_FILTER)

        def write(i: int, label: np.ndarray, confidence: np.ndarray) -> None:
            labels[i] = label
            confidences[i] = confidence

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

    Labels are (H, W) uint8 of `size`. `more` are further datasets of one row per image, written when the block ends.
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
