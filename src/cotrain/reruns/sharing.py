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
    """Give the run of a plan what the runs that `share_with` names have and it lacks, and say so on standard error.

    A file is taken if its job has the same settings there, follows from the same config keys, and was made by this code
    from the same bytes. The run's tickets check it like a file of its own.
    """
    config = plan.config
    run, results = Path(config.results, config.run), Path(config.results)
    others = [path for path in sorted(results.glob(config.share_with)) if path != run and (path / TICKETS).is_dir()]
    if not others:
        _say(f"share_with: no other run in {results} is named {config.share_with}, so all is made here")
    with contextlib.ExitStack() as held:
        if (lock := hold(run)) is None:  # it is at work, and took what there was when it began
            return
        held.enter_context(lock)
        for other in others:
            if (lock := hold(other, fcntl.LOCK_SH)) is None:
                _say(f"share_with: {other} is at work, so nothing is taken from it")
                continue
            with lock, writable(run):
                taken = sum(_take(plan, ticket, other, run) for ticket in _in_order(other))
            if taken:
                _say(f"taken from {other}: {taken} files")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _in_order(other: Path) -> Iterator[dict[str, Any]]:
    """Tickets of the jobs of a run, each after those that made what it reads."""
    tickets = [ticket for path in (other / TICKETS).rglob("ticket.json") if (ticket := read_ticket(path))]
    makers = {output: ticket for ticket in tickets for output in ticket["outputs"]}
    try:
        order = list(TopologicalSorter({path: makers[path]["wanted"]["inputs"] for path in makers}).static_order())
    except CycleError:  # of a damaged ticket
        return
    seen = set()
    for path in order:
        if path in makers and makers[path]["outputs"][0] not in seen:
            seen.add(makers[path]["outputs"][0])
            yield makers[path]


def _take(plan: Plan, ticket: dict[str, Any], other: Path, run: Path) -> int:
    """How many files of one job were taken."""
    outputs = [Path(output) for output in ticket["outputs"]]
    if not all(output.is_relative_to(other) for output in outputs):  # scenes, which all runs share anyway
        return 0
    places = [run / output.relative_to(other) for output in outputs]
    if any(place.exists() or kept(place) for place in places) or not _alike(plan, ticket, other, run):
        return 0
    for output, place in zip(outputs, places, strict=True):
        _copy(output, place, other, run)
    for log in _logs(ticket["stage"], ticket["job"], other / "logs"):
        place = run / log.relative_to(other)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(log, place)
    return len(outputs)


def _alike(plan: Plan, ticket: dict[str, Any], other: Path, run: Path) -> bool:
    """Whether a finished job of another run made what this plan's job of that name would."""
    stage, job, then = ticket["stage"], ticket["job"], Wanted(**ticket["wanted"])
    own = plan.job(stage, job)
    if own is None:
        return False
    folder = next((path for path in then.others if Path(path).is_dir()), None)
    now = wanted(stage, own.settings_json, plan.keys_of(own), then.inputs, folder)
    if not (_same(now.settings, then.settings) and _same(now.keys, then.keys)):
        return False
    outputs = [Path(output) for output in ticket["outputs"]]
    if not all(map(_as_made, outputs)) or reasons_to_rerun(outputs[0], stage, now):
        return False
    read = entries(kept(outputs[0])["provenance"])
    return all(_has(Path(entry["path"]), entry["sha256"], other, run) for _, entry in read)


def _as_made(path: Path) -> bool:
    """Whether a file is there as its job left it, or was dropped after use; large ones are not read for that."""
    if not path.exists():
        return dropped(path)
    found = kept(path)
    return found is not None and (path.suffix in BINARY or found["sha256"] == sha256(path))


def _same(now: dict[str, Any], was: dict[str, Any]) -> bool:
    """Whether two sets of settings or dotted config keys differ in nothing that changes a result."""
    mine, theirs = ({k: v for k, v in x.items() if k.rpartition(".")[2] not in WITHOUT_EFFECT} for x in (now, was))
    return mine == theirs


def _has(path: Path, hashed: str, other: Path, run: Path) -> bool:
    """Whether the run has those bytes at the place of another run's file; files of no run need not be looked at."""
    if not path.is_relative_to(other):
        return True
    own = run / path.relative_to(other)
    return _as_made(own) and kept(own)["sha256"] == hashed


def _copy(source: Path, target: Path, other: Path, run: Path) -> None:
    """The file, or a hard link of one that nobody edits by hand, and the file beside it, with this run's paths."""
    from cotrain.files import atomic  # imports what most starts do without

    found = kept(source)
    for _, entry in entries(found["provenance"]):
        if (path := Path(entry["path"])).is_relative_to(other):
            entry["path"] = str(run / path.relative_to(other))
    found = {"taken_from": str(source)} | found
    if source.exists():
        with atomic.replacing(target) as new:
            if source.suffix in BINARY:
                with contextlib.suppress(OSError):  # a file system without links
                    os.link(source, new)
            if not new.exists():
                shutil.copy2(source, new)
    atomic.write_bytes(sidecar(target), json.dumps(found, indent=1, sort_keys=True).encode())


def _logs(stage: str, job: str, logs: Path) -> list[Path]:
    """What a job said: the times in it are those of this run, too."""
    names = {f"{stage}.log", f"{stage}_{job}.log"} | ({"merge.log"} if stage == "infer" else set())
    round_logs = (logs / job).rglob("*.log") if job else ()
    return [path for path in (*logs.glob("*.log"), *(logs / "data").glob("*.log"), *round_logs) if path.name in names]
