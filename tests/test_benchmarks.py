"""What writes docs/benchmarks.md, and that the benchmark of label maps runs; no number is tested."""

import os
import subprocess
import sys
import time

from conftest import PROJECT

sys.path.insert(0, str(PROJECT / "benchmarks"))
import run
from common import Busy


def test_a_part_is_written_anew_in_its_place_and_the_others_stay():
    first, second, third = list(run.PARTS)[:3]
    page = run.with_section("", third, f"## {third}\n\nold three\n")
    page = run.with_section(page, first, f"## {first}\n\nold one\n")
    page = run.with_section(page, second, f"## {second}\n\ntwo\n")
    page = run.with_section(page, first, f"## {first}\n\nnew one\n")
    assert page == f"{run.HEAD}\n## {first}\n\nnew one\n\n## {second}\n\ntwo\n\n## {third}\n\nold three\n"


def test_every_benchmark_is_a_part_or_what_parts_share():
    scripts = {path.name for path in (PROJECT / "benchmarks").glob("*.py")}
    assert scripts == {arguments[0] for arguments in run.PARTS.values()} | {"run.py", "common.py"}


def test_how_busy_a_gpu_is_is_the_mean_of_what_nvidia_smi_says(tmp_path, monkeypatch):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '90\\n70\\n[N/A]\\n'\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    gpu = Busy()
    gpu.start()
    time.sleep(0.5)
    assert gpu.stop() == 0.8
    program.unlink()
    monkeypatch.setenv("PATH", str(tmp_path))
    gpu.start()
    assert gpu.stop() is None


def test_label_maps_of_any_size_are_measured(tmp_path):
    script = [PROJECT / "benchmarks/labels.py", "6", "--size", "64", "128", "--turns", "1"]
    done = subprocess.run([sys.executable, *script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [line.split(" | ") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows[2:6]] == [f"| {stage}" for stage in ("threshold", "combine", "exchange", "fuse")]
    assert rows[-2][0] == "| ours" and rows[-2][-1] == "0 |"
