"""The hidden file beside each file that says how it was made; the workflow reads these, so imports are light."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cotrain.base.folders import files_below

DROPPED = ("infer",)  # stages whose files may be removed once used, and are not missed
END = ".provenance.json"


def sidecar(path: Path) -> Path:
    """The hidden file that keeps the provenance of a file."""
    return path.with_name(f".{path.name}{END}")


def kept(path: Path) -> dict[str, Any] | None:
    """What the file beside `path` says: `sha256` of it, `provenance`, `accepted` code; None if not known."""
    try:
        found = json.loads(sidecar(path).read_text(encoding="utf-8"))
        whole = {"stage", "settings", "inputs"} <= found["provenance"].keys() and isinstance(found["sha256"], str)
        _ = [entry["path"] + entry["sha256"] for _, entry in entries(found["provenance"])]
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    return found if whole else None


def dropped(path: Path) -> bool:
    """Whether a file was removed after use: the one beside it stays, so that it is known what it was and made of."""
    return not path.exists() and (found := kept(path)) is not None and found["provenance"]["stage"] in DROPPED


def made_files(folder: Path) -> list[Path]:
    """All files below a folder, hidden folders too, that have their provenance beside them."""
    files = []
    for entry in files_below(folder):
        name = entry.name.removeprefix(".").removesuffix(END)
        if name and entry.name == f".{name}{END}":
            files.append(Path(entry.path).with_name(name))
    return sorted(files)


def in_force(made: dict) -> dict:
    """Settings of a provenance, but the model to build where a training went on from one in a file (`init`) instead."""
    unread = {"model"} if "init" in made["inputs"] else set()
    return {name: value for name, value in made["settings"].items() if name not in unread}


def entries(made_by: dict) -> Iterator[tuple[str, dict[str, str]]]:
    """(role, path and hash) of every input of a file."""
    for role, inputs in made_by["inputs"].items():
        for entry in inputs:
            yield role, entry
