"""Dates of a run's files, by which Snakemake decides, put in the order in which the files were made."""

import os
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from cotrain.files.provenance import unchanged
from cotrain.files.sidecars import dropped, entries, kept, made_files

PAST = 1_000_000_000  # date of the ticket of an output that is up to date, in seconds since 1970


def settle(folder: Path) -> None:
    """Date each file of a run after its inputs, where those still have the content that it was made from.

    A dropped file counts as made when the newest of its inputs was.
    """
    made_by = {}
    for path in made_files(folder):
        record = kept(path)
        if record and (path.exists() or dropped(path)):
            made_by[path] = record["provenance"]
    dropped_dates: dict[Path, int] = {}
    for path in _in_order(made_by):
        inputs = []
        newest = 0
        for role, entry in entries(made_by[path]):
            place = Path(entry["path"])
            if kept(place):
                inputs.append((role, entry))
                newest = max(newest, dropped_dates.get(place) or _date(place))
        if newest <= _date(path):
            continue
        settings = made_by[path]["settings"]
        if not all(unchanged(role, entry, settings) for role, entry in inputs):
            continue
        if path.exists():
            os.utime(path, ns=(newest, newest))
        else:
            dropped_dates[path] = newest


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


def _date(path: Path) -> int:
    """When Snakemake takes a file or folder to be made, in nanoseconds; 0 if it is gone."""
    stamp = path / ".snakemake_timestamp"
    dated = stamp if path.is_dir() and stamp.exists() else path
    try:
        return dated.stat().st_mtime_ns
    except OSError:
        return 0
