"""What the benchmarks share: scenes to work on, times, tables."""

import os
import resource
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

from PIL import Image

from cotrain.files import tables
from cotrain.toycity import streets

PROJECT = Path(__file__).parents[1]
SHIM = """#!/bin/bash
TIMEFORMAT="$1 %R %U %S"
{{ time {cotrain} "$@" 2>&3; }} 3>&2 2>> {log}
"""
MADE_BY = {"settings": {}, "inputs": {}, "code": "", "definitions": {}}


def scenes(folder: Path, look: str, count: int, size: tuple[int, int], photograph: str = "png") -> Path:
    """An index of rendered scenes (height, width), their photographs stored as PNG or JPEG."""
    rows = []
    for i in range(count):
        image, label = (Image.fromarray(array) for array in streets.render(0, i, look, *size))
        paths = folder / f"{look}{i}.{photograph}", folder / f"{look}{i}_label.png"
        image.save(paths[0], quality=92)
        label.save(paths[1])
        names = dict(zip(("image", "label"), map(str, paths), strict=True))
        rows.append({"image_id": str(i), **names, "height": size[0], "width": size[1]})
    tables.write_table(folder / f"{look}.csv", "index", rows, {})
    return folder / f"{look}.csv"


def seconds(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    start = clock()
    function()
    return clock() - start


def interleaved(functions: dict[str, Callable[[], object]], turns: int) -> dict[str, list[float]]:
    """Seconds of each function in each turn; all run once in a turn, so that what slows the machine slows all."""
    found = {name: [] for name in functions}
    for _ in range(turns):
        for name, function in functions.items():
            found[name].append(seconds(function))
    return found


def ratio(some: Sequence[float], others: Sequence[float]) -> float:
    """Median over the turns."""
    return median(a / b for a, b in zip(some, others, strict=True))


class Busy:
    """How much of the time a GPU computes, as `nvidia-smi` says every 0.1 s; nothing where there is no such program."""

    def __init__(self):
        self.asked = None

    def start(self) -> None:
        if program := shutil.which("nvidia-smi"):
            question = [program, "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", "100"]
            self.asked = subprocess.Popen(question, stdout=subprocess.PIPE, text=True)

    def stop(self) -> float | None:
        """The mean share since the start, None if it is not known."""
        if self.asked is None:
            return None
        self.asked.terminate()
        answers = [int(word) for word in self.asked.communicate()[0].split() if word.isdigit()]
        self.asked = None
        return mean(answers) / 100 if answers else None


class Took(NamedTuple):
    stage: str
    wall: float  # seconds
    processor: float


def timed_workflow(folder: Path, *words: str) -> list[Took]:
    """Runs Snakemake in `folder` with further words of its command line, and times each command of its jobs."""
    shim, log = folder / "bin" / "cotrain", folder / "times"
    shim.parent.mkdir()
    shim.write_text(SHIM.format(cotrain=shlex.join([sys.executable, "-m", "cotrain"]), log=shlex.quote(str(log))))
    shim.chmod(0o755)
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(PROJECT / "Snakefile"), "--quiet", "all", *words]
    path = f"{shim.parent}:{os.environ['PATH']}"
    subprocess.run(command, cwd=folder, check=True, env=os.environ | {"PATH": path})
    lines = [line.split() for line in log.read_text().splitlines()]
    return [Took(stage, float(wall), float(user) + float(system)) for stage, wall, user, system in lines]


def peak_of(command: Sequence[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a command, alone in a process of its own."""
    measured = "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stderr=subprocess.DEVNULL); "
    measured += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", measured, *command], check=True, capture_output=True, text=True)
    took = time.perf_counter() - start
    return took, int(done.stdout.split()[-1]) * 1024 / 1e6


def peak() -> float:
    """Of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A Markdown table; the first column is text."""
    print(f"| {' | '.join(header)} |\n|---{'|--:' * (len(header) - 1)}|")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)
