"""How right `cotrain plan` is: `python benchmarks/plan.py [OVERLAY]` calibrates, runs, and prints both side by side.

The run is a short one of toycity, from scratch and in a temporary folder. Each of its commands is timed, in processor
time on a CPU, as the calibration is.
"""

import argparse
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml
from common import PROJECT, timed_workflow

from cotrain.procedure import costs
from cotrain.procedure.plan import Plan
from cotrain.settings.yaml_files import joined, read_plain
from cotrain.tools import calibration

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
    "train": ("train",),
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


def size(folder: Path, pattern: str) -> int:
    return sum(path.stat().st_size for path in folder.rglob(pattern) if "figures" not in path.parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("overlay", nargs="?", type=Path)
    parser.add_argument("--cores", type=int, default=1, help="how many jobs run at a time; the calibration runs alone")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        overlay = folder / "overlay.yaml"
        overlay.write_text(arguments.overlay.read_text() if arguments.overlay else yaml.safe_dump(OVERLAY))
        shutil.copy(PROJECT / "config.yaml", folder)
        files = (PROJECT / "config.yaml", overlay)
        plan = Plan(joined({path: read_plain(path) for path in files}), PROJECT / "workflow")
        expected = costs.Costs(plan, calibration.measure(plan))
        took = defaultdict(float)
        for command in timed_workflow(folder, "--cores", str(arguments.cores), "--configfile", str(overlay)):
            took[command.stage] += command.processor
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
