"""Datasets on disk → index tables → arrays. A dataset is a description (workflow/datasets/*.yaml), not code."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image, ImageOps

from cotrain.errors import BadInput, in_short
from cotrain.settings import Index
from cotrain.store import check_ids

# Others may start programs (EPS) or are no photographs; what a file is called does not matter.
FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000")
PHOTOGRAPHS = dict.fromkeys(("RGB", "RGBA", "RGBX", "L", "LA", "P", "PA", "1", "CMYK", "YCbCr"), "RGB")
LABELS = {"L": "L", "P": "P", "I;16": "I;16", "I;16B": "I", "I": "I"}  # one channel of ids
MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit above speaks in our words
warnings.filterwarnings("ignore", module="PIL")  # of odd metadata; what matters is an error


# ---- description → index ----------------------------------------------------------------------------------------


def index(root: Path, settings: Index) -> list[dict]:
    """Rows of an index table for the images below `root` that match `settings.images`, in order of id.

    Sizes come from the file headers; no image is decoded. With a label pattern, every image must have a label of
    its own size.
    """
    return [_row(root, image_id, path, settings.labels) for image_id, path in listed(root, settings)]


def listed(root: Path, settings: Index) -> list[tuple[str, Path]]:
    """(id, path) of the images of an index table, by their names alone."""
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; set data.root in the config or the environment variable COTRAIN_DATA")
    found = sorted(_matches(root, settings.images))
    check_ids([image_id for image_id, _ in found], root)
    if not found:
        raise BadInput(f"{root}: no image matches {settings.images}; check the folder and the dataset's pattern")
    if settings.limit and settings.limit < len(found):
        found = [found[i] for i in np.linspace(0, len(found) - 1, settings.limit).round().astype(int)]
    return found


def _matches(root: Path, pattern: str) -> list[tuple[str, Path]]:
    """(id, path) of the files below `root` that fit a pattern with one {id}, which may span folders."""
    head, _, tail = pattern.partition("{id}")
    folder = head.rpartition("/")[0]
    fits = re.compile(re.escape(head) + "(?P<id>.+)" + re.escape(tail), re.DOTALL)
    matches = ((fits.fullmatch(p.relative_to(root).as_posix()), p) for p in (root / folder).rglob("*"))
    return [(match["id"], path) for match, path in matches if match and not path.name.startswith(".")]


def _row(root: Path, image_id: str, image: Path, labels: str | None) -> dict:
    width, height = _size(image, PHOTOGRAPHS)
    row = {"image_id": image_id, "image": str(image), "label": "", "height": height, "width": width}
    if labels:
        label = root / labels.replace("{id}", image_id)
        if not label.is_file():
            raise BadInput(f"{image}: it has no label {label}; add the file or remove the image")
        if (size := _size(label, LABELS)) != (width, height):
            found = "{}×{}".format(*size)
            raise BadInput(f"{label}: size {found} differs from its image's {width}×{height}; mend or remove the pair")
        row["label"] = str(label)
    return row


# ---- index → arrays ---------------------------------------------------------------------------------------------


def _open(path: Path, modes: dict[str, str]) -> Image.Image:
    """An image of one of `modes` whose head is read, and not its pixels."""
    try:
        image = Image.open(path, formats=FORMATS) if path.is_file() or not path.exists() else None
    except FileNotFoundError:
        raise BadInput(
            f"{path}: no such image; the index table is older than the folder, run the index stage again"
        ) from None
    except Exception:  # Pillow raises many kinds for a bad file
        image = None
    if image is None:
        raise BadInput(f"{path}: not a readable image ({', '.join(FORMATS)}); replace or remove it")
    if not 0 < image.width * image.height <= MAX_PIXELS:
        raise BadInput(f"{path}: {image.width}×{image.height} pixels, the limit is {MAX_PIXELS:,}; scale it down")
    if image.mode not in modes:
        what = "one channel of ids" if modes is LABELS else "8 bits per channel"
        raise BadInput(f"{path}: pixels of mode {image.mode}, expected {what} ({', '.join(modes)}); convert it")
    return image


def _size(path: Path, modes: dict[str, str]) -> tuple[int, int]:
    """Width and height, upright."""
    with _open(path, modes) as image:
        try:
            turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
        except Exception as error:
            raise _damaged(path, error) from None
        return image.size[::-1] if turned else image.size


def _decode(path: Path, modes: dict[str, str], size: tuple[int, int] | None, resample: Image.Resampling) -> np.ndarray:
    """Pixels, upright, of an image of one of `modes`, each with the mode to convert it to."""
    with _open(path, modes) as image:
        try:
            if image.format == "PNG":  # decoding does not compare its checksums
                with Image.open(path) as whole:
                    whole.verify()
            tagged = "exif" in image.info
            decoded = image.convert(modes[image.mode])
            if tagged:
                ImageOps.exif_transpose(decoded, in_place=True)
            if size and (size[1], size[0]) != decoded.size:
                decoded = decoded.resize((size[1], size[0]), resample)
            return np.array(decoded)
        except Exception as error:
            raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> BadInput:
    return BadInput(f"{path}: damaged image ({in_short(error)}); replace or remove it")


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as sRGB (H, W, 3) uint8, resized to `size` (height, width) if given."""
    return _decode(Path(path), PHOTOGRAPHS, size, Image.Resampling.BILINEAR)


def read_label(path: Path | str, values: dict[int, int], size: tuple[int, int] | None = None) -> np.ndarray:
    """A label image as classes (H, W) uint8, VOID where the dataset means none; nearest pixel when resized.

    `values` maps each value the image may hold to a class; another value is an error.
    """
    raw = _decode(Path(path), LABELS, size, Image.Resampling.NEAREST)
    if raw.min() < 0 or raw.max() > 65535:
        raise BadInput(f"{path}: label values from {raw.min()} to {raw.max()}, expected 0 to 65535; convert it")
    table = np.full(65536, -1, np.int16)
    table[list(values)] = list(values.values())
    label = table[raw]
    if (label < 0).any():
        unknown = int(raw[label < 0][0])
        raise BadInput(f"{path}: label value {unknown} is unknown; add it to `values` in the dataset's YAML")
    return label.astype(np.uint8)


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """A mask image as (H, W) bool, true where it is not zero."""
    return _decode(Path(path), dict.fromkeys(PHOTOGRAPHS, "L"), size, Image.Resampling.NEAREST) > 0


def check_labelled(table: pd.DataFrame, where: Path) -> None:
    """BadInput if an index table has an image without a label."""
    if (table["label"] == "").any():
        raise BadInput(f"{where}: it lists images without labels; give the index of a labelled dataset")


def by_id(table: pd.DataFrame, ids: list[str], where: Path) -> pd.DataFrame:
    """Rows of an index table for `ids`, in that order."""
    rows = table.set_index("image_id", drop=False)
    if missing := [i for i in ids if i not in rows.index]:
        raise BadInput(f"{where}: image {missing[0]} is not in it; the files are of different target sets")
    return rows.loc[ids]
