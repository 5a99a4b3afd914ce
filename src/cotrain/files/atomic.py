"""Files and folders that are written whole or not at all."""

import contextlib
import errno
import fcntl
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import sidecar

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass

NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # of a file system without them: leftovers stay there


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write a file or folder to; it becomes `path` at the end, or vanishes on an error.

    Whoever has the old file open goes on reading it. After a kill or a power cut at any moment, `path` is the old one,
    the new one or, if it is a folder, absent.
    """
    if path.name in ("", ".."):
        raise BadInput(f"{path}: not the name of a file to write; give a path that ends in a name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _workplace(path) as folder:
            new = folder / "new"
            yield new
            for part in (*new.rglob("*"), new):
                _sync(part)
            if path.is_dir():
                if not new.is_dir() or (any(path.iterdir()) and not sidecar(path).exists()):
                    raise BadInput(
                        f"{path}: a folder that cotrain did not make is in the way; move it or write elsewhere"
                    )
                path.rename(folder / "old")
            sidecar(path).unlink(missing_ok=True)  # a new file never stands beside the provenance of the old one
            new.rename(path)
            _sync(path.parent)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error}); check space and permissions") from error


@contextlib.contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path` that is gone at the end, and locked until then; dead processes' are removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        while True:
            folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)  # before, as SIGTERM may come any moment
            folder.mkdir()
            try:
                stack.enter_context(_locked(folder))
            except (BlockingIOError, FileNotFoundError):  # just made, it was taken for a dead one's
                continue
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            break
        yield folder


def _locked(folder: Path) -> IO:
    """The open lock of a workplace, which the kernel frees when its process dies. OSError if it is another's."""
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), (folder / "lock").stat()):
            raise FileNotFoundError
    except OSError:
        file.close()
        raise
    return file


def _sync(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk before anything that follows."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing for folders
            raise
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def remove(path: Path) -> None:
    """Delete a file, or a folder that a stage wrote, and its sidecar; nothing if there is none."""
    for place in (path, sidecar(path)):
        with contextlib.suppress(OSError):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


def write_sidecar(path: Path, made_by: dict) -> None:
    """Keep the provenance of a file in a hidden file beside it, where it is found without opening the file."""
    text = json.dumps({"sha256": sha256(path), "provenance": made_by}, indent=1, sort_keys=True)
    write_bytes(sidecar(path), text.encode())
