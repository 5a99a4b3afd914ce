"""How files were made: hashes, and the hidden file beside each file that says by what and from what.

The workflow reads these whenever it is parsed, so nothing heavy is imported here.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cotrain import __version__
from cotrain.base.errors import BadInput
from cotrain.files.code import manifest
from cotrain.settings.architectures import source_file, weights_file

LISTS_IMAGES = ("index", "draw")  # stages whose tables name images that are read by whoever reads the table
DROPPED = ("infer",)  # stages whose files may be removed once used, and are not missed
BINARY = (".h5", ".pt")  # nobody edits these by hand, as tables may be
END = ".provenance.json"


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes; of a folder's file names and contents."""
    if path.is_dir():
        parts = (f"{p.relative_to(path)} {sha256(p)}\n" for p in sorted(path.rglob("[!.]*")) if p.is_file())
        return hashlib.sha256("".join(parts).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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


def matching(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """(id, name) of what below `folder` has a name there that fits a pattern with one {id}, which may span folders.

    A folder of such a name is among them: it is no image, and whoever opens it says so.
    """
    head, _, tail = pattern.partition("{id}")
    start, end = len(head), -len(tail) or None
    for name in _names(folder, head.rpartition("/")[0]):
        if len(name) > len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            yield name[start:end], name


def _names(folder: Path, below: str) -> Iterator[str]:
    """Names, from `folder`, of files and folders in its folder `below` and those in that; hidden ones do not count."""
    seen = set()
    for place, folders, files in os.walk(folder / below, followlinks=True):
        if (real := os.path.realpath(place)) in seen:  # links that go in circles
            folders.clear()
            continue
        seen.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(place).relative_to(folder).as_posix()
        yield from (name if inside == "." else f"{inside}/{name}" for name in (*folders, *files) if name[0] != ".")


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
    return sorted(p.with_name(p.name[1 : -len(END)]) for p in folder.rglob(f".*{END}"))


def in_force(made: dict) -> dict:
    """Settings of a provenance, but the model to build where a training went on from one in a file (`init`) instead."""
    unread = {"model"} if "init" in made["inputs"] else set()
    return {name: value for name, value in made["settings"].items() if name not in unread}


def entries(made_by: dict) -> Iterator[tuple[str, dict[str, str]]]:
    """(role, path and hash) of every input of a file."""
    for role, inputs in made_by["inputs"].items():
        for entry in inputs:
            yield role, entry


def unchanged(role: str, entry: dict, settings: dict) -> bool:
    """Whether an input is still as it was read; false if it is gone, unless it was dropped as it was read."""
    path = Path(entry["path"])
    if dropped(path):
        return entry["sha256"] == kept(path)["sha256"]
    return path.exists() and entry.get("listed") == listed(path) and entry["sha256"] == digest(role, path, settings)
