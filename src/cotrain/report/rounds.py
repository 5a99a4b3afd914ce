"""What the names of rounds tell the report. Nothing else here reads them."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

LEVELS = ("source_only", "source", "upper_bound")  # trained once without pseudo-labels: drawn as horizontal lines
PHASES = {"selftrain": "self-training", "cotrain": "co-training", "final": "last training"}


class Exchange(NamedTuple):
    """One direction of an exchange of images between the models."""

    cycle: int
    sender: int
    receiver: int


def round_at(path: Path, names: Collection[str]) -> str | None:
    """The round, out of `names`, whose name a path ends with; the longest if several fit, None if none does."""
    fitting = [name for name in names if f"/{path.as_posix()}".endswith(f"/{name}")]
    return max(fitting, key=len, default=None)


def phase(name: str) -> str:
    """What the rounds that follow each other on an axis have in common."""
    return name.split("/")[0]


def tick(name: str) -> str:
    """A round on the axis of progress.png; the models of a cycle share it."""
    return "/".join(name.split("/")[:2])


def place(name: str) -> str:
    """A round on the axis of a chart of the report; the models of a cycle share it."""
    phase_name, *rest = name.replace("_2", "").split("/")
    words = [PHASES.get(phase_name, phase_name)]
    if rest:
        words.append(str(int(rest[0])))
    return " ".join(words)


def exchange(name: str) -> Exchange | None:
    """The exchange that selected a round's images; None if the round's own model selected them."""
    if not name.startswith("cotrain/"):
        return None
    _, cycle, model = name.split("/")
    receiver = int(model)
    return Exchange(int(cycle), sender=3 - receiver, receiver=receiver)
