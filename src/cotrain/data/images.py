"""Image files → arrays."""

import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cotrain.base.errors import BadInput, in_short, unreadable

# Others may start programs (EPS) or are no photographs; what a file is called does not matter.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")
MASKS = dict.fromkeys(("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr"), "L")
GREY_16 = ("I;16", "I;16B", "I;16L", "I")  # of several channels of 16 bits, Pillow itself keeps the upper 8
PHOTOGRAPHS = dict.fromkeys((*MASKS, *GREY_16), "RGB")
IDS = {"L": "L", "P": "P", "I;16": "I;16", "I;16B": "I", "I": "I"}
LABELS = {  # encoding: pixels, what they are called when they are others
    "ids": (IDS, "one channel of ids"),
    "red": ({mode: mode for mode in ("RGB", "RGBA", "LA")}, "ids in the first of several channels"),
    "colors": (dict.fromkeys(("RGB", "RGBA", "P"), "RGB"), "colours of 8 bits per channel"),
}
MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit above is checked with a message of our own
warnings.filterwarnings("ignore", module="PIL")  # about unusual metadata; faults of the pixels are errors


def _open(path: Path, modes: dict[str, str], what: str = "8 or 16 bits per channel") -> Image.Image:
    """An image of one of `modes`, which are `what`, whose head is read, and not its pixels."""
    try:
        image = Image.open(path, formats=FORMATS) if path.is_file() or not path.exists() else None
    except FileNotFoundError:
        raise BadInput(
            f"{path}: no such image; the index table is older than the folder, run the index stage again"
        ) from None
    except Exception as error:  # Pillow raises many kinds for a bad file
        if fault := unreadable(path, error):
            raise fault from None
        image = None
    if image is None:
        raise BadInput(f"{path}: not a readable image ({', '.join(FORMATS)}); replace or remove it")
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise BadInput(f"{path}: {image.width}×{image.height} pixels, the limit is {MAX_PIXELS:,}; scale it down")
    if image.mode not in modes:
        raise BadInput(f"{path}: pixels of mode {image.mode}, expected {what} ({', '.join(modes)}); convert it")
    return image


def size(path: Path, modes: dict[str, str], *what: str) -> tuple[int, int]:
    """Width and height, upright, from the file's head."""
    with _open(path, modes, *what) as image:
        try:
            turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        except Exception as error:
            raise _damaged(path, error) from None
        return image.size[::-1] if turned else image.size


def decode(
    path: Path, modes: dict[str, str], size: tuple[int, int] | None, resample: Image.Resampling, *what: str
) -> np.ndarray:
    """Pixels, upright, of an image of one of `modes`, each with the mode to convert it to."""
    with _open(path, modes, *what) as image:
        try:
            if image.format == "PNG":  # decoding does not compare its checksums
                with Image.open(path) as whole:
                    whole.verify()
            tagged = "exif" in image.info
            decoded = _first_channel(path) if modes is LABELS["red"][0] else _converted(image, modes[image.mode])
            if tagged:
                ImageOps.exif_transpose(decoded, in_place=True)
            if size and (size[1], size[0]) != decoded.size:
                decoded = decoded.resize((size[1], size[0]), resample)
            return np.array(decoded)
        except Exception as error:
            raise _damaged(path, error) from None


def _converted(image: Image.Image, mode: str) -> Image.Image:
    """In another mode; of 16 bits the upper 8 where that has 8."""
    if image.mode in GREY_16 and mode == "RGB":
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise ValueError(f"grey values from {values.min()} to {values.max()}, expected 0 to 65535")
        image = Image.fromarray((values >> 8).astype(np.uint8))
    return image.convert(mode)


def _first_channel(path: Path) -> Image.Image:
    """The first of several channels of 8 or 16 bits; of 16, Pillow would keep the upper 8 and lose the ids."""
    import cv2  # here: it takes long to import, and few datasets need it

    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)  # blue, green, red; grey counts as all three
    if pixels is None:
        raise ValueError("OpenCV cannot decode it")
    return Image.fromarray(np.ascontiguousarray(pixels[..., 2]))


def _damaged(path: Path, error: Exception) -> BadInput:
    damaged = BadInput(f"{path}: damaged image ({in_short(error)}); replace or remove it")
    return unreadable(path, error) or damaged


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as sRGB (H, W, 3) uint8, resized to `size` (height, width) if given.

    Upright as its EXIF orientation says; transparency is left out; of 16 bits per channel the upper 8 are kept.
    """
    return decode(Path(path), PHOTOGRAPHS, size, Image.Resampling.BILINEAR)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 at `size` (height, width), as `read_image` resizes."""
    if image.shape[:2] == tuple(size):
        return image
    return np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))
