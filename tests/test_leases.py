"""GPU leases among real processes; the GPUs are fake."""

import os
import select
import signal
import subprocess
import sys

import numpy as np
import pytest
import sleeping
from conftest import CLASSES, MADE_BY, save

from cotrain.base import gpus as leases
from cotrain.base.errors import BadInput
from cotrain.base.gpus import lease, visible_gpus

PATIENCE = 60  # seconds until a test gives up
HOLD = """
import sys
from cotrain.base.gpus import lease
with lease(int(sys.argv[1])) as taken:
    print(*taken, sep=",", flush=True)
    sys.stdin.read()
"""
# Each takes a GPU twenty times, and ends with an error if somebody else is on it.
CONTEND = """
import os, sys, time
from pathlib import Path
from cotrain.base import gpus as leases
leases.INTERVAL = 0.001
for _ in range(20):
    with leases.lease() as (gpu,):
        mark = Path(sys.argv[1], gpu)
        mark.touch(exist_ok=False)
        time.sleep(0.002)
        mark.unlink()
    with Path(sys.argv[1], "done").open("a") as file:
        file.write(gpu + "\\n")
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Two fake GPUs that nobody else uses: the leases of a job of SLURM are its own."""
    monkeypatch.delenv(leases.VISIBLE, raising=False)
    monkeypatch.setenv(leases.COUNT, "2")
    monkeypatch.setenv("SLURM_JOB_ID", f"test{os.getpid()}")


class Holder:
    """A process that takes GPUs, and keeps them until it is told to end, or killed."""

    def __init__(self, count: int = 1, **environment: str):
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        command = [sys.executable, "-c", HOLD, str(count)]
        self.process = subprocess.Popen(command, env=os.environ | environment, text=True, **pipes)

    @property
    def gpu(self) -> str:
        """Waits until it has one."""
        return self.process.stdout.readline().strip()

    @property
    def said(self) -> str:
        """Waits until it complains."""
        return self.process.stderr.readline()

    def end(self) -> None:
        self.process.communicate("", timeout=PATIENCE)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE)


def test_a_waiting_process_gets_the_gpu_of_one_that_ends_and_of_one_that_is_killed():
    first, second = Holder(), Holder()
    held = {first.gpu: first, second.gpu: second}
    assert held.keys() == {"0", "1"}
    waiting = [Holder(), Holder()]
    assert all("waits for a GPU; taken: 0 by process" in one.said for one in waiting)
    held["0"].end()
    freed = [one for one in waiting if one.process.stdout in _readable([w.process.stdout for w in waiting])]
    assert [one.gpu for one in freed] == ["0"]
    held["1"].kill()
    assert [one.gpu for one in waiting if one not in freed] == ["1"]
    for one in waiting:
        one.end()


def _readable(files: list) -> list:
    return select.select(files, [], [], PATIENCE)[0]


def test_eight_processes_never_have_one_gpu_at_the_same_time(tmp_path):
    command = [sys.executable, "-c", CONTEND, str(tmp_path)]
    processes = [subprocess.Popen(command) for _ in range(8)]
    assert [process.wait(PATIENCE) for process in processes] == [0] * 8
    done = (tmp_path / "done").read_text().split()
    assert len(done) == 8 * 20 and set(done) == {"0", "1"}


def test_several_gpus_are_taken_together_or_not_at_all():
    """Two that want both would else wait for each other for ever."""
    one = Holder()
    assert one.gpu == "0"
    both = [Holder(2), Holder(2)]
    assert all("taken: 0 by process" in holder.said for holder in both)
    one.end()
    ready = _readable([holder.process.stdout for holder in both])
    first, second = sorted(both, key=lambda holder: holder.process.stdout not in ready)
    assert first.gpu == "0,1"
    first.end()
    assert second.gpu == "0,1"
    second.end()


def test_more_gpus_than_there_are_are_refused():
    with pytest.raises(BadInput, match="gpus: 3 are asked for, and there are 2"), lease(3):
        pass


