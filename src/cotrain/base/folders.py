"""Contents of folders. One that cannot be read is an error: were it taken for empty, files would be lost silently."""

import os
from collections.abc import Iterator
from pathlib import Path

from cotrain.base.errors import unreadable


def entries_of(folder: Path) -> list[os.DirEntry]:
    """Files and folders in a folder, in no order; [] if there is no such folder. Raises BadInput."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        fault = unreadable(folder, error)
        if fault:
            raise fault from None
        return []


def is_folder(entry: os.DirEntry) -> bool:
    """Whether an entry is a folder or a link to one. Raises BadInput if the system does not tell."""
    try:
        return entry.is_dir()
    except OSError as error:
        fault = unreadable(Path(entry.path), error)
        if fault:
            raise fault from None
        return False  # a link to itself


def files_below(folder: Path) -> Iterator[os.DirEntry]:
    """Files below a folder, those in hidden folders too. Links to folders are not followed. Raises BadInput."""
    waiting = [folder]
    while waiting:
        for entry in entries_of(waiting.pop()):
            if not is_folder(entry):
                yield entry
            elif not entry.is_symlink():
                waiting.append(Path(entry.path))
