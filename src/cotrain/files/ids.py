"""Image ids: relative paths that can name a dataset or a file."""

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cotrain.base.errors import BadInput

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass

_PRINTABLE = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")


def check_ids(ids: list[str], where: Path) -> None:
    """BadInput unless each id is a relative path of its own, which can name a dataset or a file."""
    known = set()
    for i in ids:
        if i in known:
            raise BadInput(f"{where}: image_id {i} occurs twice; ids must be unique")
        known.add(i)
        if not set(i.split("/")).isdisjoint({"", ".", ".."}) or not _PRINTABLE.fullmatch(i):
            raise BadInput(f"{where}: image_id {i!r} is no plain relative path; rename the image")
    for i in ids:
        if clash := known.intersection(p.as_posix() for p in PurePosixPath(i).parents):
            raise BadInput(f"{where}: image_id {min(clash)} is also the folder of {i}; rename one of them")