def test_nothing_is_left_behind():
    with lease():
        assert leases._lock_folder().exists()
    assert not leases._lock_folder().exists()


def test_an_assignment_is_kept(monkeypatch):
    monkeypatch.setenv(leases.VISIBLE, "GPU-8932f937, MIG-GPU-1/2/0")
    with lease() as (first,):
        assert os.environ[leases.VISIBLE] == first == "GPU-8932f937"
        other = Holder(**{leases.VISIBLE: "GPU-8932f937,MIG-GPU-1/2/0"})
        assert other.gpu == "MIG-GPU-1/2/0"
        other.end()
    assert os.environ[leases.VISIBLE] == "GPU-8932f937, MIG-GPU-1/2/0"


def test_jobs_of_slurm_that_number_their_gpus_alike_do_not_wait_for_each_other(monkeypatch):
    monkeypatch.setenv(leases.VISIBLE, "0")
    with lease() as (gpu,):
        other = Holder(SLURM_JOB_ID=f"other{os.getpid()}")
        assert other.gpu == gpu == "0"
        other.end()


@pytest.mark.parametrize("hidden", ["", "-1", "NoDevFiles"])
def test_without_gpus_nothing_is_waited_for(monkeypatch, hidden):
    monkeypatch.setenv(leases.VISIBLE, hidden)
    assert visible_gpus() == []
    with lease() as first, lease() as second:
        assert first == second == []


def test_a_number_of_gpus_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv(leases.COUNT, "two")
    with pytest.raises(BadInput, match="COTRAIN_GPUS: found two"):
        visible_gpus()


def test_a_file_in_the_way_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(leases, "PLACE", tmp_path)
    leases._lock_folder().touch()
    with pytest.raises(BadInput, match=str(leases._lock_folder())), lease():
        pass


@pytest.mark.skipif(os.getuid() != 0, reason="giving a folder away needs root")
def test_a_folder_of_somebody_else_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(leases, "PLACE", tmp_path)
    leases._lock_folder().mkdir()
    os.chown(leases._lock_folder(), 12345, 12345)
    with pytest.raises(BadInput, match="another user"), lease():
        pass


def test_a_stage_waits_for_a_gpu(monkeypatch, tmp_path):
    from cotrain.networks import build, checkpoint
    from cotrain.settings.model import Model

    monkeypatch.setenv(leases.COUNT, "1")
    settings = Model(architecture="FPN", encoder="resnet18", weights=None)
    checkpoint.save(tmp_path / "model.pt", build.build(settings, CLASSES), MADE_BY)
    photograph = save(tmp_path / "photo.png", np.zeros((64, 64, 3), np.uint8))
    command = [
        sys.executable,
        "-m",
        "cotrain",
        "predict",
        "--model",
        tmp_path / "model.pt",
        "--out",
        tmp_path / "out",
    ]
    with lease():
        stage = subprocess.Popen([*command, photograph], stderr=subprocess.PIPE, text=True)
        assert stage.stderr.readline() == f"waits for a GPU; taken: 0 by process {os.getpid()}\n"
        assert not (tmp_path / "out" / "photo_overlay.jpg").exists()
    stage.communicate(timeout=PATIENCE)
    assert stage.returncode == 0 and (tmp_path / "out" / "photo_overlay.jpg").exists()


def test_both_models_of_the_loop_are_at_work_at_the_same_time_on_two_gpus(tmp_path):
    """The loop waits for 4 sleeps in place of 8, whatever the machine's speed: 0.5 of the time, and 0.6 is allowed."""
    one, two = (sleeping.sleeps(tmp_path / str(gpus), gpus, seconds=3) for gpus in (1, 2))
    assert len(one) == len(two) == 8
    assert {sleep.gpu for sleep in one} == {"0"} and {sleep.gpu for sleep in two} == {"0", "1"}
    assert sleeping.turns(one) == 8
    assert sleeping.turns(two) <= 0.6 * 8
    for i, sleep in enumerate(two):
        assert all(other.end <= sleep.start for other in two[:i] if other.gpu == sleep.gpu)
