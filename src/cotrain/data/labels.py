"""Label images and masks → arrays, and class maps → label images.

The *values* of a label image are ids of 16 bits, or colours as red·65536 + green·256 + blue. Which class a value means
is said by a `Coding`.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.data.decoding import MODES_8, Pixels, Size, decode
from cotrain.settings.datasets import Coding

IDS = {"L": "L", "P": "P", "I;16": "I;16", "I;16B": "I", "I": "I"}
SEVERAL = {"RGB": "RGB", "RGBA": "RGBA", "LA": "LA"}
COLORS = {"RGB": "RGB", "RGBA": "RGB", "P": "RGB"}
LABELS = {  # by encoding
    "ids": Pixels(
        IDS,
        "one channel of ids",
        lossless=True,
        exact=True,
    ),
    "red": Pixels(
        SEVERAL,
        "ids in the first of several channels",
        first_channel=True,
        lossless=True,
        exact=True,
    ),
    "colors": Pixels(
        COLORS,
        "colours of 8 bits per channel",
        lossless=True,
        exact=True,
    ),
}
MASKS = Pixels(dict.fromkeys(MODES_8, "L"), "8 bits per channel", lossless=True)
MAX_ID = 65535
COLOR_WEIGHTS = np.array([1 << 16, 1 << 8, 1], np.int32)  # of red, green and blue in a value


def read_label(path: Path | str, coding: Coding, size: Size | None = None) -> np.ndarray:
    """A label image as classes (H, W) uint8, VOID where the dataset means none; by nearest pixels if resized.

    Raises BadInput, also for a value that `coding` does not know.
    """
    values = read_values(path, coding.encoding, size)
    label = _classes(values, coding)
    is_unknown = label < 0
    if is_unknown.any():
        first = int(values[is_unknown][0])
        remedy = "add it to `values` in the dataset's YAML"
        raise BadInput(f"{path}: label value {spelled(first, coding)} is unknown; {remedy}")
    return label.astype(np.uint8)


def read_values(path: Path | str, encoding: str, size: Size | None = None) -> np.ndarray:
    """Values of a label image, (H, W) of integers; by nearest pixels if resized to `size` (height, width).

    Raises BadInput.
    """
    pixels = decode(Path(path), LABELS[encoding], size, Image.Resampling.NEAREST)
    if encoding == "colors":
        return pixels.astype(np.int32) @ COLOR_WEIGHTS
    lowest, highest = pixels.min(), pixels.max()
    if lowest < 0 or highest > MAX_ID:
        raise BadInput(f"{path}: label values from {lowest} to {highest}, expected 0 to {MAX_ID}; convert it")
    return pixels


def encoded(label: np.ndarray, values: Sequence[int], encoding: str) -> np.ndarray:
    """A label image that `read_values` reads: classes (H, W) as their `values`, in one channel or three."""
    if encoding == "colors":
        colors = [_rgb(value) for value in values]
        return np.array(colors, np.uint8)[label]
    dtype = np.uint8 if max(values) < 256 else np.uint16
    ids = np.array(values, dtype)[label]
    if encoding == "red":
        zeros = np.zeros_like(ids)
        return np.stack([ids, zeros, zeros], axis=2)
    return ids


def spelled(value: int, coding: Coding) -> str:
    """A label value as the dataset's YAML writes it."""
    return str(_rgb(value)) if coding.encoding == "colors" else str(value)


def _rgb(value: int) -> list[int]:
    """Red, green and blue of a colour's value."""
    return list(value.to_bytes(3, "big"))


def _classes(values: np.ndarray, coding: Coding) -> np.ndarray:
    """The class of each value, (H, W) int16; -1 for unknown ones."""
    known = np.array(sorted(coding.values), np.int32)
    classes = np.array([coding.values[value] for value in known.tolist()], np.int16)
    if coding.encoding == "colors":
        places = np.searchsorted(known, values).clip(max=len(known) - 1)
        is_known = known[places] == values
        return np.where(is_known, classes[places], np.int16(-1))
    table = np.full(MAX_ID + 1, -1, np.int16)  # 10 times as fast as a search
    table[known] = classes
    return table[values]


def read_mask(path: Path | str, size: Size) -> np.ndarray:
    """A mask image at `size` (height, width) as (H, W) bool, true where it is not zero. Raises BadInput."""
    return decode(Path(path), MASKS, size, Image.Resampling.NEAREST) > 0
