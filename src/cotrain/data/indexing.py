"""The images of a dataset → index table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.base.patterns import matching
from cotrain.data.decoding import size
from cotrain.data.images import PHOTOGRAPHS
from cotrain.data.labels import LABELS
from cotrain.files.ids import check_ids
from cotrain.settings.datasets import Index, Layout

if TYPE_CHECKING:
    import pandas as pd

SHAPE_TOLERANCE = 0.01  # of width / height


class Listed(NamedTuple):
    """An image of an index table."""

    image_id: str
    own_id: str  # in its own dataset, where several are joined
    path: Path
    layout: Layout


def index(root: Path, settings: Index) -> list[dict]:
    """Rows of an index table for the images below `root` that fit `settings`, in order of id.

    Sizes come from the heads of the files; no image is decoded. With a label pattern, every image must have a label of
    its own size; with `mismatched: skip` those of another size are left out, and standard error says which. Raises
    BadInput.
    """
    rows = []
    left_out = []
    for image in listed(root, settings):
        row = _row(root, image)
        if row is None:
            left_out.append(image.image_id)
        else:
            rows.append(row)
    if left_out:
        print(f"index: {in_brief(left_out)} left out: the label has another size", file=sys.stderr)
    if not rows:
        raise BadInput(f"{root}: each label has another size than its image; check the dataset's patterns")
    return rows


def listed(root: Path, settings: Index) -> list[Listed]:
    """The images of an index table; labels are not looked at. Raises BadInput."""
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; set data.root in the config or the environment variable COTRAIN_DATA")
    images = []
    for part, layout in (settings.join or {"": settings}).items():
        paths = find(root, layout)
        check_ids([own_id for own_id, _ in paths], root)
        if not paths:
            choice = f"no image matches {layout.images}{_choice(layout)}"
            raise BadInput(f"{root}: {choice}; check the folder and the dataset's pattern")
        for own_id, path in paths:
            image_id = f"{part}/{own_id}" if part else own_id
            images.append(Listed(image_id, own_id, path, layout))
    if settings.limit and settings.limit < len(images):
        places = np.linspace(0, len(images) - 1, settings.limit)  # evenly spread
        images = [images[place] for place in places.round().astype(int)]
    return images


def find(root: Path, layout: Layout) -> list[tuple[str, Path]]:
    """(id, path) of the images below `root` that a layout is about, in order of id; labels are not looked at.

    Raises BadInput.
    """
    images = []
    for image_id, name in matching(root, layout.images):
        images.append((image_id, root / name))
    images.sort()
    if layout.list_file:
        images = _chosen(dict(images), root / layout.list_file, layout.images)
    if layout.aspect:
        width, height = layout.aspect
        images = [image for image in images if _has_shape(image[1], width, height)]
    return images


def _chosen(images: dict[str, Path], list_file: Path, pattern: str) -> list[tuple[str, Path]]:
    """(id, path) of the images that a file lists, in order of id."""
    chosen = []
    for number, image_id in _lines(list_file):
        if image_id not in images:
            unknown = f"line {number}: {image_id} is the id of no image {pattern}"
            raise BadInput(f"{list_file}: {unknown}; a line is what {{id}} stands for")
        chosen.append((image_id, images[image_id]))
    return sorted(chosen)


def _has_shape(path: Path, width: int, height: int) -> bool:
    """Whether an image has the aspect ratio width : height."""
    image_width, image_height = size(path, PHOTOGRAPHS)
    stretch = image_width * height / (image_height * width)
    return abs(stretch - 1) < SHAPE_TOLERANCE


def in_brief(names: list[str]) -> str:
    """How many there are, and the first of them."""
    count = len(names)
    first = names[:5]
    if count > len(first):
        first.append("…")
    return f"{count} ({', '.join(first)})"


def _choice(layout: Layout) -> str:
    """What else than its pattern chooses the images of a layout, in words."""
    words = ""
    if layout.list_file:
        words += f" and the list {layout.list_file}"
    if layout.aspect:
        width, height = layout.aspect
        words += f" and the shape {width}:{height}"
    return words


def _lines(path: Path) -> list[tuple[int, str]]:
    """(line number, id) of a list of images; empty lines and those that begin with # do not count."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read as a list of images ({in_short(error)}); give a text file") from None
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        image_id = line.strip()
        if image_id and not image_id.startswith("#"):
            lines.append((number, image_id))
    return lines


def _row(root: Path, image: Listed) -> dict | None:
    """A row of the index table; None for an image that is left out because its label has another size."""
    width, height = size(image.path, PHOTOGRAPHS)
    label = _label_path(root, image)
    if label is not None:
        label_width, label_height = size(label, LABELS[image.layout.encoding])
        if (label_width, label_height) != (width, height):
            if image.layout.mismatched == "skip":
                return None
            sizes = f"size {label_width}×{label_height} differs from its image's {width}×{height}"
            raise BadInput(f"{label}: {sizes}; fix or remove the pair")
    return {
        "image_id": image.image_id,
        "image": str(image.path),
        "label": "" if label is None else str(label),
        "height": height,
        "width": width,
    }


def _label_path(root: Path, image: Listed) -> Path | None:
    """The label of an image; None if labels are not listed. BadInput if it is missing."""
    pattern = image.layout.labels
    if not pattern:
        return None
    label = root / pattern.replace("{id}", image.own_id)
    if not _is_file(label):
        raise BadInput(f"{image.path}: it has no label {label}; add the file or remove the image")
    return label


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # a folder above it may not be entered
        raise unreadable(path, error) or error from None


def check_labelled(table: "pd.DataFrame", where: Path) -> None:
    """BadInput if an index table has an image without a label."""
    if (table["label"] == "").any():
        raise BadInput(f"{where}: it lists images without labels; give the index of a labelled dataset")


def by_id(table: "pd.DataFrame", ids: list[str], where: Path) -> "pd.DataFrame":
    """Rows of an index table for `ids`, in that order. Raises BadInput for an id that is not in it."""
    rows = table.set_index("image_id", drop=False)
    missing = [image_id for image_id in ids if image_id not in rows.index]
    if missing:
        raise BadInput(f"{where}: image {missing[0]} is not in it; the files are of different target sets")
    return rows.loc[ids]
