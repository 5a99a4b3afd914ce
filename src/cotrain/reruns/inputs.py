"""The provenance of any file, and whether its inputs are as they were read."""

import json
from pathlib import Path

from cotrain.files import origins
from cotrain.files.hashes import sha256
from cotrain.files.provenance import digest, listed
from cotrain.files.sidecars import dropped, kept

HASH_SHOWN = 16  # characters


def made_by(path: Path) -> dict:
    """Provenance of a file, by its sidecar or, where that is missing or of other bytes, by what the file contains."""
    record = kept(path)
    if record and (dropped(path) or (path.exists() and record["sha256"] == sha256(path))):
        return record["provenance"]
    if path.suffix == ".pt":
        from cotrain.networks import checkpoint

        return checkpoint.read(path)["provenance"]
    return origins.read_provenance(path)


class Checker:
    """Compares inputs with how they were read; reads each file once."""

    def __init__(self) -> None:
        self.hashes: dict[tuple, str] = {}

    def fault(self, role: str, entry: dict, settings: dict) -> str:
        """What is wrong with an input: "gone", "changed since", or nothing."""
        path = Path(entry["path"])
        if dropped(path):
            is_same = kept(path)["sha256"] == entry["sha256"]
        elif path.exists():
            is_same = self._hash(role, path, settings) == entry["sha256"] and listed(path) == entry.get("listed")
        else:
            return "gone"
        return "" if is_same else "changed since"

    def _hash(self, role: str, path: Path, settings: dict) -> str:
        # What counts of the folder `root` follows from the settings of the index.
        key = (path, json.dumps(settings)) if role == "root" else (path,)
        if key not in self.hashes:
            self.hashes[key] = digest(role, path, settings)
        return self.hashes[key]


def short_hash(content_hash: str) -> str:
    """A hash as it is shown to people."""
    return content_hash[:HASH_SHOWN]


def flattened(settings: dict, prefix: str = "") -> dict:
    """Nested settings by dotted names."""
    flat = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
