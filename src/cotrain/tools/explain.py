"""Prints what made a file: stage, settings, inputs with their hashes, code; and what made those, to the photographs."""

from json import dumps
from pathlib import Path
from typing import Annotated

from cotrain.base.errors import BadInput
from cotrain.base.roles import LOOKUP, POSITIONAL, READ
from cotrain.reruns import lineage


def run(
    file: Annotated[Path | None, READ | LOOKUP | POSITIONAL] = None,
    diff: Annotated[tuple[Path, Path] | None, READ | LOOKUP] = None,
    json: bool = False,
) -> None:
    """`--diff A B` prints what differs between the making of two files; `--json` the provenance of FILE as it is kept.

    An input that was changed after it was read is marked CHANGED SINCE, one that was deleted GONE.
    """
    if (file is None) == (diff is None) or (diff and json):
        raise BadInput("explain: give one FILE, with or without --json, or two files with --diff")
    if diff:
        print("\n".join(lineage.differences(*diff)) or "made alike: same stage, settings, inputs and code")
    elif json:
        print(dumps(lineage.made_by(file), indent=2))
    else:
        print("\n".join(lineage.explanation(file)))
