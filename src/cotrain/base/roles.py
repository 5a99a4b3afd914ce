"""Roles of the paths that a command takes, as annotations in the signature of its `run`.

    def run(source: Annotated[Path, READ], out: Annotated[Path, WRITE]) -> None: ...

The command line takes its flags, its checks and the inputs of the provenance from them.
"""

from dataclasses import dataclass
from enum import Flag, auto


class Role(Flag):
    """What a command does with a path: READ or WRITE, joined with what else holds, as in `WRITE | FOLDER`."""

    READ = auto()  # an input file; its hash goes into the provenance of the outputs
    LOOKUP = auto()  # an input that the command looks up by itself: a file, a folder or a name, which may not exist
    WRITE = auto()  # an output, removed when the command fails
    FOLDER = auto()  # an output that is a folder
    KEPT = auto()  # an output that stays when the command fails
    POSITIONAL = auto()  # an argument without a flag


READ = Role.READ
LOOKUP = Role.LOOKUP
WRITE = Role.WRITE
FOLDER = Role.FOLDER
KEPT = Role.KEPT
POSITIONAL = Role.POSITIONAL


@dataclass(frozen=True)
class Replaces:
    """Marks an output that may replace only a file of its own format, which has `text` in its first bytes."""

    text: str
