"""What files were made of, back to the photographs: told and compared."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cotrain.files import origins
from cotrain.files.hashes import sha256
from cotrain.files.provenance import digest, listed
from cotrain.files.sidecars import dropped, entries, in_force, kept
from cotrain.reruns.tickets import code_changes

Provenance = dict[str, Any]
Entry = dict[str, str]  # an input: path, sha256, and `listed` for a table of images


def made_by(path: Path) -> Provenance:
    """Provenance of a file: from the file beside it, or from inside it where that is missing or of other bytes."""
    record = kept(path)
    if record and dropped(path):
        return record["provenance"]
    if record and path.exists() and record["sha256"] == sha256(path):
        return record["provenance"]
    if path.suffix == ".pt":
        from cotrain.networks import checkpoint

        return checkpoint.read(path)["provenance"]
    return origins.read_provenance(path)


class Checker:
    """Compares inputs with how they were read; reads each file once."""

    def __init__(self) -> None:
        self.hashes: dict[tuple, str] = {}

    def fault(self, role: str, entry: Entry, settings: dict) -> str:
        """What is wrong with an input: "gone", "changed since", or nothing."""
        path = Path(entry["path"])
        if dropped(path):
            is_same = kept(path)["sha256"] == entry["sha256"]
        elif path.exists():
            is_same = self._digest(role, path, settings) == entry["sha256"] and listed(path) == entry.get("listed")
        else:
            return "gone"
        return "" if is_same else "changed since"

    def _digest(self, role: str, path: Path, settings: dict) -> str:
        key: tuple = (path,)
        if role == "root":  # what is listed in a folder depends on the settings
            key = (path, json.dumps(settings))
        if key not in self.hashes:
            self.hashes[key] = digest(role, path, settings)
        return self.hashes[key]


# ---- explain ----------------------------------------------------------------------------------------------------


def explanation(path: Path) -> Iterator[str]:
    """What made a file, in lines of text: stage, code, settings, and its inputs, each once, with what made them."""
    provenance = made_by(path)
    record = kept(path) or {}
    if dropped(path):
        yield f"{path}  {_short(record['sha256'])}  dropped"
    else:
        yield f"{path}  {_short(sha256(path))}"
    if "taken_from" in record:
        yield f"taken from {record['taken_from']}"
    count = len(provenance.get("definitions", {}))
    accepted = "; later changes of it are accepted" if "accepted" in record else ""
    yield f"made by {provenance['stage']} of cotrain {provenance['code']}, {count} definitions{accepted}"
    yield "settings" if provenance["settings"] else "settings: none"
    for name, value in sorted(_flat(in_force(provenance)).items()):
        yield f"  {name}: {json.dumps(value)}"
    yield "inputs, what made them, and theirs" if provenance["inputs"] else "inputs: none"
    yield from _tree(provenance, "  ", set(), Checker())


def _tree(provenance: Provenance, indent: str, told: set[Path], checker: Checker) -> Iterator[str]:
    """Inputs of a file and theirs; what was `told` before is only named."""
    for role, entry in entries(provenance):
        path = Path(entry["path"])
        record = kept(path)
        words = [f"{indent}{role}: {path}", _short(entry["sha256"])]
        words.append("above" if path in told else _maker(role, record))
        if dropped(path):
            words.append("dropped")
        fault = checker.fault(role, entry, provenance["settings"])
        if fault:
            words.append(fault.upper())
        yield "  ".join(words)
        is_new = path not in told
        told.add(path)
        if record and is_new:
            yield from _tree(record["provenance"], f"{indent}  ", told, checker)


def _maker(role: str, record: dict | None) -> str:
    if record:
        return f"by {record['provenance']['stage']}"
    if role == "root":
        return "photographs, hashed by their names"
    return "not made by cotrain"


# ---- compare ----------------------------------------------------------------------------------------------------


def differences(first: Path, second: Path, compared: set | None = None) -> Iterator[str]:
    """Lines of text: what differs between the making of two files, and of those of their inputs that differ."""
    compared = set() if compared is None else compared
    compared.add((first, second))
    was, now = made_by(first), made_by(second)
    pairs = _differing_inputs(was, now)
    lines = [*_other_making(was, now)]
    for role, before, after in pairs:
        lines.append(f"input {role}: {_named(before)} → {_named(after)}")
    if lines:
        yield f"{first} | {second}"
        for line in lines:
            yield f"  {line}"
    for _, before, after in pairs:
        if not (before and after):
            continue
        paths = (Path(before["path"]), Path(after["path"]))
        is_known = all(kept(path) for path in paths)
        if is_known and paths[0] != paths[1] and paths not in compared:
            yield from differences(*paths, compared)


def _other_making(was: Provenance, now: Provenance) -> Iterator[str]:
    """Differences of stage, settings and code."""
    if was["stage"] != now["stage"]:
        yield f"stage: {was['stage']} → {now['stage']}"
    before, after = _flat(in_force(was)), _flat(in_force(now))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key):
            yield f"setting {key}: {_json(before, key)} → {_json(after, key)}"
    for name in code_changes(was.get("definitions", {}), now.get("definitions", {})):
        yield f"code: {name}"


def _differing_inputs(was: Provenance, now: Provenance) -> list[tuple[str, Entry | None, Entry | None]]:
    """Inputs of the same role and place that were not read alike."""
    pairs = []
    for role in sorted(was["inputs"].keys() | now["inputs"].keys()):
        before, after = was["inputs"].get(role, []), now["inputs"].get(role, [])
        for one, other in zip_longest(before, after):
            if _content(one) != _content(other):
                pairs.append((role, one, other))
    return pairs


def _content(entry: Entry | None) -> tuple | None:
    if entry is None:
        return None
    return entry["sha256"], entry.get("listed")


def _named(entry: Entry | None) -> str:
    if entry is None:
        return "none"
    return f"{entry['path']} ({_short(entry['sha256'])})"


def _json(settings: dict, key: str) -> str:
    if key not in settings:
        return "none"
    return json.dumps(settings[key])


def _flat(settings: dict, prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def _short(digest: str) -> str:
    return digest[:16]
