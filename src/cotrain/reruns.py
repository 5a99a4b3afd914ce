"""Which files of a run are out of date, decided by what is written beside each file of how it was made.

Snakemake compares times. So every job reads a file of ours, its *ticket* below `results/RUN/.tickets`: dated long past
while the job's output was made with the settings, the code and from the files that are wanted now, and dated now when
it was not. Nothing else that happened to the files or the clone matters.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from cotrain.manifest import manifest

PAST = 1_000_000_000  # seconds since 1970
NEW = "not there yet"
# Settings that change how a stage runs, not what it computes.
WITHOUT_EFFECT = {"device", "threads", "cache_mb", "restart_minutes"}


class Reruns:
    """Tickets of the jobs of one run; says on standard error, once for each cause, why finished jobs run again."""

    def __init__(self, folder: Path, active: bool):
        """`active` is false in a process that only runs a job that another one planned."""
        self.folder, self.active = folder, active
        self.written: set[Path] = set()
        self.said: set[str] = set()

    def ticket(self, stage: str, job: str, output: str, wanted: "Wanted") -> str:
        """Path of the ticket of a job of a stage, whose first output is `output`."""
        path = self.folder / stage / f"{job or stage}.json"
        if self.active and path not in self.written:
            self.written.add(path)
            self._write(path, f"{stage} {job}".strip(), reasons_to_rerun(Path(output), stage, wanted), stage, wanted)
        return str(path)

    def _write(self, path: Path, job: str, reasons: list[str], stage: str, wanted: "Wanted") -> None:
        before, keys = _json(path) or {}, wanted.keys
        made = before.get("made", {}) if reasons else keys
        # Snakemake overlooks a new time when a content is that of the last run, so all that is wanted is in it.
        content = {"made": made, "reasons": reasons, "wanted": wanted._asdict(), "definitions": manifest(stage)}
        path.parent.mkdir(parents=True, exist_ok=True)
        if content != before:
            path.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        if not reasons or reasons == [NEW]:
            os.utime(path, (PAST, PAST))
            return
        os.utime(path)
        edited = [f"{key}: {_short(made[key])} → {_short(v)}" for key, v in keys.items() if made.get(key, v) != v]
        for cause in set(edited or reasons) - self.said:
            self.said.add(cause)
            print(f"out of date, {job} first: {cause}", file=sys.stderr)


class Wanted(NamedTuple):
    """What the output of a job is to be made of, now."""

    settings: dict  # of the stage, as JSON
    keys: dict  # config keys that the settings and inputs follow from, with their values
    inputs: list[str]
    listings: dict[str, str]  # folder that is read → `listing` of it


def reasons_to_rerun(output: Path, stage: str, wanted: Wanted) -> list[str]:
    """In words, how the making of `output` differs from what is wanted; empty if it does not."""
    if not output.exists():
        return [NEW]
    kept = _json(output.with_name(f".{output.name}.provenance.json"))
    try:
        return _differences(kept["provenance"], stage, wanted)
    except (TypeError, KeyError, AttributeError):  # there is none, or it is damaged
        return ["nothing is known of how it was made"]


def _differences(made: dict, stage: str, wanted: Wanted) -> list[str]:
    was, reasons = made["settings"], []
    for key in sorted(wanted.settings.keys() - WITHOUT_EFFECT):
        if was.get(key) != wanted.settings[key]:
            reasons.append(f"{key}: {_short(was.get(key))} → {_short(wanted.settings[key])}")
    code, was = manifest(stage), made.get("definitions", {})
    if changed := sorted(name for name in code.keys() | was.keys() if code.get(name) != was.get(name)):
        reasons.append(f"code: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")
    read = {entry["path"]: entry["sha256"] for entries in made["inputs"].values() for entry in entries}
    if other := sorted(read.keys() ^ set(wanted.inputs)):
        reasons.append(f"{other[0]} is {'no longer' if other[0] in read else 'newly'} read")
    reasons += [f"{folder}: other files" for folder, names in wanted.listings.items() if read.get(folder) != names]
    return reasons


def listing(folder: Path) -> str:
    """Hash of the names of all files below a folder; hidden ones do not count."""
    seen, names = set(), []
    for place, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in seen:  # links that go in circles
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        folders[:] = [name for name in folders if not name.startswith(".")]
        names += [str(Path(place, name)) for name in files if not name.startswith(".")]
    skip = len(str(folder))
    return hashlib.sha256(
        "\n".join(sorted(name[skip:] for name in names)).encode("utf-8", "surrogateescape")
    ).hexdigest()


def _json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
