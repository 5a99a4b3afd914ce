"""Which files of a run are out of date, decided by what is written beside each file of how it was made.

Snakemake compares times. So every job reads a file of ours, its *ticket* below `results/RUN/.tickets`: dated long past
while the job's output was made with the settings, the code and from the inputs that are wanted now, and dated now when
it was not. Times that say otherwise, as after copying or touching files, are set right.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

from cotrain.base.errors import BadInput
from cotrain.files.code import manifest
from cotrain.files.hashes import sha256
from cotrain.files.provenance import listing, named_files, unchanged
from cotrain.files.sidecars import dropped, entries, kept, made_files, sidecar
from cotrain.settings.effects import WITHOUT_EFFECT
from cotrain.settings.stages import completed

TICKETS = ".tickets"
PAST = 1_000_000_000  # seconds since 1970
NEW = "not there yet"
UNKNOWN = "nothing is known of how it was made"
CODE = "code: "


class Wanted(NamedTuple):
    """What the output of a job is to be made of, now."""

    settings: dict  # of the stage, as JSON, defaults included
    keys: dict  # config keys that the settings and inputs follow from, with their values
    inputs: list[str]  # files that other jobs make
    others: dict[str, str]  # other files and folders that are read → hash


def wanted(stage: str, settings: str, keys: dict, inputs: list[str], folder: str | None) -> Wanted:
    """`settings` as Plan gives them; `folder` is one that an index lists."""
    complete = completed(stage, json.loads(settings))
    others = {name: sha256(Path(name)) if Path(name).is_file() else "" for name in named_files(complete)}
    if folder:
        others[folder] = listing(Path(folder), complete)
    return Wanted(complete, keys, [path for path in inputs if path not in others], others)


class Reruns:
    """Tickets of the jobs of one run; says on standard error, once for each cause, why finished jobs run again."""

    def __init__(self, folder: Path, active: bool):
        """`active` is false in a process that only runs a job that another one planned."""
        self.folder, self.active = folder, active
        self.written: set[Path] = set()
        self.said: set[str] = set()
        if active:
            with writable(folder):
                settle(folder)

    def ticket(self, stage: str, job: str, outputs: list[str], wanted: Callable[[], Wanted]) -> str:
        """Path of the ticket of a job of a stage, in a folder of its own: Snakemake lists each folder only once."""
        path = self.folder / TICKETS / stage / (job or stage) / "ticket.json"
        if self.active and path not in self.written:
            self.written.add(path)
            with writable(path):
                self._write(path, stage, job, [Path(output) for output in outputs], wanted())
        return str(path)

    def _write(self, path: Path, stage: str, job: str, outputs: list[Path], wanted: Wanted) -> None:
        output, *others = outputs
        reasons, before = reasons_to_rerun(output, stage, wanted), _json(path)
        reasons = reasons or [UNKNOWN for other in others if other.exists() and not kept(other)][:1]
        making = sha256(sidecar(output)) if kept(output) else ""
        made = _keys_of_the_making(before, making, output, wanted, reasons)
        ticket = {"stage": stage, "job": job, "outputs": list(map(str, outputs)), "wanted": wanted._asdict()}
        ticket |= {"made": made, "making": making, "reasons": reasons}
        if rerun := reasons not in ([], [NEW]):
            ticket["written"] = time.time()  # Snakemake overlooks a new time where the content is that of the last run
            code = [reason for reason in reasons if reason.startswith(CODE)]
            self._say(f"{stage} {job}".strip(), [*_edited(made, wanted.keys), *code] or reasons)
            if code:
                inside = output.is_relative_to(self.folder)
                self._say_once(f"    if it does not matter: cotrain accept {self.folder if inside else output.parent}")
        if ticket != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(ticket, indent=1, sort_keys=True), encoding="utf-8")
        os.utime(path, None if rerun else (PAST, PAST))

    def _say(self, job: str, causes: list[str]) -> None:
        for cause in causes:
            self._say_once(cause, f"out of date, {job} first: ")

    def _say_once(self, text: str, before: str = "") -> None:
        if text not in self.said:
            print(f"{before}{text}", file=sys.stderr)
            self.said.add(text)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """BadInput for what goes wrong with writing there."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error


def _keys_of_the_making(ticket: dict | None, making: str, output: Path, wanted: Wanted, reasons: list[str]) -> dict:
    """Config keys, with their values, that an output was made by, as far as the last ticket tells."""
    try:
        if ticket["making"] == making:
            return ticket["made"]
        last = Wanted(**ticket["wanted"])
    except (KeyError, TypeError):  # there is no ticket, or it is damaged
        last = None
    if not reasons:
        return wanted.keys
    made = making and last and kept(output)["provenance"]
    return last.keys if made and not [*_other_settings(made, last), *_other_paths(made, last)] else {}


def _edited(made: dict, keys: dict) -> list[str]:
    """Config keys that have another value than a file was made by, in words."""
    return [
        f"{key}: {_short(made[key])} → {_short(value)}"
        for key, value in keys.items()
        if made.get(key, value) != value and key.rpartition(".")[2] not in WITHOUT_EFFECT
    ]


