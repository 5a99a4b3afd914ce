"""Sections of the report on the run itself: time of each stage, settings and provenance."""

import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from cotrain.base.progress import times
from cotrain.files.sidecars import entries, in_force, kept
from cotrain.report import charts
from cotrain.report.elements import Cell, Chart, Section, Table

STAGE_HEAD = ["Stage", "Jobs", "Seconds", "Longest", "MiB at most"]
JOB_HEAD = ["Job", "Stage", "Seconds", "MiB at most"]


def time(logs: Path | None) -> Iterator[Section]:
    """How long the jobs took, by the last lines of their logs; nothing if no log says it."""
    jobs = times(logs) if logs else {}
    if not jobs:
        return
    job_rows = []
    for job, (stage, seconds, memory) in jobs.items():
        job_rows.append([Cell(job), Cell(stage), Cell(f"{seconds:.1f}"), Cell(str(memory))])
    stages = _by_stage(pd.DataFrame(jobs.values(), columns=["stage", "seconds", "memory"]))
    stage_rows = []
    for stage in stages.itertuples():
        row = [stage.Index, str(stage.jobs), f"{stage.total:.1f}", f"{stage.longest:.1f}", str(stage.memory)]
        stage_rows.append([Cell(text) for text in row])
    chart = charts.bars({"all jobs": stages["total"].tolist()}, stages.index.tolist(), "seconds")
    yield Section(
        name="times",
        title="Time of each stage",
        text="Seconds that the commands took, by their logs. Jobs run side by side, so the run took less than the "
        "sum. Of a training that was stopped and went on, the last part alone.",
        charts=[Chart.of("times", "Seconds of each stage, all jobs together", chart)],
        tables=[
            Table(
                "Seconds and memory of each stage", ["Stage", "Jobs", "Seconds", "Longest", "MiB at most"], stage_rows
            ),
            Table("Of each job", ["Job", "Stage", "Seconds", "MiB at most"], job_rows, folded=True),
        ],
    )


def _by_stage(jobs: pd.DataFrame) -> pd.DataFrame:
    """Number of jobs, seconds together and at most, and memory at most of each stage; the longest first."""
    stages = jobs.groupby("stage").agg(
        jobs=("seconds", "count"),
        total=("seconds", "sum"),
        longest=("seconds", "max"),
        memory=("memory", "max"),
    )
    return stages.sort_values("total", ascending=False)


def provenance(made_by: dict) -> Section:
    """Settings of each stage that the report depends on, and its files."""
    files = _ancestors(made_by)
    rows = []
    for path, known in files.items():
        rows.append([Cell(path), Cell(known["provenance"]["stage"]), Cell(known["sha256"][:16])])
    files_table = Table("Files, and what made them", ["File", "Stage", "SHA-256, first digits"], rows, folded=True)
    return Section(
        name="provenance",
        title="Settings and provenance",
        text=f"Made by cotrain {made_by['code']} from {len(files)} files. Where jobs of a stage had different "
        "settings, all values are there. `cotrain explain FILE` tells more of any file.",
        charts=[],
        tables=[*_settings_tables(files), files_table],
    )


def _ancestors(made_by: dict) -> dict[str, dict]:
    """Path → content of the sidecar, of all files that one was made from, directly or not, as far as they have one."""
    ancestors: dict[str, dict] = {}
    todo = [entry["path"] for _, entry in entries(made_by)]
    while todo:
        path = todo.pop()
        if path in ancestors:
            continue
        known = kept(Path(path))
        if known:
            ancestors[path] = known
            todo += [entry["path"] for _, entry in entries(known["provenance"])]
    return dict(sorted(ancestors.items()))


def _settings_tables(files: dict[str, dict]) -> Iterator[Table]:
    """A table for each stage: its settings with all values that its jobs had, in the order of the files."""
    stages: dict[str, dict[str, list[str]]] = {}
    for known in files.values():
        made_by = known["provenance"]
        settings = stages.setdefault(made_by["stage"], {})
        for key, value in in_force(made_by).items():
            text = json.dumps(value, ensure_ascii=False)
            texts = settings.setdefault(key, [])
            if text not in texts:
                texts.append(text)
    for stage, settings in sorted(stages.items()):
        if not settings:
            continue
        rows = []
        for key, texts in sorted(settings.items()):
            rows.append([Cell(key), Cell(" · ".join(texts))])
        yield Table(f"Settings of {stage}", ["Setting", "Value, or values"], rows, folded=True)
