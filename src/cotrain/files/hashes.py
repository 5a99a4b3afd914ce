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
    files = []
    for entry in files_below(folder):
        is_hidden = entry.name.startswith(".")
        if not is_hidden and entry.is_file():  # a pipe or a link that leads nowhere has no content
            files.append(Path(entry.path))
    lines = []
    for file in sorted(files):
        name = file.relative_to(folder)
        lines.append(f"{name} {sha256(file)}\n")
    text = "".join(lines)
    return hashlib.sha256(text.encode()).hexdigest()
