"""Checks of the paths that a command was given, made before it works.

They refuse what could only fail after the work, what would never end, and what would be lost.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.base.roles import FOLDER, Role
from cotrain.files.sidecars import sidecar

NO_FILE = "a device, pipe or socket"
DEVICES = "/dev"
HEAD = 4096  # bytes at the start of a file in which it names its format


def check_input(path: Path) -> None:
    """Raises BadInput unless `path` is a regular file, or a link to one."""
    mode = _mode(path, "read")
    if mode is None:
        raise BadInput(f"{path}: no such file; run the stage that makes it")
    if stat.S_ISDIR(mode):
        raise BadInput(f"{path}: a folder, expected a file; give the file in it")
    if not stat.S_ISREG(mode):
        raise BadInput(f"{path}: {NO_FILE}, expected a file; write its content to a file first")


def check_lookup(path: Path) -> None:
    """Raises BadInput if `path` exists and is neither a file nor a folder."""
    mode = _mode(path, "read")
    if mode is not None and not _is_plain(mode):
        raise BadInput(f"{path}: {NO_FILE}, expected a file or folder; write its content to a file first")


def check_output(path: Path, role: Role, replaces: str) -> None:
    """Raises BadInput if `path` cannot be written, or something that is not ours to replace is in the way.

    With `replaces`, an existing file must have that text in its first bytes. One that is empty or has only zeros is
    what a power cut leaves, and may be replaced too.
    """
    if path.name in ("", ".."):
        raise BadInput(f"{path}: not the name of a file to write; give a path that ends in a name")
    mode = _mode(path, "written")
    if mode is not None:
        _check_in_the_way(path, mode, role)
        if replaces and not _has_format(path, replaces):
            raise BadInput(f"{path}: not a {replaces} file, and would be lost; move it or give another path")
    _check_place(path)


def check_overlap(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Raises BadInput if two outputs are the same file, or an output is an input."""
    places = {os.path.realpath(path) for path in inputs}
    for path in outputs:
        place = os.path.realpath(path)
        if place in places:
            raise BadInput(f"{path}: it is an input too, or written twice, and would be lost; write elsewhere")
        places.add(place)


def _mode(path: Path, purpose: str) -> int | None:
    """Type and permissions of the file that `path` leads to; None if there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a zero byte in the name
        return None
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadInput(f"{path}: cannot be {purpose} ({error.strerror}); check the path") from None


def _is_plain(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)


def _check_in_the_way(path: Path, mode: int, role: Role) -> None:
    is_folder = stat.S_ISDIR(mode)
    is_link_to_stream = os.path.realpath(path.parent) == DEVICES and not is_folder  # /dev/stdout, if it is a file
    if not _is_plain(mode) or is_link_to_stream:
        raise BadInput(f"{path}: {NO_FILE} is in the way; write elsewhere")
    if is_folder and FOLDER not in role:
        raise BadInput(f"{path}: a folder is in the way; move it or write elsewhere")
    if not is_folder and FOLDER in role:
        raise BadInput(f"{path}: a file is in the way of a folder; move it or write elsewhere")


def _has_format(path: Path, text: str) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    is_blank = not head.strip(b"\0")
    return is_blank or text.encode() in head


def _check_place(path: Path) -> None:
    """The nearest folder that exists must be writable, and allow a name as long as that of the sidecar."""
    folder = next(place for place in path.absolute().parents if os.path.lexists(place))
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BadInput(f"{path}: cannot be written to {folder}; check its permissions, or write elsewhere")
    length = len(os.fsencode(sidecar(path).name))
    longest = os.pathconf(folder, "PC_NAME_MAX")
    if length > longest:
        raise BadInput(f"{path}: its name is {length - longest} bytes too long; give a shorter one")
