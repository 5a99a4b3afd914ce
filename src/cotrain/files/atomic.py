"""Files and folders that are written whole or not at all."""

import contextlib
import errno
import glob
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from cotrain.base import locks
from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import sidecar


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write a file or folder to; it becomes `path` at the end, or vanishes on an error.

    Whoever has the old file open goes on reading it. After a kill or a power cut at any moment, `path` is the old one,
    the new one or, if it is a folder, absent. Raises BadInput if it cannot be written.
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
                _check_replaceable(path, new)
                path.rename(folder / "old")
            sidecar(path).unlink(missing_ok=True)  # a new file never stands beside the provenance of the old one
            new.rename(path)
            _sync(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise BadInput(f"{path}: cannot be written ({reason}); check space and permissions") from error


def _check_replaceable(folder: Path, new: Path) -> None:
    """BadInput if a folder would be lost that cotrain did not make."""
    is_ours = sidecar(folder).exists() or not any(folder.iterdir())
    if not new.is_dir() or not is_ours:
        raise BadInput(f"{folder}: a folder that cotrain did not make is in the way; move it or write elsewhere")


@contextlib.contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A new hidden folder beside `path`, locked while it is in use and removed at the end."""
    _remove_leftovers(path)
    with contextlib.ExitStack() as stack:
        while True:
            folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)  # before mkdir: SIGTERM may come at any moment
            folder.mkdir()
            lock = locks.acquire(folder / "lock")
            if lock is not None:  # otherwise another process took the new folder for a leftover
                stack.enter_context(lock)
                break
        yield folder


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left beside `path`. Without locks, files in use look the same: all stay."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError):
            lock = locks.acquire(folder / "lock")
            if lock is None:
                continue
            with lock:
                if lock.enforced:
                    shutil.rmtree(folder, ignore_errors=True)


def _sync(path: Path) -> None:
    """Have the bytes of a file, or the names in a folder, on disk before what follows."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing for folders
            raise
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    """Raises BadInput."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def remove(path: Path) -> None:
    """Delete a file, or a folder that a stage wrote, and its sidecar; nothing if there is none."""
    for place in (path, sidecar(path)):
        with contextlib.suppress(OSError):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink()


def write_sidecar(path: Path, made_by: dict) -> None:
    """Keep the provenance of a file in its sidecar, where it is found without opening the file."""
    content = {"sha256": sha256(path), "provenance": made_by}
    text = json.dumps(content, indent=1, sort_keys=True)
    write_bytes(sidecar(path), text.encode())
