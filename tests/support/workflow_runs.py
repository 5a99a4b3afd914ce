"""Real Snakemake for the tests: runs of the tiny workflow, and what Snakemake plans for an edited config."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

PROJECT = Path(__file__).parents[2]
TINY = PROJECT / "tests" / "tiny.yaml"
SNAKEFILE = ["--snakefile", str(PROJECT / "Snakefile")]


def snakemake(
    folder: Path, *arguments: str, overlays: tuple[Path, ...] = (TINY,), env: dict | None = None
) -> subprocess.CompletedProcess:
    """Snakemake in `folder`, which gets a copy of config.yaml; results go below it."""
    shutil.copy(PROJECT / "config.yaml", folder)
    command = [sys.executable, "-m", "snakemake", *SNAKEFILE, "--cores", "2", *arguments, "--configfile"]
    command += map(str, overlays)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1200, check=False, env=env)


def finished_run(folder: Path) -> Path:
    """`folder` with a finished tiny workflow in it."""
    result = snakemake(folder)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return folder


def merged(base: dict, changes: dict) -> dict:
    """A copy of `base` with nested changes, as Snakemake merges config files."""
    result = copy.deepcopy(base)
    for key, value in changes.items():
        nested = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if nested else value
    return result


class Job(NamedTuple):
    rule: str
    log: str  # without its ending; names the round
    inputs: list[str]
    outputs: list[str]
    first: bool  # for a reason of its own, not because of another job

    @property
    def kind(self) -> str:
        """The rule; of a training with its phase, as in `train selftrain`."""
        return f"{self.rule} {self.log.split('/')[0]}" if self.rule == "train" else self.rule


class Planned(NamedTuple):
    jobs: list[Job]
    words: list[str]  # our reasons

    @property
    def names(self) -> list[tuple[str, str]]:
        """(rule, log) of all jobs."""
        return [(job.rule, job.log) for job in self.jobs]

    @property
    def first(self) -> list[str]:
        """Rules that run for a reason of their own; of trainings also the phase."""
        return sorted({job.kind for job in self.jobs if job.first})

    @property
    def kinds(self) -> set[str]:
        """Rules that run; of trainings also the phase."""
        return {job.kind for job in self.jobs}


def planned(output: str) -> Planned:
    """From what `snakemake -n` prints. The rule `all`, which only collects, is left out."""
    jobs = []
    for rule, body in re.findall(r"^rule (\w+):\n((?:    .*\n)+)", output, re.MULTILINE):
        lines = dict(line.strip().split(": ", 1) for line in body.splitlines() if ": " in line)
        if rule != "all":
            log = re.search(r"/logs/(\S+)\.log", lines["log"])[1]
            inputs, outputs = (lines.get(name, "").split(", ") for name in ("input", "output"))
            jobs.append(Job(rule, log, inputs, outputs, "updated by another job" not in lines["reason"]))
    return Planned(sorted(jobs), re.findall(r"^out of date, .*", output, re.MULTILINE))


class DryRuns:
    """`snakemake -n` many times, by one process that has imported what it needs (snakemake_server.py)."""

    def __init__(self) -> None:
        server = Path(__file__).with_name("snakemake_server.py")
        self.server = subprocess.Popen(
            [sys.executable, str(server)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, folder: Path, edit: dict | str | None = None, *targets: str) -> Planned:
        """What is planned in `folder` after an edit of the tiny config, as data or as the text of a YAML file."""
        shutil.copy(PROJECT / "config.yaml", folder)
        overlay = folder / "edit.yaml"
        overlay.write_text(edit if isinstance(edit, str) else yaml.safe_dump(edit or {}))
        arguments = [*SNAKEFILE, "--cores", "1", "-n", *targets, "--configfile", str(TINY), str(overlay)]
        self.server.stdin.write(json.dumps([str(folder), arguments]) + "\n")
        self.server.stdin.flush()
        code, output = json.loads(self.server.stdout.readline())
        assert code == 0, output
        return planned(output)

    def close(self) -> None:
        self.server.stdin.close()
        self.server.wait()
