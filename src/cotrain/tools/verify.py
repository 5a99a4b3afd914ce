"""Hashes all files of a run, and what they were made from, and compares with the hashes written at the making."""

from pathlib import Path
from typing import Annotated

from cotrain.base.errors import BadInput
from cotrain.base.roles import LOOKUP, POSITIONAL, READ
from cotrain.reruns import verification


def run(folder: Annotated[Path, READ | LOOKUP | POSITIONAL]) -> None:
    """Photographs are checked by their names alone."""
    verification.check_folder(folder)
    count, faults = verification.faults(folder)
    if faults:
        raise BadInput(*faults)
    print(f"OK: {count} files")
