"""The images of a dataset → index table."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotrain.base.errors import BadInput, in_short
from cotrain.base.patterns import matching
from cotrain.files.ids import check_ids
from cotrain.settings.datasets import Index, Layout

if TYPE_CHECKING:
    import pandas as pd
from cotrain.data.images import LABELS, PHOTOGRAPHS, size

SHAPE_TOLERANCE = 0.01  # of width / height


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
