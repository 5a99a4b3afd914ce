"""Image ids: relative paths that can name a dataset or a file."""

import re
from pathlib import Path, PurePosixPath

from cotrain.base.errors import BadInput

_PRINTABLE = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")


def check_ids(ids: list[str], where: Path) -> None:
    """BadInput unless each id is a relative path of its own, which can name a dataset or a file."""
    known = set()
    for image_id in ids:
        if image_id in known:
            raise BadInput(f"{where}: image_id {image_id} occurs twice; ids must be unique")
        known.add(image_id)
        if not _is_plain(image_id):
            raise BadInput(f"{where}: image_id {image_id!r} is no plain relative path; rename the image")
    for image_id in ids:
        folders = {folder.as_posix() for folder in PurePosixPath(image_id).parents}
        clash = known & folders
        if clash:
            raise BadInput(f"{where}: image_id {min(clash)} is also the folder of {image_id}; rename one of them")


def _is_plain(image_id: str) -> bool:
    """Whether an id is a relative path without empty parts, "." or "..", of printable text."""
    parts = set(image_id.split("/"))
    return parts.isdisjoint({"", ".", ".."}) and _PRINTABLE.fullmatch(image_id) is not None
