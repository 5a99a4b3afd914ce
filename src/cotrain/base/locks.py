"""Locks on files that the kernel releases when their process ends (flock)."""

import contextlib
import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Self, TextIO

NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # what file systems without locks answer

_warned = False


class Lock:
    """An open lock file. Closing it releases the lock, and so does the end of the process."""

    def __init__(self, file: TextIO, enforced: bool):
        self.file = file
        self.enforced = enforced  # False on a file system without locks: no other process is kept out

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


def acquire(path: Path, shared: bool = False) -> Lock | None:
    """Create a file if need be and lock it, exclusively or `shared`, without waiting.

    Returns None if another process holds the lock or is removing the file, which the holder may do. A file system
    without locks is no error: standard error names it once per process, and the lock is not enforced. Raises OSError
    if the file cannot be opened.
    """
    try:
        file = path.open("a+")  # NFS locks a file exclusively only if it is open for writing, shared only for reading
    except FileNotFoundError:
        return None
    with contextlib.ExitStack() as on_failure:
        on_failure.enter_context(file)
        try:
            enforced = _flock(file, path, shared)
            is_same = os.path.samestat(os.fstat(file.fileno()), path.stat())
        except (BlockingIOError, FileNotFoundError):
            return None
        if not is_same:  # the file was removed, and another made
            return None
        on_failure.pop_all()
    return Lock(file, enforced)


def _flock(file: TextIO, path: Path, shared: bool) -> bool:
    """Lock an open file; False if its file system has no locks."""
    mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(file, mode | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        _warn_once(path, error)
        return False
    return True


def _warn_once(path: Path, error: OSError) -> None:
    global _warned
    if _warned:
        return
    _warned = True
    folder = path.absolute().parent
    while folder.name.startswith("."):  # of a workplace that will be gone
        folder = folder.parent
    reason = f"the file system has no locks ({error.strerror})"
    print(f"{folder}: {reason}; going on without them: do not start two runs in this folder", file=sys.stderr)
