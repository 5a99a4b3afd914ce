"""What differs between the making of two files, in words."""

import json
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

from cotrain.files.sidecars import in_force, kept
from cotrain.reruns.inputs import flattened, made_by, short_hash
from cotrain.reruns.reasons import code_changes

Pair = tuple[Path, Path]


class InputPair(NamedTuple):
    """Inputs of the same role and place; None where one file has no such input."""

    role: str
    first: dict | None
    second: dict | None


def differences(first: Path, second: Path, seen: set[Pair] | None = None) -> Iterator[str]:
    """Lines of text: what differs between the making of two files, and of those of their inputs that differ.

    `seen`: pairs that were compared already.
    """
    seen = set() if seen is None else seen
    seen.add((first, second))
    before = made_by(first)
    after = made_by(second)
    pairs = _different_inputs(before, after)
    lines = _stage_and_settings(before, after)
    for name in code_changes(before.get("definitions", {}), after.get("definitions", {})):
        lines.append(f"code: {name}")
    for role, one, other in pairs:
        lines.append(f"input {role}: {_named(one)} → {_named(other)}")
    if lines:
        yield f"{first} | {second}"
        yield from (f"  {line}" for line in lines)
    for pair in pairs:
        paths = _comparable(pair)
        if paths and paths not in seen:
            yield from differences(*paths, seen)


def _stage_and_settings(before: dict, after: dict) -> list[str]:
    lines = []
    if before["stage"] != after["stage"]:
        lines.append(f"stage: {before['stage']} → {after['stage']}")
    was = flattened(in_force(before))
    now = flattened(in_force(after))
    for key in sorted(was.keys() | now.keys()):
        if was.get(key) != now.get(key):
            lines.append(f"setting {key}: {_as_json(was, key)} → {_as_json(now, key)}")
    return lines


def _different_inputs(before: dict, after: dict) -> list[InputPair]:
    """Inputs that were not read alike."""
    pairs = []
    for role in sorted(before["inputs"].keys() | after["inputs"].keys()):
        both = zip_longest(before["inputs"].get(role, []), after["inputs"].get(role, []))
        for first, second in both:
            if _content(first) != _content(second):
                pairs.append(InputPair(role, first, second))
    return pairs


def _comparable(pair: InputPair) -> Pair | None:
    """Paths of two different files, if it is known how they were made."""
    if pair.first is None or pair.second is None:
        return None
    first = Path(pair.first["path"])
    second = Path(pair.second["path"])
    if first == second or not kept(first) or not kept(second):
        return None
    return first, second


def _content(entry: dict | None) -> tuple | None:
    return entry and (entry["sha256"], entry.get("listed"))


def _named(entry: dict | None) -> str:
    return f"{entry['path']} ({short_hash(entry['sha256'])})" if entry else "none"


def _as_json(settings: dict, key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "none"
