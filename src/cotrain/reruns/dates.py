"""Dates of a run's files, by which Snakemake decides, put in the order in which the files were made."""

import os
import time
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from cotrain.files.provenance import unchanged
from cotrain.files.sidecars import dropped, entries, kept, made_files

PAST = 1_000_000_000  # date of the ticket of an output that is up to date, in seconds since 1970
STEP = 1_000  # between files that were dated ahead, in nanoseconds; Snakemake tells such dates apart


def settle(folder: Path) -> None:
    """Date each file of a run after its inputs, where those still have the content that it was made from.

    A dropped file counts as made when the newest of its inputs was. What is dated ahead of now, as after a clock was
    wrong, is dated now first: tickets would look older than it, and Snakemake refuses to make files from it.
    """
    made_by = _provenances(folder)
    _bring_back(made_by)
    dropped_dates: dict[Path, int] = {}
    for path in _in_order(made_by):
        inputs = []
        newest = 0
        for role, entry in entries(made_by[path]):
            place = Path(entry["path"])
            if kept(place):
                inputs.append((role, entry))
                newest = max(newest, dropped_dates.get(place) or date_of(place))
        if newest <= date_of(path):
            continue
        settings = made_by[path]["settings"]
        if not all(unchanged(role, entry, settings) for role, entry in inputs):
            continue
        if path.exists():
            set_date(path, newest)
        else:
            dropped_dates[path] = newest


def date_of(path: Path) -> int:
    """When Snakemake takes a file or folder to be made, in nanoseconds since 1970; 0 if it is gone."""
    try:
        return _dated(path).stat().st_mtime_ns
    except OSError:
        return 0


def set_date(path: Path, date: int) -> None:
    """Have Snakemake take a file or folder to be made at a time in nanoseconds since 1970."""
    os.utime(_dated(path), ns=(date, date))


def _dated(path: Path) -> Path:
    """The file whose date counts: of a folder that Snakemake made, one inside."""
    stamp = path / ".snakemake_timestamp"
    return stamp if path.is_dir() and stamp.exists() else path


def _provenances(folder: Path) -> dict[Path, dict]:
    """Provenance of each file of a run that is there or was dropped after use, if it is known."""
    made_by = {}
    for path in made_files(folder):
        record = kept(path)
        if record and (path.exists() or dropped(path)):
            made_by[path] = record["provenance"]
    return made_by


def _bring_back(made_by: dict[Path, dict]) -> None:
    """Date now what is dated ahead: files of a run, and of others that they were made from; they keep their order."""
    now = time.time_ns()
    places = set(made_by)
    for provenance in made_by.values():
        inputs = [Path(entry["path"]) for _, entry in entries(provenance)]
        places.update(place for place in inputs if kept(place))
    ahead = {}
    for place in places:
        date = date_of(place)
        if date > now:
            ahead[place] = date
    dates = sorted(set(ahead.values()), reverse=True)
    for steps, date in enumerate(dates):
        for place in [place for place in ahead if ahead[place] == date]:
            set_date(place, now - steps * STEP)


def _in_order(made_by: dict[Path, dict]) -> list[Path]:
    """Files, each after its inputs; none if they were made from each other by hand: then their dates stay."""
    inputs = {}
    for path, provenance in made_by.items():
        inputs[path] = {Path(entry["path"]) for _, entry in entries(provenance)} - {path}
    try:
        order = list(TopologicalSorter(inputs).static_order())
    except CycleError:
        return []
    return [path for path in order if path in made_by]
