"""Hashes of files and folders."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes; of a folder's file names and contents."""
    if path.is_dir():
        parts = (f"{p.relative_to(path)} {sha256(p)}\n" for p in sorted(path.rglob("[!.]*")) if p.is_file())
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
