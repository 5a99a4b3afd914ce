"""Label images → class maps."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.settings.datasets import Coding

if TYPE_CHECKING:
    pass
from cotrain.data.images import LABELS, MASKS, decode


def read_label(path: Path | str, coding: Coding, size: tuple[int, int] | None = None) -> np.ndarray:
    """A label image as classes (H, W) uint8, VOID where the dataset means none; nearest pixel when resized.

    A value that `coding` does not know is an error.
    """
    raw = read_values(path, coding.encoding, size)
    label = _classes(raw, coding)
    if (label < 0).any():
        unknown = spelled(int(raw[label < 0][0]), coding)
        raise BadInput(f"{path}: label value {unknown} is unknown; add it to `values` in the dataset's YAML")
    return label.astype(np.uint8)


def read_values(path: Path | str, encoding: str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Values of a label image (H, W), as integers; a colour is red·65536 + green·256 + blue."""
    raw = decode(Path(path), LABELS[encoding][0], size, Image.Resampling.NEAREST, LABELS[encoding][1])
    if encoding == "colors":
        return raw.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    if raw.min() < 0 or raw.max() > 65535:
        raise BadInput(f"{path}: label values from {raw.min()} to {raw.max()}, expected 0 to 65535; convert it")
    return raw


def encoded(label: np.ndarray, values: Sequence[int], encoding: str) -> np.ndarray:
    """A label image that `read_values` reads: classes (H, W) as their `values`, in one channel or three."""
    table = np.array(values)
    if encoding == "colors":
        return np.stack([table >> 16, table >> 8 & 255, table & 255], axis=1).astype(np.uint8)[label]
    flat = table.astype(np.uint8 if table.max() < 256 else np.uint16)[label]
    return np.stack([flat, np.zeros_like(flat), np.zeros_like(flat)], axis=2) if encoding == "red" else flat


def spelled(value: int, coding: Coding) -> str:
    """A label value as the dataset's YAML writes it."""
    return str([value >> 16, value >> 8 & 255, value & 255] if coding.encoding == "colors" else value)


def _classes(raw: np.ndarray, coding: Coding) -> np.ndarray:
    """The class of each value, int16; -1 for unknown ones."""
    values = np.array(sorted(coding.values), np.int32)
    classes = np.array([coding.values[value] for value in values.tolist()], np.int16)
    if coding.encoding != "colors":  # 10 times as fast as searching
        table = np.full(65536, -1, np.int16)
        table[values] = classes
        return table[raw]
    places = np.searchsorted(values, raw).clip(max=len(values) - 1)
    return np.where(values[places] == raw, classes[places], np.int16(-1))


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """A mask image as (H, W) bool, true where it is not zero."""
    return decode(Path(path), MASKS, size, Image.Resampling.NEAREST) > 0
