"""Files that another run has made just as this run would: taken instead of made again."""

import contextlib
import fcntl
import json
import os
import shutil
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import IO, Any

from cotrain.base.locks import acquire
from cotrain.files.hashes import sha256
from cotrain.files.provenance import BINARY
from cotrain.files.sidecars import dropped, entries, kept, sidecar
from cotrain.procedure.plan import Plan
from cotrain.reruns.tickets import TICKETS, WITHOUT_EFFECT, Wanted, read_ticket, reasons_to_rerun, wanted, writable


def hold(folder: Path, how: int = fcntl.LOCK_EX) -> IO | None:
    """The open lock of a run's folder, which the kernel takes back when this process ends; None if another has it."""
    with writable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquire(folder / ".lock", shared=how == fcntl.LOCK_SH)
    return lock.file if lock else None


def take(plan: Plan) -> None:
    """Give a run the files that it lacks and that the runs named by `share_with` have, and say so on standard error.

    A file is taken if its job has the same settings there, follows from the same config keys, and was made by this code
    from the same bytes. The run's tickets check it like a file of its own.
    """
    run, results = Path(plan.config.results, plan.config.run), Path(plan.config.results)
    pattern = plan.config.share_with
    other_runs = [path for path in sorted(results.glob(pattern)) if path != run and (path / TICKETS).is_dir()]
    if not other_runs:
        _say(f"share_with: no other run in {results} is named {pattern}, so all is made here")
    own_lock = hold(run)
    if own_lock is None:  # it is at work, and took what there was when it began
        return
    with own_lock:
        for other in other_runs:
            _take_from(plan, other, run)


def _take_from(plan: Plan, other: Path, run: Path) -> None:
    lock = hold(other, fcntl.LOCK_SH)
    if lock is None:
        _say(f"share_with: {other} is at work, so nothing is taken from it")
        return
    count = 0
    with lock, writable(run):
        for ticket in _in_order(other):
            count += _take(plan, ticket, other, run)
    if count:
        _say(f"taken from {other}: {count} files")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _in_order(other: Path) -> Iterator[dict[str, Any]]:
    """Tickets of the jobs of a run, each after those that made what it reads; none if they are damaged."""
    makers = {}
    for path in (other / TICKETS).rglob("ticket.json"):
        ticket = read_ticket(path)
        if ticket:
            makers |= dict.fromkeys(ticket["outputs"], ticket)
    reads = {path: ticket["wanted"]["inputs"] for path, ticket in makers.items()}
    try:
        order = list(TopologicalSorter(reads).static_order())
    except CycleError:
        return
    visited = set()
    for path in order:
        ticket = makers.get(path)
        if ticket and ticket["outputs"][0] not in visited:
            visited.add(ticket["outputs"][0])
            yield ticket


def _take(plan: Plan, ticket: dict[str, Any], other: Path, run: Path) -> int:
    """Take the files of one job if this plan's job would make them alike; returns how many."""
    outputs = [Path(output) for output in ticket["outputs"]]
    if not all(output.is_relative_to(other) for output in outputs):  # scenes, which all runs share anyway
        return 0
    places = [run / output.relative_to(other) for output in outputs]
    if any(place.exists() or kept(place) for place in places):
        return 0
    if not _is_alike(plan, ticket, other, run):
        return 0
    for output, place in zip(outputs, places, strict=True):
        _copy(output, place, other, run)
    for log in _logs(ticket["stage"], ticket["job"], other / "logs"):
        place = run / log.relative_to(other)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(log, place)
    return len(outputs)


def _is_alike(plan: Plan, ticket: dict[str, Any], other: Path, run: Path) -> bool:
    """Whether a finished job of another run made what this plan's job of that name would."""
    stage, then = ticket["stage"], Wanted(**ticket["wanted"])
    job = plan.job(stage, ticket["job"])
    if job is None:
        return False
    folder = next((path for path in then.others if Path(path).is_dir()), None)
    now = wanted(stage, job.settings_json, plan.keys_of(job), then.inputs, folder)
    if not (_same(now.settings, then.settings) and _same(now.keys, then.keys)):
        return False
    outputs = [Path(output) for output in ticket["outputs"]]
    if not all(_is_as_made(output) for output in outputs):
        return False
    if reasons_to_rerun(outputs[0], stage, now):
        return False
    read = entries(kept(outputs[0])["provenance"])
    return all(_has(Path(entry["path"]), entry["sha256"], other, run) for _, entry in read)


def _is_as_made(path: Path) -> bool:
    """Whether a file is as its job left it, or was dropped after use; large ones are not read for that."""
    if not path.exists():
        return dropped(path)
    record = kept(path)
    if record is None:
        return False
    return path.suffix in BINARY or record["sha256"] == sha256(path)


def _same(now: dict[str, Any], then: dict[str, Any]) -> bool:
    """Whether two sets of settings or dotted config keys differ in nothing that changes a result."""
    return _with_effect(now) == _with_effect(then)


def _with_effect(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key.rpartition(".")[2] not in WITHOUT_EFFECT}


def _has(path: Path, digest: str, other: Path, run: Path) -> bool:
    """Whether the run has those bytes at the place of another run's file; files of no run need not be looked at."""
    if not path.is_relative_to(other):
        return True
    own = run / path.relative_to(other)
    return _is_as_made(own) and kept(own)["sha256"] == digest


def _copy(source: Path, target: Path, other: Path, run: Path) -> None:
    """Copy a file, or link it if nobody edits its kind by hand, and the file beside it, with this run's paths."""
    from cotrain.files import atomic  # imports what most starts do without

    record = kept(source)
    for _, entry in entries(record["provenance"]):
        path = Path(entry["path"])
        if path.is_relative_to(other):
            entry["path"] = str(run / path.relative_to(other))
    record = {"taken_from": str(source), **record}
    if source.exists():
        with atomic.replacing(target) as new:
            if source.suffix in BINARY:
                with contextlib.suppress(OSError):  # a file system without links
                    os.link(source, new)
            if not new.exists():
                shutil.copy2(source, new)
    atomic.write_bytes(sidecar(target), json.dumps(record, indent=1, sort_keys=True).encode())


def _logs(stage: str, job: str, logs: Path) -> list[Path]:
    """Logs of a job: the times in them count for this run, too."""
    names = {f"{stage}.log", f"{stage}_{job}.log"}
    if stage == "infer":
        names.add("merge.log")
    paths = [*logs.glob("*.log"), *(logs / "data").glob("*.log")]
    if job:
        paths += (logs / job).rglob("*.log")
    return [path for path in paths if path.name in names]
