"""Image files → pixels: an image is checked by its head when it is opened, and whole when it is decoded.

What the pixels of photographs, labels and masks must be is said in `images` and `labels`.
"""

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.data.lossless import lossy_format
from cotrain.data.samples import factor_of

# Other formats may start programs (EPS) or hold no photographs. A file is recognised by its content, not by its name.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")
MODES_8 = ("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr")  # Pillow's modes of up to 8 bits
GREY_16 = ("I;16", "I;16B", "I;16L", "I")  # and of one channel of 16 bits
TURNED = (5, 6, 7, 8)  # EXIF orientations in which width and height change places
MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit above is checked with a message of our own
warnings.filterwarnings("ignore", module="PIL")  # about unusual metadata; faults of the pixels are errors


Size = tuple[int, int]  # height, width


class Pixels(NamedTuple):
    """The pixels that a kind of image may have."""

    modes: dict[str, str]  # Pillow's mode in the file → the mode to decode it to
    expected: str  # the same in words, for messages
    first_channel: bool = False  # decode only the first of several channels
    lossless: bool = False  # refuse formats that change pixels
    exact: bool = False  # give the samples of the file, not the brightness that they stand for


def size(path: Path, pixels: Pixels) -> tuple[int, int]:
    """Width and height, upright, from the head of an image file. Raises BadInput."""
    with _open(path, pixels) as image:
        try:
            is_turned = "exif" in image.info and _orientation(image) in TURNED
        except Exception as error:
            raise _damaged(path, error) from None
        width, height = image.size
        return (height, width) if is_turned else (width, height)


def _orientation(image: Image.Image) -> int:
    return image.getexif().get(ExifTags.Base.Orientation, 1)


def decode(path: Path, pixels: Pixels, size: Size | None, resample: Image.Resampling) -> np.ndarray:
    """The pixels of an image file, upright: (H, W) or (H, W, channels), resized to `size` if given. Raises BadInput."""
    with _open(path, pixels) as image:
        try:
            factor = 1
            if pixels.exact:
                factor = factor_of(path, image, pixels.first_channel)
            decoded = _decoded(path, image, pixels)
            if size:
                height, width = size
                if decoded.size != (width, height):
                    decoded = decoded.resize((width, height), resample)
            array = np.array(decoded)
            return array // factor if factor > 1 else array
        except Exception as error:
            raise _damaged(path, error) from None


def _decoded(path: Path, image: Image.Image, pixels: Pixels) -> Image.Image:
    """The pixels of an open image, whole and upright, in the mode that is asked for."""
    if image.format == "PNG":  # decoding does not compare its checksums
        with Image.open(path) as whole:
            whole.verify()
    if pixels.first_channel:
        return _first_channel(path)
    has_exif = "exif" in image.info
    decoded = _converted(image, pixels.modes[image.mode])
    if has_exif:
        ImageOps.exif_transpose(decoded, in_place=True)
    return decoded


def _open(path: Path, pixels: Pixels) -> Image.Image:
    """An image whose head has been read and checked, but not its pixels."""
    image = _recognised(path)
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS:
        raise BadInput(f"{path}: {width}×{height} pixels, the limit is {MAX_PIXELS:,}; scale it down")
    if image.mode not in pixels.modes:
        modes = ", ".join(pixels.modes)
        raise BadInput(f"{path}: pixels of mode {image.mode}, expected {pixels.expected} ({modes}); convert it")
    if pixels.lossless:
        _check_lossless(path, image)
    if pixels.exact and factor_of(path, image, pixels.first_channel) is None:
        raise BadInput(f"{path}: its samples would be read as other values; write it with 8 or 16 bits per channel")
    return image


def _check_lossless(path: Path, image: Image.Image) -> None:
    lossy = lossy_format(path, image)
    if lossy:
        raise BadInput(f"{path}: its content is {lossy}, which changes label values; export it again as PNG")


def _recognised(path: Path) -> Image.Image:
    no_image = BadInput(f"{path}: not a readable image ({', '.join(FORMATS)}); replace or remove it")
    try:
        if not path.is_file() and path.exists():  # opening a pipe would wait for ever
            raise no_image
        return Image.open(path, formats=FORMATS)
    except FileNotFoundError:
        remedy = "the index table is older than the folder, run the index stage again"
        raise BadInput(f"{path}: no such image; {remedy}") from None
    except BadInput:
        raise
    except Exception as error:  # Pillow raises many kinds for a bad file
        raise unreadable(path, error) or no_image from None


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """The image in another mode; of 16 bits the upper 8 where that mode has 8."""
    if image.mode in GREY_16 and mode == "RGB":
        values = np.asarray(image).astype(np.int64)
        lowest, highest = values.min(), values.max()
        if lowest < 0 or highest > 65535:
            raise ValueError(f"grey values from {lowest} to {highest}, expected 0 to 65535")
        upper_bits = values >> 8
        image = Image.fromarray(upper_bits.astype(np.uint8))
    return image.convert(mode)


def _first_channel(path: Path) -> Image.Image:
    """The first of several channels of 8 or 16 bits; of 16, Pillow would keep the upper 8 and lose the ids."""
    import cv2  # here: it takes long to import, and few datasets need it

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # blue, green, red; grey counts as all three
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    red = pixels[..., 2]
    return Image.fromarray(np.ascontiguousarray(red))


def _damaged(path: Path, error: Exception) -> BadInput:
    damaged = BadInput(f"{path}: damaged image ({in_short(error)}); replace or remove it")
    return unreadable(path, error) or damaged
