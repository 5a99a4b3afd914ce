"""What made a file, in words."""

import json
from collections.abc import Iterator
from pathlib import Path

from cotrain.files.hashes import sha256
from cotrain.files.sidecars import dropped, entries, in_force, kept
from cotrain.reruns.inputs import Checker, flattened, made_by, short_hash


def explanation(path: Path) -> Iterator[str]:
    """What made a file, in lines of text: stage, code, settings, and its inputs, each once, with what made them."""
    provenance = made_by(path)
    record = kept(path) or {}
    yield _title(path, record)
    origin = record.get("taken_from")
    if origin:
        yield f"taken from {origin}"
    yield _maker_and_code(provenance, record)
    yield "settings" if provenance["settings"] else "settings: none"
    settings = flattened(in_force(provenance))
    for name, value in sorted(settings.items()):
        yield f"  {name}: {json.dumps(value)}"
    yield "inputs, what made them, and theirs" if provenance["inputs"] else "inputs: none"
    yield from _tree(provenance, "  ", set(), Checker())


def _title(path: Path, record: dict) -> str:
    if dropped(path):
        return f"{path}  {short_hash(record['sha256'])}  dropped"
    return f"{path}  {short_hash(sha256(path))}"


def _maker_and_code(provenance: dict, record: dict) -> str:
    accepted = "; later changes of it are accepted" if "accepted" in record else ""
    definitions = len(provenance.get("definitions", {}))
    return f"made by {provenance['stage']} of cotrain {provenance['code']}, {definitions} definitions{accepted}"


def _tree(provenance: dict, indent: str, seen: set[Path], checker: Checker) -> Iterator[str]:
    """A line for each input, with those of its own inputs below it; of files seen before only the first."""
    for role, entry in entries(provenance):
        path = Path(entry["path"])
        record = kept(path)
        words = [f"{indent}{role}: {path}", short_hash(entry["sha256"])]
        words.append("above" if path in seen else _maker(role, record))
        if dropped(path):
            words.append("dropped")
        fault = checker.fault(role, entry, provenance["settings"])
        if fault:
            words.append(fault.upper())
        yield "  ".join(words)
        is_new = path not in seen
        seen.add(path)
        if record and is_new:
            yield from _tree(record["provenance"], f"{indent}  ", seen, checker)


def _maker(role: str, record: dict | None) -> str:
    if record:
        return f"by {record['provenance']['stage']}"
    return "photographs, hashed by their names" if role == "root" else "not made by cotrain"
