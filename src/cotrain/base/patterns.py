"""File names: those that fit a pattern with one {id}, and one for any text."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from cotrain.base.folders import entries_of, is_folder

LONGEST_NAME = 200  # bytes; file systems allow 255, and ours get endings


def matching(folder: Path, pattern: str) -> Iterator[tuple[str, str]]:
    """(id, name) of everything whose name, from `folder` on, fits a pattern with one {id}, which may span folders.

    Folders of such a name count too: they are no images, and whoever opens them says so. Raises BadInput if a folder
    cannot be read.
    """
    head, _, tail = pattern.partition("{id}")
    start, _, _ = head.rpartition("/")
    for name in _names_below(folder, start):
        is_long_enough = len(name) > len(head) + len(tail)
        if is_long_enough and name.startswith(head) and name.endswith(tail):
            image_id = name[len(head) : len(name) - len(tail)]
            yield image_id, name


def _names_below(folder: Path, start: str) -> Iterator[str]:
    """Names, from `folder` on, of all files and folders below its folder `start`; hidden ones are left out."""
    waiting = [Path(start).as_posix()]
    seen = set()
    while waiting:
        name = waiting.pop()
        real_path = os.path.realpath(folder / name)
        if real_path in seen:  # links may go in circles
            continue
        seen.add(real_path)
        prefix = "" if name == "." else f"{name}/"
        folders = []
        for entry in entries_of(folder / name):
            if entry.name.startswith("."):
                continue
            yield prefix + entry.name
            if is_folder(entry):
                folders.append(prefix + entry.name)
        waiting += reversed(folders)  # depth first: of two links to a folder, the first in this order gives the names


def file_name(text: str) -> str:
    """The name of one file for a text from anywhere, such as a class; different texts have different names.

    What would lead out of a folder, hide the file or be refused by a file system is written as %XX; of a long text the
    end becomes a hash.
    """
    characters = []
    for place, character in enumerate(text):
        hidden = character == "." and place == 0
        plain = character.isprintable() and character not in "/\\%" and not hidden
        characters.append(character if plain else _escaped(character))
    name = "".join(characters)
    encoded = name.encode()
    if len(encoded) <= LONGEST_NAME:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:16]
    return f"{encoded[: LONGEST_NAME - 17].decode(errors='ignore')}~{digest}"


def _escaped(character: str) -> str:
    """The bytes of a character, also of half a surrogate pair, as %XX."""
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))
