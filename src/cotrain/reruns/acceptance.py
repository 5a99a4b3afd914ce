"""Files that count as made by the code of now."""

import json
from pathlib import Path

from cotrain.files import atomic
from cotrain.files.code import manifest
from cotrain.files.sidecars import kept, made_files, sidecar


def accept(folder: Path) -> int:
    """Let the files below a folder count as made by the code of now; returns how many were not.

    This is written to their sidecars. Their provenance still tells what code really made them.
    """
    return sum(_accept_code(path) for path in made_files(folder))


def _accept_code(path: Path) -> bool:
    """Whether the file was made by other code than now's, which it is no more."""
    record = kept(path)
    if record is None:
        return False
    provenance = record["provenance"]
    try:
        now = manifest(provenance["stage"])
    except KeyError:  # a stage that no longer exists
        return False
    if record.get("accepted", provenance.get("definitions")) == now:
        return False
    write_record(path, record | {"accepted": now})
    return True


def write_record(path: Path, record: dict) -> None:
    """Replace the content of a file's sidecar."""
    text = json.dumps(record, indent=1, sort_keys=True)
    atomic.write_bytes(sidecar(path), text.encode())
