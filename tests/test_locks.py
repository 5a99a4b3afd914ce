"""One kind of lock for files, GPUs and runs: it ends with its holder; file systems without locks are no obstacle."""

import errno
import fcntl
import os
import platform
import subprocess
import sys

import pytest
from conftest import random_maps, read_pseudolabels, write_predictions

from cotrain.base import gpus, locks
from cotrain.files import atomic
from cotrain.reruns.sharing import hold

# Runs `cotrain` with a kernel that has no flock, by a filter of system calls: HDF5's own locks fail as well.
COTRAIN_WITHOUT_FLOCK = """
import ctypes, errno, struct, sys
SYS_FLOCK, ALLOW, ERRNO, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 73, 0x7FFF0000, 0x00050000, 22, 38
instructions = [(0x20, 0, 0, 0), (0x15, 0, 1, SYS_FLOCK), (0x06, 0, 0, ERRNO | errno.ENOLCK), (0x06, 0, 0, ALLOW)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in instructions))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
program = Program(len(instructions), ctypes.addressof(code))
libc = ctypes.CDLL(None)
if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
    sys.exit(77)
from cotrain.cli import main
sys.exit(main(sys.argv[1:]))
"""
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


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter of system calls is written for x86_64")
def test_hdf5_files_are_read_and_written_where_the_kernel_refuses_locks(tmp_path):
    label, confidence = random_maps(0, 3, 8, 12, classes=3)
    write_predictions(tmp_path / "predictions.h5", ["a", "b", "c"], label, confidence)
    flags = ["--predictions", "predictions.h5", "--out", "labels.h5", "--table", "thresholds.csv"]
    command = [sys.executable, "-c", COTRAIN_WITHOUT_FLOCK, "threshold", *flags, "--settings", '{"portion": 0.5}']
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    if result.returncode == 77:
        pytest.skip("this machine filters no system calls")
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "locks" in line]
    assert len(said) == 1 and said[0].startswith(f"{tmp_path}: the file system has no locks (No locks available)")
    assert read_pseudolabels(tmp_path / "labels.h5")["label"].shape == (3, 8, 12)
