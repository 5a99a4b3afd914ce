"""Datasets on disk → index tables → arrays. A dataset is a description (workflow/datasets/*.yaml), not code."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from cotrain.errors import BadInput
from cotrain.settings import Index

MAX_PIXELS = 100_000_000
Image.MAX_IMAGE_PIXELS = None  # the limit below speaks in our words


# ---- description → index ----------------------------------------------------------------------------------------


def index(root: Path, settings: Index) -> list[dict]:
    """Rows of an index table for the images below `root` that match `settings.images`, in order of id.

    Sizes come from the file headers; no image is decoded. With a label pattern, every image must have a label of
    its own size.
    """
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; set data.root in the config or the environment variable COTRAIN_DATA")
    found = sorted(_matches(root, settings.images))
    if not found:
        raise BadInput(f"{root}: no image matches {settings.images}; check the folder and the dataset's pattern")
    if settings.limit and settings.limit < len(found):
        found = [found[i] for i in np.linspace(0, len(found) - 1, settings.limit).round().astype(int)]
    return [_row(root, image_id, path, settings.labels) for image_id, path in found]


def _matches(root: Path, pattern: str) -> list[tuple[str, Path]]:
    """(id, path) of the files below `root` that fit a pattern with one {id}, which may span folders."""
    head, _, tail = pattern.partition("{id}")
    folder = head.rpartition("/")[0]
    fits = re.compile(re.escape(head) + "(?P<id>.+)" + re.escape(tail), re.DOTALL)
    matches = ((fits.fullmatch(p.relative_to(root).as_posix()), p) for p in (root / folder).rglob("*"))
    return [(match["id"], path) for match, path in matches if match and not path.name.startswith(".")]


def _row(root: Path, image_id: str, image: Path, labels: str | None) -> dict:
    width, height = _size(image)
    row = {"image_id": image_id, "image": str(image), "label": "", "height": height, "width": width}
    if labels:
        label = root / labels.replace("{id}", image_id)
        if not label.is_file():
            raise BadInput(f"{image}: it has no label {label}; add the file or remove the image")
        if _size(label) != (width, height):
            found = "{}×{}".format(*_size(label))
            raise BadInput(f"{label}: size {found} differs from its image's {width}×{height}; mend or remove the pair")
        row["label"] = str(label)
    return row


# ---- index → arrays ---------------------------------------------------------------------------------------------


def _open(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
    except FileNotFoundError:
        raise BadInput(
            f"{path}: no such image; the index table is older than the folder, run the index stage again"
        ) from None
    except (OSError, ValueError, SyntaxError):
        raise BadInput(f"{path}: not a readable image; replace or remove it") from None
    if image.width * image.height > MAX_PIXELS:
        raise BadInput(f"{path}: {image.width}×{image.height} pixels, the limit is {MAX_PIXELS:,}; scale it down")
    return image


def _size(path: Path) -> tuple[int, int]:
    with _open(path) as image:
        return image.size


def _decode(path: Path, mode: str | None, size: tuple[int, int] | None, resample: Image.Resampling) -> np.ndarray:
    with _open(path) as image:
        try:
            decoded = image.convert(mode) if mode else image
            if size and (size[1], size[0]) != decoded.size:
                decoded = decoded.resize((size[1], size[0]), resample)
            return np.array(decoded)
        except (OSError, ValueError, SyntaxError) as error:
            raise BadInput(f"{path}: damaged image ({error}); replace or remove it") from None


def read_image(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """An image as sRGB (H, W, 3) uint8, resized to `size` (height, width) if given."""
    return _decode(Path(path), "RGB", size, Image.Resampling.BILINEAR)


def read_label(path: Path | str, values: dict[int, int], size: tuple[int, int] | None = None) -> np.ndarray:
    """A label image as classes (H, W) uint8, VOID where the dataset means none; nearest pixel when resized.

    `values` maps each value the image may hold to a class; another value is an error.
    """
    raw = _decode(Path(path), None, size, Image.Resampling.NEAREST)
    if raw.ndim != 2 or raw.dtype.kind not in "ui" or raw.min() < 0 or raw.max() > 65535:
        raise BadInput(f"{path}: a label image has one channel of ids, found shape {raw.shape} {raw.dtype}; convert it")
    table = np.full(65536, -1, np.int16)
    table[list(values)] = list(values.values())
    label = table[raw]
    if (label < 0).any():
        unknown = int(raw[label < 0][0])
        raise BadInput(f"{path}: label value {unknown} is unknown; add it to `values` in the dataset's YAML")
    return label.astype(np.uint8)


def read_mask(path: Path | str, size: tuple[int, int]) -> np.ndarray:
    """A mask image as (H, W) bool, true where it is not zero."""
    return _decode(Path(path), "L", size, Image.Resampling.NEAREST) > 0


def by_id(table: pd.DataFrame, ids: list[str], where: Path) -> pd.DataFrame:
    """Rows of an index table for `ids`, in that order."""
    rows = table.set_index("image_id", drop=False)
    if missing := [i for i in ids if i not in rows.index]:
        raise BadInput(f"{where}: image {missing[0]} is not in it; the files are of different target sets")
    return rows.loc[ids]
