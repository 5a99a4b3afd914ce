"""Hashes of files and folders."""

import hashlib
from pathlib import Path

from cotrain.base.errors import unreadable


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
    files = [path for path in sorted(folder.rglob("[!.]*")) if path.is_file()]
    lines = [f"{path.relative_to(folder)} {sha256(path)}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
