"""What starting costs: `python benchmarks/startup.py [--demo]` prints Markdown tables.

Each command without a network, until it has read its arguments, against the bare import of numpy, h5py and pandas; dry
runs; and, with `--demo`, the wall time of the demo on one core against the sum of its commands' times.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import yaml
from common import PROJECT, interleaved, ratio, seconds, table, timed_workflow

from cotrain.cli import STAGES

NETWORK = {"train", "infer", "evaluate", "predict", "export"}
PAPER = {"selftrain": {"cycles": 10}, "cotrain": {"cycles": 5}}


def command(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=PROJECT)


def starts(turns: int) -> None:
    functions = {"import numpy, h5py, pandas": lambda: command("-c", "import numpy, h5py, pandas")}
    for stage in STAGES.keys() - NETWORK:
        functions[stage] = lambda stage=stage: command("-m", "cotrain", stage, "--help")
    took = interleaved(functions, 1 + turns)
    bare = took["import numpy, h5py, pandas"][1:]
    rows = [(name, f"{median(t[1:]):.2f} s", f"{ratio(t[1:], bare):.2f}") for name, t in took.items()]
    table(("start", "time", "÷ bare import"), [rows[0], *sorted(rows[1:])])


def dry_runs(turns: int) -> None:
    def dry_run(folder: str, change: dict) -> float:
        overlay = Path(folder) / "overlay.yaml"
        overlay.write_text(yaml.safe_dump(change))
        words = ("-m", "snakemake", "-n", "--quiet", "--configfile", str(overlay), "--config", f"results={folder}")
        return median(seconds(lambda: command(*words)) for _ in range(turns))

    plans = {f"{n} cycles of self-training, {n} of co-training": (n, n) for n in (5, 15, 50)}
    plans = {"the paper's: 10 and 5": (10, 5)} | plans
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (selftrain, cotrain) in plans.items():
            took = dry_run(folder, {"selftrain": {"cycles": selftrain}, "cotrain": {"cycles": cotrain}})
            rows.append((name, f"{took:.2f} s"))
    table(("dry run of a plan of", "time"), rows)


def demo() -> None:
    """The demo on one core: its wall time, and the sum of that of its commands."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shutil.copy(PROJECT / "config.yaml", folder)
        start = time.perf_counter()
        commands = timed_workflow(folder, "--cores", "1")
        wall, total = time.perf_counter() - start, sum(took.wall for took in commands)
        row = (f"demo, {len(commands)} commands", f"{wall:.0f} s", f"{total:.0f} s", f"{wall / total:.2f}")
    table(("workflow on one core", "wall", "sum of its commands", "ratio"), [row])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--demo", action="store_true", help="also run the demo, minutes")
    arguments = parser.parse_args()
    starts(arguments.turns)
    print()
    dry_runs(arguments.turns)
    if arguments.demo:
        print()
        demo()


if __name__ == "__main__":
    main()
