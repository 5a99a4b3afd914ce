"""Whether Pillow gives the samples of an image file, as labels need, or the brightness that they stand for.

Samples of 4 bits, for example, it multiplies by 17, so that the brightest is 255.
"""

import re
from pathlib import Path

from PIL import Image

SPREAD = {"L;2": 85, "L;2R": 85, "L;4": 17, "L;4R": 17}  # Pillow's raw mode → factor
KEPT = re.compile(r"[RGBALPX]+|[LP];R|P;[124]R?|I|I;.+")  # raw modes whose samples Pillow gives as they are
KEPT_16 = re.compile(r"[RGBALX]+;16[BLN]")  # of several channels: OpenCV gives them as they are


def factor_of(path: Path, image: Image.Image, first_channel: bool) -> int | None:
    """The factor by which an open image's samples come multiplied; None if they are changed in another way.

    `first_channel`: the image is decoded by OpenCV.
    """
    if not image.tile:  # of WebP, which has 8 bits per channel
        return 1
    codec, _, _, arguments = image.tile[0]
    raw_mode = arguments if isinstance(arguments, str) else arguments[0]
    if raw_mode in SPREAD:
        return SPREAD[raw_mode]
    if codec in ("ppm", "ppm_plain"):  # the second argument is the highest sample of the file
        has_16_bits = first_channel or image.mode == "I"
        is_kept = arguments[1] == 255 or (has_16_bits and arguments[1] == 65535)
        return 1 if is_kept else None
    if image.format == "BMP" and image.mode == "L" and _bits_of_bmp(path) != 8:
        return None  # Pillow takes two pixels of 4 bits for one
    if KEPT.fullmatch(raw_mode) or (first_channel and KEPT_16.fullmatch(raw_mode)):
        return 1
    return None


def _bits_of_bmp(path: Path) -> int:
    """Bits per pixel, from the head of a BMP file."""
    with path.open("rb") as file:
        head = file.read(30)
    is_old = int.from_bytes(head[14:18], "little") == 12  # the head of OS/2
    place = 24 if is_old else 28
    return int.from_bytes(head[place : place + 2], "little")
