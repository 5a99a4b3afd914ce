"""Reasons to make a file again: how its making, by the file beside it, differs from what is wanted now."""

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

from cotrain.base.errors import BadInput
from cotrain.files.code import manifest
from cotrain.files.hashes import sha256
from cotrain.files.provenance import listing, named_files, unchanged
from cotrain.files.sidecars import dropped, entries, kept
from cotrain.settings.effects import WITHOUT_EFFECT
from cotrain.settings.stages import completed

NEW = "not there yet"
UNKNOWN = "nothing is known of how it was made"
CODE = "code: "
SHOWN_DEFINITIONS = 3
SHOWN_LENGTH = 40  # of a value, in characters


class Wanted(NamedTuple):
    """What the output of a job is to be made of, now."""

    settings: dict  # of the stage, as JSON, defaults included
    keys: dict  # config keys that the settings and inputs follow from, with their values
    inputs: list[str]  # files that other jobs make
    others: dict[str, str]  # other files and folders that are read → hash


def wanted(stage: str, settings: str, keys: dict, inputs: list[str], folder: str | None) -> Wanted:
    """What a job needs now: `settings` and `keys` as `Plan` gives them; `folder` is one that an index lists."""
    complete = completed(stage, json.loads(settings))
    others = {}
    for name in named_files(complete):
        path = Path(name)
        others[name] = sha256(path) if path.is_file() else ""
    if folder:
        others[folder] = listing(Path(folder), complete)
    made_by_jobs = [path for path in inputs if path not in others]
    return Wanted(complete, keys, made_by_jobs, others)


def reasons_to_rerun(output: Path, stage: str, wanted: Wanted) -> list[str]:
    """In words, how the making of `output` differs from what is wanted; empty if it does not."""
    if not output.exists() and not dropped(output):
        return [NEW]
    record = kept(output)
    if record is None:
        return [UNKNOWN]
    made_by = record["provenance"]
    return [
        *changed_settings(made_by, wanted),
        *_changed_code(record, stage),
        *changed_paths(made_by, wanted),
        *_changed_contents(made_by, wanted),
    ]


def changed_settings(made_by: dict, wanted: Wanted) -> list[str]:
    """Settings with another value, in words.

    What was made by an older version, which lacked a setting, had that setting's default.
    """
    before = made_by["settings"]
    now = wanted.settings
    if before != now:
        with contextlib.suppress(BadInput, AttributeError, KeyError):  # of what this version does not know
            before = completed(made_by["stage"], before)
    names = (before.keys() | now.keys()) - WITHOUT_EFFECT
    changes = []
    for name in sorted(names):
        if before.get(name) != now.get(name):
            changes.append(f"{name}: {shortened(before.get(name))} → {shortened(now.get(name))}")
    return changes


def changed_paths(made_by: dict, wanted: Wanted) -> list[str]:
    """Inputs that were read and no longer are, and the reverse, in words."""
    before = {entry["path"] for _, entry in entries(made_by)}
    now = {*wanted.inputs, *wanted.others}
    changes = []
    for path in sorted(before ^ now):
        change = "no longer" if path in before else "newly"
        changes.append(f"{path} is {change} read")
    return changes


def code_changes(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names of the definitions that were changed, added or removed."""
    names = before.keys() | now.keys()
    return sorted(name for name in names if before.get(name) != now.get(name))


def _changed_code(record: dict, stage: str) -> list[str]:
    """One line that names a few of the definitions that changed since they were accepted or, else, used."""
    before = record.get("accepted", record["provenance"].get("definitions", {}))
    names = code_changes(before, manifest(stage))
    if not names:
        return []
    shown = ", ".join(names[:SHOWN_DEFINITIONS])
    if len(names) > SHOWN_DEFINITIONS:
        shown += " …"
    return [f"{CODE}{shown}"]


def _changed_contents(made_by: dict, wanted: Wanted) -> list[str]:
    """Inputs that were made again, or replaced, after they were read, in words."""
    changed = []
    for role, entry in entries(made_by):
        path = entry["path"]
        if path in wanted.others:
            is_changed = entry["sha256"] != wanted.others[path]
        elif path in wanted.inputs:
            is_changed = _is_changed(role, entry, made_by["settings"])
        else:
            is_changed = False  # no longer read, which is another reason
        if is_changed:
            changed.append(f"{path} is not as it was read")
    return changed


def _is_changed(role: str, entry: dict, settings: dict) -> bool:
    """Whether an input that another job makes differs from what was read.

    What the input's own sidecar says is believed; only where that differs is the file itself read. Of dropped
    predictions it is all there is: without it they may have been others.
    """
    path = Path(entry["path"])
    record = kept(path)
    same = record is not None and record["sha256"] == entry["sha256"]
    if not path.exists():  # all but predictions are asked for, so Snakemake makes them and what follows
        return role == "predictions" and not same
    if record is None:
        return False
    if same and "listed" not in entry:
        return False
    return not unchanged(role, entry, settings)


def shortened(value: object) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value, default=str)
    if len(text) <= SHOWN_LENGTH:
        return text
    return f"{text[: SHOWN_LENGTH - 3]}…"
