"""Provenance: the record of what made a file, and whether that is still so.

It names the stage, its settings, its inputs by role with their hashes, and the code. The workflow compares provenances
whenever it is parsed, so nothing heavy is imported here.
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


# ---- the record -------------------------------------------------------------------------------------------------


def provenance(stage: str, settings: dict, inputs: dict[str, list[Path]]) -> dict[str, Any]:
    """The provenance of what a stage is about to write. Raises BadInput if an input is not as it was made."""
    files = [Path(name) for name in named_files(settings)]
    existing = [file for file in files if file.is_file()]
    if existing:
        inputs = {**inputs, "settings": existing}
    hashed = {}
    for role, paths in inputs.items():
        hashed[role] = [_entry(role, path, settings) for path in paths]
    return {
        "stage": stage,
        "settings": settings,
        "inputs": hashed,
        "code": __version__,
        "definitions": manifest(stage),
    }


def _entry(role: str, path: Path, settings: dict) -> dict[str, str]:
    entry = {"path": str(path), "sha256": digest(role, path, settings)}
    check_as_made(path, entry["sha256"])
    images = listed(path)
    if images:
        entry["listed"] = images
    return entry


def check_as_made(path: Path, content_hash: str) -> None:
    """BadInput if a file that nobody edits by hand has another hash than its stage left it with."""
    if path.suffix not in BINARY:
        return
    made = kept(path)
    if made and made["sha256"] != content_hash:
        own = f"to use it as it is, delete {sidecar(path)}"
        raise BadInput(f"{path}: damaged, or changed after it was made; delete it and run its stage again, or {own}")


def named_files(settings: dict) -> list[str]:
    """Files that the settings of a stage name: it reads them, but no flag leads to them."""
    names = [settings.get("ego_mask")]
    architectures = list(settings.get("trust", ()))
    model = settings.get("model")
    if model:
        names.append(weights_file(model.get("weights")))
        architectures.append(model["architecture"])
    for architecture in architectures:
        names.append(source_file(architecture))
    return [str(Path(name)) for name in dict.fromkeys(names) if name]


# ---- hashes of inputs -------------------------------------------------------------------------------------------


def digest(role: str, path: Path, settings: dict) -> str:
    """Hash of an input as it is now. Of the folder `root` only names count, since photographs may be many.

    Raises BadInput if it cannot be read.
    """
    try:
        return listing(path, settings) if role == "root" else sha256(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from None


def listing(folder: Path, settings: dict) -> str:
    """Hash of the names below a folder that an index with these settings would list.

    Contents of photographs do not count. Those of lists of images do, and so do those of scenes that this project
    rendered, by their sidecar.
    """
    parts = settings.get("join") or {"": settings}
    names = set()
    lists = []
    for layout in parts.values():
        for pattern in (layout["images"], layout["labels"]):
            if pattern:
                names.update(name for _, name in matching(folder, pattern))
        list_file = folder / (layout.get("list_file") or "")
        if list_file.is_file():
            lists.append(sha256(list_file))
    rendered = kept(folder)
    scenes = rendered["sha256"] if rendered else ""
    text = "\n".join([scenes, *sorted(names), *lists])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def listed(path: Path) -> str | None:
    """For a table of images, a hash of what it was made from, since the same rows may come to mean other images."""
    content = kept(path)
    if content is None or content["provenance"]["stage"] not in LISTS_IMAGES:
        return None
    inputs = []
    for role, entry in entries(content["provenance"]):
        inputs.append((role, entry["sha256"], entry.get("listed")))
    return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()


def unchanged(role: str, entry: dict, settings: dict) -> bool:
    """Whether an input is still as it was read; false if it is gone, unless it was dropped as it was read."""
    path = Path(entry["path"])
    if dropped(path):
        return entry["sha256"] == kept(path)["sha256"]
    if not path.exists() or entry.get("listed") != listed(path):
        return False
    return entry["sha256"] == digest(role, path, settings)
