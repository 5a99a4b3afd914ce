"""How right `cotrain plan` is: `python benchmarks/plan.py [OVERLAY]` calibrates, runs, and prints both side by side.

The run is a short one of toycity, from scratch and in a temporary folder. Each of its commands is timed, in processor
time on a CPU, as the calibration is.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml

from cotrain import calibration, costs
from cotrain.config import joined, read_plain
from cotrain.plan import Plan

PROJECT = Path(__file__).parents[1]
OVERLAY = {
    "run": "plan",
    "toycity": {"source": 60, "target": 40, "validation": 20},
    "data": {"target": {"truth": False}},
    "training": {"source": {"steps": 40}, "cycle": {"steps": 30}, "final": {"steps": 30}},
    "selftrain": {"cycles": 1, "candidates": 30, "selected": 20},
    "cotrain": {"cycles": 1, "candidates": 30, "selected": 20},
    "final": None,
}
STAGES = {
    "train": ("train_source", "finetune", "train_final", "train_upper_bound"),
    "infer": ("infer", "infer_shard"),
    "evaluate": ("evaluate",),
    "render": ("render",),
}
FILES = {
    "predictions": "predictions.h5",
    "pseudo-labels": "[lpc][!r]*.h5",  # labels.h5, pseudolabels.h5, combined.h5
    "models": "model.pt",
    "scenes": "*.png",
}
SHIM = """#!/bin/bash
TIMEFORMAT="$1 %U %S"
{{ time {cotrain} "$@" 2>&3; }} 3>&2 2>> {log}
"""


def timed_run(folder: Path, overlay: Path) -> dict[str, float]:
    """Processor seconds by command of a whole workflow."""
    shim, log = folder / "bin" / "cotrain", folder / "times"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(cotrain=shlex.join([sys.executable, "-m", "cotrain.cli"]), log=shlex.quote(str(log))))
    shim.chmod(0o755)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--quiet", "all"]
    path = f"{shim.parent}:{os.environ['PATH']}"
    subprocess.run([*command, "--configfile", str(overlay)], cwd=folder, check=True, env=os.environ | {"PATH": path})
    found = defaultdict(float)
    for line in log.read_text().splitlines():
        stage, *seconds = line.split()
        found[stage] += sum(map(float, seconds))
    return found


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if "figures" not in path.parts)


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        overlay = folder / "overlay.yaml"
        overlay.write_text(Path(sys.argv[1]).read_text() if sys.argv[1:] else yaml.safe_dump(OVERLAY))
        shutil.copy(PROJECT / "config.yaml", folder)
        files = (PROJECT / "config.yaml", overlay)
        plan = Plan(joined({path: read_plain(path) for path in files}), PROJECT / "workflow")
        expected = costs.Costs(plan, calibration.measure(plan))
        took = timed_run(folder, overlay)
        network = {rule for rules in STAGES.values() for rule in rules}
        rows = {stage: (rules, took.pop(stage)) for stage, rules in STAGES.items()}
        others = {job.rule for job in expected.jobs} - network
        rows["the others"] = (others, sum(took.values()))
        rows["all"] = (network | others, sum(seconds for _, seconds in rows.values()))
        print("| | jobs | expected | found | error |\n|---|--:|--:|--:|--:|")
        for name, (rules, found) in rows.items():
            some = [cost.seconds for job, cost in expected.jobs.items() if job.rule in rules]
            print(f"| {name} | {len(some)} | {sum(some):.0f} s | {found:.0f} s | {sum(some) / found - 1:+.0%} |")
        for kind, pattern in FILES.items():
            found = size(folder / "results", pattern)
            wanted = expected.disk[kind]
            print(f"| {kind} | | {wanted / 1e6:.1f} MB | {found / 1e6:.1f} MB | {wanted / found - 1:+.0%} |")


if __name__ == "__main__":
    main()
