"""Tickets: small files by which Snakemake learns which files of a run are out of date.

Snakemake compares dates. So every job reads a ticket below `results/RUN/.tickets`, dated long past while the job's
output was made with the settings, the code and from the inputs that are wanted now, and dated now when it was not.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import kept, sidecar
from cotrain.reruns.dates import PAST, date_of, set_date, settle
from cotrain.reruns.reasons import (
    CODE,
    NEW,
    UNKNOWN,
    Wanted,
    changed_paths,
    changed_settings,
    code_changes,
    reasons_to_rerun,
    shortened,
    wanted,
)
from cotrain.settings.effects import WITHOUT_EFFECT

__all__ = [
    "PAST",
    "TICKETS",
    "WITHOUT_EFFECT",
    "Reruns",
    "Wanted",
    "code_changes",
    "config_of",
    "read_ticket",
    "reasons_to_rerun",
    "settle",
    "wanted",
    "writable",
]

TICKETS = ".tickets"
SECOND = 1_000_000_000  # in nanoseconds


class Reruns:
    """Tickets of the jobs of one run; says on standard error, once for each cause, why finished jobs run again."""

    def __init__(self, folder: Path, active: bool) -> None:
        """`active` is false in a process that only runs a job that another one planned."""
        self.folder = folder
        self.active = active
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
        output = outputs[0]
        reasons = _reasons(outputs, stage, wanted)
        last_ticket = _read_json(path)
        making = sha256(sidecar(output)) if kept(output) else ""
        made_with = _keys_of_making(last_ticket, making, output, wanted, reasons)
        ticket = {
            "stage": stage,
            "job": job,
            "outputs": [str(output) for output in outputs],
            "wanted": wanted._asdict(),
            "made": made_with,
            "making": making,
            "reasons": reasons,
        }
        is_out_of_date = reasons not in ([], [NEW])
        if is_out_of_date:
            ticket["written"] = time.time()  # Snakemake overlooks a new date where the content is that of the last run
            self._tell(f"{stage} {job}".strip(), output, reasons, edited_keys(made_with, wanted.keys))
        if ticket != last_ticket:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(ticket, indent=1, sort_keys=True), encoding="utf-8")
        if not is_out_of_date:
            set_date(path, PAST * SECOND)
            return
        os.utime(path)
        for place in outputs:
            if date_of(place) > date_of(path):  # of unknown making, so its date was not set right
                set_date(place, PAST * SECOND)

    def _tell(self, job: str, output: Path, reasons: list[str], edits: list[str]) -> None:
        """Say why a job runs again: the edited keys where they are known, else what differs in its settings."""
        code = [reason for reason in reasons if reason.startswith(CODE)]
        causes = [*edits, *code] or reasons
        for cause in causes:
            self._say_once(cause, f"out of date, {job} first: ")
        if code:
            folder = self.folder if output.is_relative_to(self.folder) else output.parent
            self._say_once(f"    if it does not matter: cotrain accept {folder}")

    def _say_once(self, text: str, before: str = "") -> None:
        if text not in self.said:
            print(f"{before}{text}", file=sys.stderr)
            self.said.add(text)


@contextlib.contextmanager
def writable(path: Path) -> Iterator[None]:
    """Raise BadInput for what goes wrong with writing there."""
    try:
        yield
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror}); check space and permissions") from error


def _reasons(outputs: list[Path], stage: str, wanted: Wanted) -> list[str]:
    """Reasons to run a job, by its first output; of the others it counts only that their making is known."""
    first, *others = outputs
    reasons = reasons_to_rerun(first, stage, wanted)
    if reasons:
        return reasons
    if any(other.exists() and not kept(other) for other in others):
        return [UNKNOWN]
    return []


def _keys_of_making(
    last_ticket: dict | None,
    making: str,
    output: Path,
    wanted: Wanted,
    reasons: list[str],
) -> dict:
    """Config keys, with their values, that an output was made by, as far as the last ticket tells.

    making: hash of the output's sidecar, empty if there is none.
    """
    last = None
    with contextlib.suppress(KeyError, TypeError):  # there is no ticket, or it is damaged
        if last_ticket["making"] == making:
            return last_ticket["made"]
        last = Wanted(**last_ticket["wanted"])
    if not reasons:
        return wanted.keys
    if last is None or not making:
        return {}
    made_by = kept(output)["provenance"]
    if changed_settings(made_by, last) or changed_paths(made_by, last):
        return {}
    return last.keys


def edited_keys(before: dict, now: dict) -> list[str]:
    """Config keys that have another value than a file was made by, in words."""
    edits = []
    for key, value in now.items():
        has_effect = key.rpartition(".")[2] not in WITHOUT_EFFECT
        if has_effect and before.get(key, value) != value:
            edits.append(f"{key}: {shortened(before[key])} → {shortened(value)}")
    return edits


def config_of(folder: Path) -> dict[str, object]:
    """Config keys that the jobs of a run read, dotted, with the values its files were made by, as its tickets tell.

    A key that files were made by with several values, in a run that is not finished, has them all as text.
    """
    values: dict[str, list] = {}
    for path in sorted((folder / TICKETS).rglob("ticket.json")):
        for key, value in _keys_of(_read_json(path) or {}).items():
            seen = values.setdefault(key, [])
            if value not in seen:
                seen.append(value)
    config = {}
    for key, seen in values.items():
        config[key] = seen[0] if len(seen) == 1 else " / ".join(shortened(value) for value in seen)
    return config


def _keys_of(ticket: dict) -> dict:
    """Config keys of a ticket, with the values that its output was made by or, else, is to be made by."""
    keys = ticket.get("made")
    if not keys:
        wanted = ticket.get("wanted")
        keys = wanted.get("keys") if isinstance(wanted, dict) else {}
    return keys if isinstance(keys, dict) else {}


def read_ticket(path: Path) -> dict | None:
    """A ticket as `Reruns` writes it; None if it is damaged, or of a version that did not say what its job makes."""
    ticket = _read_json(path)
    try:
        wanted = Wanted(**ticket["wanted"])
        texts = [ticket["stage"], ticket["job"], *ticket["outputs"], *wanted.inputs]
        tables = (wanted.settings, wanted.keys, wanted.others)
        has_outputs = bool(ticket["outputs"])
    except (KeyError, TypeError):
        return None
    has_texts = all(isinstance(text, str) for text in texts)
    has_tables = all(isinstance(table, dict) for table in tables)
    return ticket if has_outputs and has_texts and has_tables else None


def _read_json(path: Path) -> dict | None:
    """A JSON object; None if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
