"""Sidecars: the hidden file beside each file that says how it was made. Read here, written by `atomic`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cotrain.base.folders import files_below

DROPPED = ("infer",)  # stages whose files may be removed once used, and are not missed
END = ".provenance.json"


def sidecar(path: Path) -> Path:
    """The sidecar of a file or folder."""
    return path.with_name(f".{path.name}{END}")


def kept(path: Path) -> dict[str, Any] | None:
    """The content of a file's sidecar: its `sha256`, `provenance`, and code that was `accepted`; None if not known."""
    try:
        content = json.loads(sidecar(path).read_text(encoding="utf-8"))
        is_whole = _is_whole(content)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return None
    return content if is_whole else None


def _is_whole(content: dict) -> bool:
    """Whether a sidecar has what is read of it. Otherwise this may raise what reading it would raise."""
    made_by = content["provenance"]
    if not made_by.keys() >= {"stage", "settings", "inputs"}:
        return False
    texts = [content["sha256"]]
    for _, entry in entries(made_by):
        texts.append(entry["path"])
        texts.append(entry["sha256"])
    return all(isinstance(text, str) for text in texts)


def dropped(path: Path) -> bool:
    """Whether a file was removed after use. Its sidecar stays, so that it is known what it was and made of."""
    if path.exists():
        return False
    content = kept(path)
    return content is not None and content["provenance"]["stage"] in DROPPED


def made_files(folder: Path) -> list[Path]:
    """All files below a folder, in hidden folders too, that have a sidecar."""
    files = []
    for entry in files_below(folder):
        name = entry.name.removeprefix(".").removesuffix(END)
        if name and entry.name == f".{name}{END}":
            files.append(Path(entry.path).with_name(name))
    return sorted(files)


def in_force(made_by: dict) -> dict:
    """Settings of a provenance that had an effect: `model` had none where the training began with a file (`init`)."""
    settings = dict(made_by["settings"])
    if "init" in made_by["inputs"]:
        settings.pop("model", None)
    return settings


def entries(made_by: dict) -> Iterator[tuple[str, dict[str, str]]]:
    """(role, path and hash) of every input of a file."""
    for role, inputs in made_by["inputs"].items():
        for entry in inputs:
            yield role, entry
