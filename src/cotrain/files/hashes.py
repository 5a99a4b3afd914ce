"""Hashes of files and folders."""

import hashlib
from pathlib import Path

from cotrain.base.errors import unreadable
from cotrain.base.folders import files_below


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, or of the names and contents of a folder's files; hidden files do not count.

    Raises BadInput if the system does not let us read it, and OSError if there is no such file.
    """
    try:
        if path.is_dir():
            return _of_folder(path)
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) or error from None


def _of_folder(folder: Path) -> str:
    paths = [Path(entry.path) for entry in files_below(folder) if not entry.name.startswith(".")]
    lines = []
    for path in sorted(paths):
        if path.is_file():  # a pipe or a link that leads nowhere has no content
            lines.append(f"{path.relative_to(folder)} {sha256(path)}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()