def reasons_to_rerun(output: Path, stage: str, wanted: Wanted) -> list[str]:
    """In words, how the making of `output` differs from what is wanted; empty if it does not."""
    if not output.exists() and not dropped(output):
        return [NEW]
    found = kept(output)
    if found is None:
        return [UNKNOWN]
    made = found["provenance"]
    code = code_changes(found.get("accepted", made.get("definitions", {})), manifest(stage))
    return [
        *_other_settings(made, wanted),
        *([f"{CODE}{', '.join(code[:3])}{' …' if len(code) > 3 else ''}"] if code else []),
        *_other_paths(made, wanted),
        *_other_contents(made, wanted),
    ]


def _other_settings(made: dict, wanted: Wanted) -> list[str]:
    """What it was made with by an older version, which lacked a key, had that key's default."""
    was, now = made["settings"], wanted.settings
    if was != now:
        with contextlib.suppress(BadInput, AttributeError, KeyError):  # of what this version does not know
            was = completed(made["stage"], was)
    keys = sorted((was.keys() | now.keys()) - WITHOUT_EFFECT)
    return [f"{key}: {_short(was.get(key))} → {_short(now.get(key))}" for key in keys if was.get(key) != now.get(key)]


def config_of(folder: Path) -> dict[str, object]:
    """Config keys that the jobs of a run read, dotted, with the values its files were made by, as its tickets tell.

    A key that files were made by with several values, in a run that is not finished, has them all as text.
    """
    found: dict[str, list] = {}
    for path in sorted((folder / TICKETS).rglob("ticket.json")):
        ticket = _json(path) or {}
        wanted = ticket.get("wanted")
        keys = ticket.get("made") or (wanted.get("keys") if isinstance(wanted, dict) else {})
        for key, value in keys.items() if isinstance(keys, dict) else ():
            values = found.setdefault(key, [])
            values += [] if value in values else [value]
    return {key: values[0] if len(values) == 1 else " / ".join(map(_short, values)) for key, values in found.items()}


def code_changes(was: dict[str, str], now: dict[str, str]) -> list[str]:
    """Names of the definitions that were changed, added or removed."""
    return sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))


def _other_paths(made: dict, wanted: Wanted) -> list[str]:
    read, now = {entry["path"] for _, entry in entries(made)}, {*wanted.inputs, *wanted.others}
    return [f"{path} is {'no longer' if path in read else 'newly'} read" for path in sorted(read ^ now)]


def _other_contents(made: dict, wanted: Wanted) -> list[str]:
    """Inputs that were made again, or replaced, after they were read.

    What the input's own provenance says is believed; only where that differs is the file itself read. Of dropped
    predictions it is all there is: without it they may have been others.
    """
    changed = []
    for role, entry in entries(made):
        path = entry["path"]
        if path in wanted.others:
            changed += [path] * (entry["sha256"] != wanted.others[path])
        elif path in wanted.inputs:
            found = kept(Path(path))
            same = found is not None and found["sha256"] == entry["sha256"]
            if not Path(path).exists():  # all but predictions are asked for, so Snakemake makes them and what follows
                changed += [path] * (role == "predictions" and not same)
            elif found and not (same and "listed" not in entry):
                changed += [path] * (not unchanged(role, entry, made["settings"]))
    return [f"{path} is not as it was read" for path in changed]


def settle(folder: Path) -> None:
    """Date each file of a run after its inputs, where those still have the content that it was made from.

    A dropped file counts as made when the newest of its inputs was.
    """
    there = (path for path in made_files(folder) if path.exists() or dropped(path))
    made = {path: found["provenance"] for path in there if (found := kept(path))}
    read = {path: {Path(entry["path"]) for _, entry in entries(by)} - {path} for path, by in made.items()}
    try:
        order = [path for path in TopologicalSorter(read).static_order() if path in made]
    except CycleError:  # made by hand from each other; their times stay
        return
    times: dict[Path, int] = {}  # of dropped files
    for path in order:
        inputs = [(role, entry) for role, entry in entries(made[path]) if kept(Path(entry["path"]))]
        newest = max((times.get(Path(entry["path"])) or _time(Path(entry["path"])) for _, entry in inputs), default=0)
        if newest > _time(path) and all(unchanged(role, entry, made[path]["settings"]) for role, entry in inputs):
            if path.exists():
                os.utime(path, ns=(newest, newest))
            else:
                times[path] = newest


def _time(path: Path) -> int:
    """When Snakemake takes a file or folder to be made, in nanoseconds; 0 if it is gone."""
    stamp = path / ".snakemake_timestamp"
    try:
        return (stamp if path.is_dir() and stamp.exists() else path).stat().st_mtime_ns
    except OSError:
        return 0


def read_ticket(path: Path) -> dict | None:
    """A ticket as `Reruns` writes it; None if it is damaged, or of a version that did not say what its job makes."""
    found = _json(path)
    try:
        wanted = Wanted(**found["wanted"])
        texts = [found["stage"], found["job"], *found["outputs"], *wanted.inputs]
        whole = all(isinstance(text, str) for text in texts) and found["outputs"]
        tables = (wanted.settings, wanted.keys, wanted.others)
        return found if whole and all(isinstance(table, dict) for table in tables) else None
    except (KeyError, TypeError):
        return None


def _json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
