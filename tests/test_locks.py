"""One kind of lock for files, GPUs and runs: it ends with its holder; file systems without locks are no obstacle."""

import errno
import fcntl
import os
import subprocess
import sys

import pytest

from cotrain.base import gpus, locks
from cotrain.files import atomic
from cotrain.reruns.sharing import hold

WITHOUT_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP]
HOLD = """
import sys
from pathlib import Path
from cotrain.base import locks
held = locks.acquire(Path(sys.argv[1]), shared=sys.argv[2] == "shared")
print(held is not None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder():
    """`holder(path, mode)` is another process that locks a file and keeps the lock until it is killed."""
    processes = []

    def start(path, mode):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        process = subprocess.Popen([sys.executable, "-c", HOLD, path, mode], text=True, **pipes)
        processes.append(process)
        assert process.stdout.readline() == "True\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def no_locks(monkeypatch):
    """`no_locks(number)` makes every attempt to lock fail with this error."""

    def install(number):
        def flock(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(fcntl, "flock", flock)
        monkeypatch.setattr(locks, "_warned", False)

    return install


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("exclusive", False, False), ("exclusive", True, False), ("shared", False, False), ("shared", True, True)],
)
def test_lock_keeps_other_processes_out_unless_both_share_it(tmp_path, holder, first, second, expected):
    holder(tmp_path / "lock", first)
    assert (locks.acquire(tmp_path / "lock", shared=second) is not None) == expected


def test_lock_ends_with_its_process(tmp_path, holder):
    process = holder(tmp_path / "lock", "exclusive")
    assert locks.acquire(tmp_path / "lock") is None
    process.kill()
    process.wait()
    assert locks.acquire(tmp_path / "lock").enforced


def test_lock_of_a_file_that_was_removed_in_between_is_not_taken(tmp_path, monkeypatch):
    """Two processes could otherwise hold what they take for one lock."""
    flock = fcntl.flock

    def remove_and_lock(file, mode):
        (tmp_path / "lock").unlink()
        flock(file, mode)

    monkeypatch.setattr(fcntl, "flock", remove_and_lock)
    assert locks.acquire(tmp_path / "lock") is None
    assert locks.acquire(tmp_path / "gone" / "lock") is None


def test_closed_lock_is_free_again(tmp_path):
    with locks.acquire(tmp_path / "lock"):
        assert locks.acquire(tmp_path / "lock") is None
    assert locks.acquire(tmp_path / "lock") is not None


def test_error_of_another_kind_is_raised(tmp_path, no_locks):
    no_locks(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        locks.acquire(tmp_path / "lock")


@pytest.mark.parametrize("number", WITHOUT_LOCKS, ids=errno.errorcode.get)
def test_all_work_on_a_file_system_without_locks_which_is_said_once(number, tmp_path, monkeypatch, no_locks, capfd):
    no_locks(number)
    monkeypatch.setattr(gpus, "PLACE", tmp_path)
    monkeypatch.setenv(gpus.COUNT, "2")
    monkeypatch.delenv(gpus.VISIBLE, raising=False)
    leftover = tmp_path / ".file.01234567.tmp"
    leftover.mkdir()
    atomic.write_bytes(tmp_path / "file", b"whole")
    atomic.write_bytes(tmp_path / "file", b"new")
    with hold(tmp_path / "run"), gpus.lease() as names:
        assert names == ["0"]
    assert (tmp_path / "file").read_bytes() == b"new"
    assert leftover.exists()  # it may belong to a process that is at work
    said = capfd.readouterr().err.splitlines()
    assert len(said) == 1
    assert said[0].startswith(f"{tmp_path}: the file system has no locks ({os.strerror(number)})")
