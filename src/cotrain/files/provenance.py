"""How files were made: hashes, and the hidden file beside each file that says by what and from what.

The workflow reads these whenever it is parsed, so nothing heavy is imported here.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from cotrain import __version__
from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.files.code import manifest
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import dropped, entries, kept, sidecar
from cotrain.settings.architectures import source_file, weights_file

LISTS_IMAGES = ("index", "draw")  # stages whose tables name images that are read by whoever reads the table
BINARY = (".h5", ".pt")  # nobody edits these by hand, as tables may be


def listing(folder: Path, settings: dict) -> str:
    """Hash of the names below a folder that an index with these settings would list.

    Contents of photographs do not count; those of lists of images do, and those of scenes that this project rendered,
    by the file beside them.
    """
    layouts = list((settings.get("join") or {}).values()) or [settings]
    patterns = [layout[name] for layout in layouts for name in ("images", "labels") if layout[name]]
    names = sorted({name for pattern in patterns for _, name in matching(folder, pattern)})
    lists = [path for layout in layouts if (path := folder / (layout.get("list_file") or "")).is_file()]
    rendered = kept(folder)
    text = "\n".join([rendered["sha256"] if rendered else "", *names, *(sha256(path) for path in lists)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


# ---- what made a file -------------------------------------------------------------------------------------------


def provenance(stage: str, settings: dict, inputs: dict[str, list[Path]]) -> dict[str, Any]:
    """What made a file: stage, settings, inputs by role with their hashes, and the code: version and definitions."""
    if named := [Path(name) for name in named_files(settings) if Path(name).is_file()]:
        inputs = inputs | {"settings": named}
    hashed = {role: [_entry(role, path, settings) for path in paths] for role, paths in inputs.items()}
    made_by = {"stage": stage, "settings": settings, "inputs": hashed}
    return made_by | {"code": __version__, "definitions": manifest(stage)}


def _entry(role: str, path: Path, settings: dict) -> dict[str, str]:
    entry = {"path": str(path), "sha256": digest(role, path, settings)}
    check_as_made(path, entry["sha256"])
    return entry | {"listed": images} if (images := listed(path)) else entry


def check_as_made(path: Path, found: str) -> None:
    """BadInput if a file that nobody edits by hand does not have the hash that its stage left it with."""
    if path.suffix in BINARY and (made := kept(path)) and made["sha256"] != found:
        own = f"to use it as it is, delete {sidecar(path)}"
        raise BadInput(f"{path}: damaged, or changed after it was made; delete it and run its stage again, or {own}")


def digest(role: str, path: Path, settings: dict) -> str:
    """Hash of an input now: of the folder `root` only names, since photographs may be many."""
    try:
        return listing(path, settings) if role == "root" else sha256(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def named_files(settings: dict) -> list[str]:
    """Files that settings name: read by the stage, but by no flag."""
    model = settings.get("model") or {}
    own = [*settings.get("trust", ()), *([model["architecture"]] if model else [])]
    named = [settings.get("ego_mask"), weights_file(model.get("weights")), *map(source_file, own)]
    return [str(Path(name)) for name in dict.fromkeys(named) if name]


def listed(path: Path) -> str | None:
    """For a table of images: a hash of what it was made from, since the same rows may come to mean other images."""
    found = kept(path)
    if found is None or found["provenance"]["stage"] not in LISTS_IMAGES:
        return None
    read = [(role, entry["sha256"], entry.get("listed")) for role, entry in entries(found["provenance"])]
    return hashlib.sha256(json.dumps(read).encode()).hexdigest()


def unchanged(role: str, entry: dict, settings: dict) -> bool:
    """Whether an input is still as it was read; false if it is gone, unless it was dropped as it was read."""
    path = Path(entry["path"])
    if dropped(path):
        return entry["sha256"] == kept(path)["sha256"]
    return path.exists() and entry.get("listed") == listed(path) and entry["sha256"] == digest(role, path, settings)
