"""Photographs → arrays."""

from pathlib import Path

import numpy as np
from PIL import Image

from cotrain.data.decoding import GREY_16, MODES_8, Pixels, Size, decode

PHOTOGRAPHS = Pixels(dict.fromkeys((*MODES_8, *GREY_16), "RGB"), "8 or 16 bits per channel")


def read_image(path: Path | str, size: Size | None = None) -> np.ndarray:
    """A photograph as sRGB (H, W, 3) uint8, resized to `size` (height, width) if given.

    Upright as its EXIF orientation says; transparency is left out; of 16 bits per channel the upper 8 are kept. Raises
    BadInput.
    """
    return decode(Path(path), PHOTOGRAPHS, size, Image.Resampling.BILINEAR)


def resized(image: np.ndarray, size: Size) -> np.ndarray:
    """An image (H, W, 3) uint8 at `size` (height, width), resized as by `read_image`."""
    height, width = size
    if image.shape[:2] == (height, width):
        return image
    scaled = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(scaled)
