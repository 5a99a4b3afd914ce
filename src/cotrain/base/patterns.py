"""File names that fit a pattern with one {id}."""

import os
from collections.abc import Iterator
from pathlib import Path


def matching(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """(id, name) of what below `folder` has a name there that fits a pattern with one {id}, which may span folders.

    A folder of such a name is among them: it is no image, and whoever opens it says so.
    """
    head, _, tail = pattern.partition("{id}")
    start, end = len(head), -len(tail) or None
    for name in names_below(folder, head.rpartition("/")[0]):
        if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            yield name[start:end], name


def names_below(folder: Path, below: str) -> Iterator[str]:
    """Names, from `folder`, of files and folders in its folder `below` and those in that; hidden ones do not count."""
    seen = set()
    for place, folders, files in os.walk(folder / below, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # links that go in circles
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder).as_posix()
        yield from (name if inside == "." else f"{inside}/{name}" for name in (*folders, *files) if name[0] != ".")
