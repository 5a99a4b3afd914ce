"""What starting costs: `python benchmarks/startup.py [--demo]` prints Markdown tables.

Each command without a network, until it has read its arguments, against the bare import of numpy, h5py and pandas; dry
runs, also of the paper's presets on trees of as many placeholder files as the publishers ship; and, with `--demo`, the
wall time of the demo on one core against the sum of its commands' times.
"""

import argparse
import os
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

PRESETS = [path.stem for path in sorted((PROJECT / "workflow" / "presets").glob("*_to_*.yaml"))]
NOT_OF_THE_PAPER = {"toycity_to_camvid", "iddlite_to_camvid"}
TREES = {  # a dataset's files by number: how many there are of each
    ("gtav/images/{:05}.png", "gtav/labels/{:05}.png"): 24_966,
    ("synscapes/img/rgb/{}.png", "synscapes/img/class/{}.png"): 25_000,
    ("RAND_CITYSCAPES/RGB/{:07}.png", "RAND_CITYSCAPES/GT/LABELS/{:07}.png"): 9_400,
    **{
        (
            f"cityscapes/leftImg8bit/{split}/ulm/ulm_{{:06}}_000019_leftImg8bit.png",
            f"cityscapes/gtFine/{split}/ulm/ulm_{{:06}}_000019_gtFine_labelIds.png",
        ): count
        for split, count in (("train", 2_975), ("val", 500))
    },
    **{
        (f"bdd100k/images/10k/{split}/{{:08}}.jpg", f"bdd100k/labels/sem_seg/masks/{split}/{{:08}}.png"): count
        for split, count in (("train", 7_000), ("val", 1_000))
    },
    **{
        (f"mapillary/{split}/images/{{:022}}.jpg", f"mapillary/{split}/labels/{{:022}}.png"): count
        for split, count in (("training", 18_000), ("validation", 2_000))
    },
}
CLEAR = 5_000  # images in the list of BDD100K
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


def dry_run(turns: int, overlay: Path) -> str:
    """Seconds of a dry run with an overlay on config.yaml, in an empty folder of results."""
    with tempfile.TemporaryDirectory() as folder:
        words = ("-m", "snakemake", "-n", "--quiet", "--configfile", str(overlay), "--config", f"results={folder}")
        return f"{median(seconds(lambda: command(*words)) for _ in range(turns)):.2f} s"


def dry_runs(turns: int) -> None:
    plans = {f"{n} cycles of self-training, {n} of co-training": (n, n) for n in (5, 15, 50)}
    plans = {"the paper's: 10 and 5": (10, 5)} | plans
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder) / "overlay.yaml"
        for name, (selftrain, cotrain) in plans.items():
            overlay.write_text(yaml.safe_dump({"selftrain": {"cycles": selftrain}, "cotrain": {"cycles": cotrain}}))
            rows.append((name, dry_run(turns, overlay)))
        os.environ["COTRAIN_DATA"] = folder
        placeholders(Path(folder))
        for name in PRESETS:
            if name not in NOT_OF_THE_PAPER:
                rows.append((f"`{name}`", dry_run(turns, PROJECT / "workflow" / "presets" / f"{name}.yaml")))
    table(("dry run of a plan of", "time"), rows)


def placeholders(root: Path) -> None:
    """Empty files under the names of the publishers."""
    for patterns, count in TREES.items():
        for pattern in patterns:
            (root / pattern).parent.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                (root / pattern.format(i)).touch()
    (root / "bdd100k" / "train_clear.txt").write_text("".join(f"{i:08}\n" for i in range(CLEAR)))


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
