"""A GPU of its own for each stage that runs: a lease is a lock of the kernel on a file, and ends with its holder.

Leases are among the processes of one user on one machine, and among the GPUs that CUDA_VISIBLE_DEVICES lists, so that
what SLURM or a person assigned is kept.
"""

import contextlib
import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from cotrain.base.errors import BadInput

VISIBLE = "CUDA_VISIBLE_DEVICES"
COUNT = "COTRAIN_GPUS"  # how many GPUs to use, instead of those found; they need not exist, which tests make use of
NONE = {"", "-1", "NoDevFiles"}  # what programs, SLURM among them, set to hide all GPUs
PLACE = Path("/tmp")
INTERVAL = 0.2  # seconds between two looks for a free GPU


def gpus() -> list[str]:
    """The GPUs that this process may use, named as CUDA does. Raises BadInput."""
    if VISIBLE in os.environ:
        return [name for name in os.environ[VISIBLE].replace(" ", "").split(",") if name not in NONE]
    found = os.environ.get(COUNT) or str(len(list(Path("/dev").glob("nvidia[0-9]*"))))
    if not found.isdecimal():
        raise BadInput(f"{COUNT}: found {found}, expected how many GPUs to use; give a number, or unset it")
    return [str(i) for i in range(int(found))]


@contextlib.contextmanager
def lease(count: int = 1) -> Iterator[list[str]]:
    """`count` GPUs that are this process's own, and the only ones that CUDA shows it; waits until so many are free.

    All or none are taken, so that two processes never wait for each other. Without GPUs there is nothing to wait for.
    Raises BadInput if there are fewer, or the lock files cannot be written.
    """
    names, before = gpus(), os.environ.get(VISIBLE)
    if not names:
        yield []
        return
    if count > len(names):
        raise BadInput(f"gpus: {count} are wanted, and {len(names)} are there; lower it (in the config, training.gpus)")
    folder = _folder()
    taken = _all_free(folder, names, count)
    os.environ[VISIBLE] = ",".join(taken)
    try:
        yield list(taken)
    finally:
        os.environ.pop(VISIBLE)
        if before is not None:
            os.environ[VISIBLE] = before
        _give_back(folder, taken)


def _folder() -> Path:
    """Of this user; and under SLURM of this job, because it may number its GPUs from 0 as other jobs do.

    Not a folder that TMPDIR or a session decides on: all processes of the user must find the same.
    """
    return PLACE / "-".join(["cotrain", str(os.getuid()), *filter(None, [os.environ.get("SLURM_JOB_ID")])])


def _file_of(folder: Path, name: str) -> Path:
    return folder / f"gpu-{quote(name, safe='')}"


def _all_free(folder: Path, names: list[str], count: int) -> dict[str, TextIO]:
    """`count` GPUs, and their locks."""
    said = False
    while True:
        taken: dict[str, TextIO] = {}
        for name in names:
            _make(folder)  # who had it last has removed it
            if len(taken) < count and (file := _locked(_file_of(folder, name))):
                taken[name] = file
        if len(taken) == count:
            return taken
        if not said:
            others = [name for name in names if name not in taken]
            holders = ", ".join(f"{name} by process {_holder(_file_of(folder, name))}" for name in others)
            print(f"waits for a GPU; taken: {holders}", file=sys.stderr, flush=True)
            said = True
        _give_back(folder, taken)
        time.sleep(INTERVAL)


def _give_back(folder: Path, taken: dict[str, TextIO]) -> None:
    for name, file in taken.items():
        with file, contextlib.suppress(OSError):
            _file_of(folder, name).unlink()
    with contextlib.suppress(OSError):
        folder.rmdir()  # fails while others hold or wait


def _make(folder: Path) -> None:
    try:
        with contextlib.suppress(FileExistsError):  # not exist_ok: that fails if it is removed at this moment
            folder.mkdir(mode=0o700)
        found = folder.lstat()
    except FileNotFoundError:  # removed again by another process
        return
    except OSError as error:
        raise BadInput(f"{folder}: no folder for lock files ({error.strerror}); have it removed") from None
    if not stat.S_ISDIR(found.st_mode):
        raise BadInput(f"{folder}: no folder, and lock files belong there; have it removed")
    if found.st_uid != os.getuid():
        raise BadInput(f"{folder}: it belongs to another user; have it removed")


def _locked(path: Path) -> TextIO | None:
    """The open file, locked for this process; None if another one has it, or removes it at this moment."""
    try:
        file = path.open("a")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if path.stat().st_ino != os.fstat(file.fileno()).st_ino:
            raise FileNotFoundError
    except (BlockingIOError, FileNotFoundError):
        file.close()
        return None
    with contextlib.suppress(OSError):  # it is for people; the disk may be full
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text() or "?"
    return "?"
