"""Datasets on disk → index tables → arrays. A dataset is a description (workflow/datasets/*.yaml), not code."""

import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import ExifTags, Image, ImageOps

from cotrain.base.errors import BadInput, in_short
from cotrain.files.provenance import matching
from cotrain.files.store import check_ids
from cotrain.settings.stages import Coding, Index, Layout

if TYPE_CHECKING:
    import pandas as pd

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
SHAPE_TOLERANCE = 0.01  # of width / height
MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit above speaks in our words
warnings.filterwarnings("ignore", module="PIL")  # of odd metadata; what matters is an error


# ---- description → index ----------------------------------------------------------------------------------------


def index(root: Path, settings: Index) -> list[dict]:
    """Rows of an index table for the images below `root` that fit `settings`, in order of id.

    Sizes come from the file headers; no image is decoded. With a label pattern, every image must have a label of
    its own size; with `mismatched: skip` those of another size are left out, and standard error says which.
    """
    found = listed(root, settings)
    rows = [_row(root, *image) for image in found]
    if skipped := [entry[0] for entry, row in zip(found, rows, strict=True) if row is None]:
        print(f"index: {in_brief(skipped)} left out: the label has another size", file=sys.stderr)
    if len(skipped) == len(rows):
        raise BadInput(f"{root}: each label has another size than its image; check the dataset's patterns")
    return [row for row in rows if row]


def listed(root: Path, settings: Index) -> list[tuple[str, str, Path, Layout]]:
    """(id, id in its own dataset, path, layout) of the images of an index table; labels are not looked at."""
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; set data.root in the config or the environment variable COTRAIN_DATA")
    found = []
    for name, layout in (settings.join or {"": settings}).items():
        images = find(root, layout)
        check_ids([image_id for image_id, _ in images], root)
        if not images:
            what = f"no image matches {layout.images}{_choice(layout)}"
            raise BadInput(f"{root}: {what}; check the folder and the dataset's pattern")
        found += [(f"{name}/{image_id}" if name else image_id, image_id, path, layout) for image_id, path in images]
    if settings.limit and settings.limit < len(found):
        found = [found[i] for i in np.linspace(0, len(found) - 1, settings.limit).round().astype(int)]
    return found


def find(root: Path, layout: Layout) -> list[tuple[str, Path]]:
    """(id, path) of the images below `root` that a layout is about, in order of id; labels are not looked at."""
    found = sorted((image_id, root / name) for image_id, name in matching(root, layout.images))
    if layout.list_file:
        images, found = dict(found), []
        for line, image_id in _lines(root / layout.list_file):
            if image_id not in images:
                what = f"line {line}: {image_id} is the id of no image {layout.images}"
                raise BadInput(f"{root / layout.list_file}: {what}; a line is what {{id}} stands for")
            found.append((image_id, images[image_id]))
        found.sort()
    if layout.aspect:
        width, height = layout.aspect
        shapes = ((image, size(image[1], PHOTOGRAPHS)) for image in found)
        found = [image for image, (w, h) in shapes if abs(w * height / (h * width) - 1) < SHAPE_TOLERANCE]
    return found


def in_brief(names: list[str]) -> str:
    """How many there are, and the first of them."""
    return f"{len(names)} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"


def _choice(layout: Layout) -> str:
    named = [f"the list {layout.list_file}"] if layout.list_file else []
    named += ["the shape {}:{}".format(*layout.aspect)] if layout.aspect else []
    return "".join(f" and {name}" for name in named)


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number, id) of a list of images; empty lines and those that begin with # do not count."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a list of images ({in_short(error)}); give a text file") from None
    return [(i, line) for i, line in enumerate(lines, start=1) if line and not line.startswith("#")]


def _row(root: Path, image_id: str, own_id: str, image: Path, layout: Layout) -> dict | None:
    width, height = size(image, PHOTOGRAPHS)
    row = {"image_id": image_id, "image": str(image), "label": "", "height": height, "width": width}
    if layout.labels:
        label = root / layout.labels.replace("{id}", own_id)
        if not label.is_file():
            raise BadInput(f"{image}: it has no label {label}; add the file or remove the image")
        if (other := size(label, *LABELS[layout.encoding])) != (width, height):
            if layout.mismatched == "skip":
                return None
            found = "{}×{}".format(*other)
            raise BadInput(f"{label}: size {found} differs from its image's {width}×{height}; mend or remove the pair")
        row["label"] = str(label)
    return row


# ---- index → arrays ---------------------------------------------------------------------------------------------


def _open(path: Path, modes: dict[str, str], what: str = "8 or 16 bits per channel") -> Image.Image:
    """An image of one of `modes`, which are `what`, whose head is read, and not its pixels."""
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


def _decode(
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
    return BadInput(f"{path}: damaged image ({in_short(error)}); replace or remove it")


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as sRGB (H, W, 3) uint8, resized to `size` (height, width) if given.

    Upright as its EXIF orientation says; transparency is left out; of 16 bits per channel the upper 8 are kept.
    """
    return _decode(Path(path), PHOTOGRAPHS, size, Image.Resampling.BILINEAR)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W, 3) uint8 at `size` (height, width), as `read_image` resizes."""
    if image.shape[:2] == tuple(size):
        return image
    return np.array(Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR))


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
    raw = _decode(Path(path), LABELS[encoding][0], size, Image.Resampling.NEAREST, LABELS[encoding][1])
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
    return _decode(Path(path), MASKS, size, Image.Resampling.NEAREST) > 0


def check_labelled(table: "pd.DataFrame", where: Path) -> None:
    """BadInput if an index table has an image without a label."""
    if (table["label"] == "").any():
        raise BadInput(f"{where}: it lists images without labels; give the index of a labelled dataset")


def by_id(table: "pd.DataFrame", ids: list[str], where: Path) -> "pd.DataFrame":
    """Rows of an index table for `ids`, in that order."""
    rows = table.set_index("image_id", drop=False)
    if missing := [i for i in ids if i not in rows.index]:
        raise BadInput(f"{where}: image {missing[0]} is not in it; the files are of different target sets")
    return rows.loc[ids]
