"""Hashes all files of a run, and what they were made from, and compares with the hashes written at the making."""

from pathlib import Path
from typing import Annotated

from cotrain.base.errors import BadInput
from cotrain.base.roles import LOOKUP, POSITIONAL, READ
from cotrain.reruns import lineage


def run(folder: Annotated[Path, READ | LOOKUP | POSITIONAL]) -> None:
    """Photographs are checked by their names alone."""
    lineage.check_folder(folder)
    count, faults = lineage.faults(folder)
    if faults:
        raise BadInput(*faults)
    print(f"OK: {count} files")
