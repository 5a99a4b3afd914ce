"""The co-training loop with stages that sleep on fake GPUs: `python tools/sleeping.py --seconds 10`.

Snakemake, the rules, profiles/default and the leases are the real ones; only `cotrain` is one that makes empty files,
and for a stage of the loop with a network takes a GPU first and sleeps on it.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from workflow_runs import TINY, snakemake

from cotrain.base.roles import KEPT, WRITE
from cotrain.cli import STAGES, arguments_of, run_of

OVERLAY = "selftrain: {cycles: 1}\n"  # both models start from the same one, and so at the same time
LOOP = [f"results/tiny/cotrain/02/{m}/model.pt" for m in (1, 2)]
STAGE = """#!{python}
import os, sys, time
from pathlib import Path
from cotrain.base.gpus import lease

flag, outputs = "", []
for argument in sys.argv[2:]:
    if argument.startswith("--"):
        flag = argument
    elif flag in {outputs}:
        outputs.append(Path(argument))
for path in outputs:
    path.parent.mkdir(parents=True, exist_ok=True)
if '"device"' in sys.argv[-1] and "cotrain" in outputs[0].parts:
    with lease() as (gpu,):
        start = time.monotonic()
        time.sleep(float(os.environ["SLEEP"]))
        with Path("sleeps").open("a") as file:
            file.write(f"{{outputs[0].parent}} {{sys.argv[1]}} {{gpu}} {{start}} {{time.monotonic()}}\\n")
for path in outputs:
    path.mkdir() if sys.argv[1] == "render" else path.touch()
"""


class Sleep(NamedTuple):
    round: str
    stage: str
    gpu: str
    start: float  # seconds
    end: float


def output_flags() -> set[str]:
    """The flags of all commands that name a file which the rules expect."""
    flags = set()
    for stage in STAGES:
        for argument in arguments_of(run_of(stage)):
            if WRITE in argument.role and KEPT not in argument.role:
                flags.add(argument.flag)
    return flags


def sleeps(folder: Path, gpus: int, seconds: float) -> list[Sleep]:
    """What the loop did on so many GPUs, by its start."""
    program = folder / "bin" / "cotrain"
    program.parent.mkdir(parents=True)
    program.write_text(STAGE.format(python=sys.executable, outputs=output_flags()))
    program.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "COTRAIN_GPUS": str(gpus),
        "SLURM_JOB_ID": f"sleeping{os.getpid()}",  # so that nobody else uses these GPUs
        "SLEEP": str(seconds),
    }
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    overlay = folder / "overlay.yaml"
    overlay.write_text(OVERLAY)
    result = snakemake(folder, "--cores", "4", *LOOP, overlays=(TINY, overlay), env=environment)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    lines = [line.split() for line in (folder / "sleeps").read_text().splitlines()]
    found = [Sleep(round, stage, gpu, float(start), float(end)) for round, stage, gpu, start, end in lines]
    return sorted(found, key=lambda sleep: sleep.start)


def turns(found: list[Sleep]) -> int:
    """Sleeps that began while no other one was under way: so many times the loop had to wait for one."""
    return sum(all(other.end <= sleep.start for other in found[:i]) for i, sleep in enumerate(found))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="that each stage with a network sleeps")
    options = parser.parse_args()
    walls = {}
    print("| GPUs | sleeps | one after another | wall, s | of that on one GPU |\n|--:|--:|--:|--:|--:|")
    for gpus in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            found = sleeps(Path(folder), gpus, options.seconds)
        walls[gpus] = max(sleep.end for sleep in found) - found[0].start
        print(f"| {gpus} | {len(found)} | {turns(found)} | {walls[gpus]:.1f} | {walls[gpus] / walls[1]:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
