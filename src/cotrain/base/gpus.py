"""Leases of GPUs: each stage that runs has GPUs of its own, and waits until they are free.

A lease is a lock on a file, so it ends with its process. Leases hold among the processes of one user on one machine,
and among the GPUs that CUDA_VISIBLE_DEVICES lists: an assignment by SLURM or by a person is kept.
"""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from cotrain.base.errors import BadInput
from cotrain.base.locks import Lock, acquire

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "COTRAIN_GPUS"  # how many GPUs to use instead of all; tests use it to pretend that there are some
NONE = {"", "-1", "NoDevFiles"}  # values by which SLURM and other programs hide all GPUs
PLACE = Path("/tmp")
INTERVAL = 0.2  # seconds between two attempts to lock a free GPU


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, named as CUDA names them. Raises BadInput."""
    if VISIBLE in os.environ:
        names = os.environ[VISIBLE].replace(" ", "").split(",")
        return [name for name in names if name not in NONE]
    count = os.environ.get(COUNT) or str(_devices())
    if not count.isdecimal():
        raise BadInput(f"{COUNT}: found {count}, expected the number of GPUs to use; give a number, or unset it")
    return [str(number) for number in range(int(count))]


def _devices() -> int:
    """NVIDIA GPUs of this machine."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


@contextlib.contextmanager
def lease(count: int = 1) -> Iterator[list[str]]:
    """Wait for `count` free GPUs, reserve them for this process, and show CUDA no others.

    All are taken at once, or none, so that two processes never wait for each other. Yields their names; [] at once on
    a machine without GPUs. Raises BadInput if there are fewer, or if the lock files cannot be written.
    """
    names = visible_gpus()
    if not names:
        yield []
        return
    if count > len(names):
        raise BadInput(f"gpus: {count} are asked for, and there are {len(names)}; lower training.gpus in the config")
    folder = _lock_folder()
    locks = _wait_for(folder, names, count)
    visible_before = os.environ.get(VISIBLE)
    os.environ[VISIBLE] = ",".join(locks)
    try:
        yield list(locks)
    finally:
        os.environ.pop(VISIBLE)
        if visible_before is not None:
            os.environ[VISIBLE] = visible_before
        _release(folder, locks)


def _lock_folder() -> Path:
    """The folder of this user's lock files. A job of SLURM has its own: it may number its GPUs from 0, as others do.

    It does not depend on TMPDIR or on the session, because all processes of the user must find the same folder.
    """
    job = os.environ.get("SLURM_JOB_ID")
    name = f"cotrain-{os.getuid()}"
    return PLACE / (f"{name}-{job}" if job else name)


def _lock_file(folder: Path, name: str) -> Path:
    return folder / f"gpu-{quote(name, safe='')}"


def _wait_for(folder: Path, names: list[str], count: int) -> dict[str, Lock]:
    """The locks of `count` GPUs, by name."""
    is_waiting = False
    while True:
        locks = _lock_free(folder, names, count)
        if len(locks) == count:
            return locks
        if not is_waiting:
            is_waiting = True
            _say_who_has(folder, [name for name in names if name not in locks])
        _release(folder, locks)
        time.sleep(INTERVAL)


def _lock_free(folder: Path, names: list[str], count: int) -> dict[str, Lock]:
    """The locks of those GPUs that are free, at most `count` of them."""
    locks: dict[str, Lock] = {}
    for name in names:
        if len(locks) == count:
            break
        _make_folder(folder)  # the last holder of a lease removes it
        lock = _lock(_lock_file(folder, name))
        if lock is not None:
            locks[name] = lock
    return locks


def _lock(file: Path) -> Lock | None:
    try:
        lock = acquire(file)
    except OSError as error:
        raise BadInput(f"{file}: cannot be locked ({error.strerror}); have it removed") from None
    if lock is not None:
        _write_holder(lock)
    return lock


def _release(folder: Path, locks: dict[str, Lock]) -> None:
    for name, lock in locks.items():
        with lock, contextlib.suppress(OSError):
            _lock_file(folder, name).unlink()
    with contextlib.suppress(OSError):  # it is not empty while other processes hold or wait
        folder.rmdir()


def _make_folder(folder: Path) -> None:
    try:
        with contextlib.suppress(FileExistsError):  # exist_ok=True fails if the folder is removed at this moment
            folder.mkdir(mode=0o700)
        status = folder.lstat()
    except FileNotFoundError:  # another process has just removed it
        return
    except OSError as error:
        raise BadInput(f"{folder}: no folder for lock files ({error.strerror}); have it removed") from None
    if not stat.S_ISDIR(status.st_mode):
        raise BadInput(f"{folder}: not a folder, and lock files belong there; have it removed")
    if status.st_uid != os.getuid():
        raise BadInput(f"{folder}: it belongs to another user; have it removed")


def _write_holder(lock: Lock) -> None:
    """Write the number of this process into a lock file, for the message of those that wait."""
    with contextlib.suppress(OSError):  # a full disk does not matter
        lock.file.truncate(0)
        lock.file.write(str(os.getpid()))
        lock.file.flush()


def _say_who_has(folder: Path, names: list[str]) -> None:
    holders = [f"{name} by process {_holder(folder, name)}" for name in names]
    print(f"waits for a GPU; taken: {', '.join(holders)}", file=sys.stderr, flush=True)


def _holder(folder: Path, name: str) -> str:
    """The process that holds the lease of a GPU, or "?"."""
    try:
        return _lock_file(folder, name).read_text() or "?"
    except OSError:
        return "?"
