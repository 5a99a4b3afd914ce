"""Which files of a run are out of date, decided by what is written beside each file of how it was made.

Snakemake compares times. So every job has one input of ours, its *ticket* below `results/RUN/.tickets`: it is dated long
past while the job's output was made with the settings, the code and from the files that are wanted now, and dated now
when it was not. Nothing else that happened to the files or the clone matters.
"""

import json
import os
from pathlib import Path

from cotrain.manifest import manifest

PAST = 1_000_000_000  # seconds since 1970


class Reruns:
    """Tickets of the jobs of one run; `changes` collects in words why jobs run again."""

    def __init__(self, folder: Path, active: bool):
        """`active` is false in a process that only runs jobs that another one planned."""
        self.folder, self.active, self.changes, self.tickets = folder, active, {}, {}

    def ticket(self, stage: str, job: str, output: str, settings: dict, reads: dict, inputs: list[str]) -> str:
        """Path of the ticket of a job. `settings` are of its stage, `reads` the config keys behind them."""
        path = self.folder / stage / f"{job or stage}.json"
        if self.active and path not in self.tickets:
            self.tickets[path] = self._write(path, f"{stage} {job}".strip(), output, settings, reads, inputs)
        return str(path)

    def _write(self, path: Path, job: str, output: str, settings: dict, reads: dict, inputs: list[str]) -> bool:
        before = _json(path) or {}
        reasons = reasons_to_rerun(Path(output), job.split()[0], settings, inputs)
        made = before.get("made", {}) if reasons else reads
        content = {"made": made, "wanted": reads, "reasons": reasons}
        if reasons:
            keys = [f"{k}: {_short(made.get(k))} → {_short(v)}" for k, v in reads.items() if made and made.get(k) != v]
            self.changes[job] = keys or reasons
        if content != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content, indent=1, sort_keys=True), encoding="utf-8")
        if reasons and reasons != [NEW]:
            os.utime(path)
        else:
            os.utime(path, (PAST, PAST))
        return bool(reasons)


NEW = "not there yet"


def reasons_to_rerun(output: Path, stage: str, settings: dict, inputs: list[str]) -> list[str]:
    """In words, how the making of `output` differs from what is wanted now; empty if it does not.

    `settings` are the stage's as JSON, `inputs` the paths that the job reads.
    """
    if not output.exists():
        return [NEW]
    made = _json(output.with_name(f".{output.name}.provenance.json"))
    if made is None:
        return ["nothing is known of how it was made"]
    made = made["provenance"]
    reasons = []
    for key in sorted(settings.keys()):
        was = made["settings"].get(key)
        if was != settings[key]:
            reasons.append(f"{key}: {_short(was)} → {_short(settings[key])}")
    code, was = manifest(stage), made.get("definitions", {})
    if changed := sorted(name for name in code.keys() | was.keys() if code.get(name) != was.get(name)):
        reasons.append(f"code: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")
    read = {entry["path"] for entries in made["inputs"].values() for entry in entries}
    if other := sorted(read.symmetric_difference(inputs)):
        reasons.append(f"input: {other[0]} is {'no longer' if other[0] in read else 'newly'} read")
    return reasons


def _json(path: Path) -> dict | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _short(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}…"
