"""What the path of a round tells a reader of tables and figures, who has no config."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from cotrain.procedure.rounds import COTRAIN, FINAL, SELFTRAIN, SOURCE, SOURCE_ONLY, UPPER_BOUND

LEVELS = (SOURCE_ONLY, SOURCE, UPPER_BOUND)  # trained once without pseudo-labels: drawn as horizontal lines
PHASES = {SELFTRAIN: "self-training", COTRAIN: "co-training", FINAL: "last training"}


class Place(NamedTuple):
    """Where a round stands in the procedure."""

    phase: str  # folder of the phase
    cycle: int | None  # from 1
    member: int | None  # of co-training, from 1

    @property
    def label(self) -> str:
        """The round on the axis of a chart; the models of a cycle share it."""
        phase = self.phase.partition("_")[0]
        name = PHASES.get(phase, self.phase)
        return name if self.cycle is None else f"{name} {self.cycle}"

    @property
    def tick(self) -> str:
        """The same for a narrow axis."""
        return self.phase if self.cycle is None else f"{self.phase}/{self.cycle:02d}"

    @property
    def is_exchange(self) -> bool:
        """Whether other members selected the images that it trains on."""
        return self.phase == COTRAIN and self.member is not None


def place_of(path: str) -> Place:
    """The place of a round, by its path; of a path that is no round all of it is the phase."""
    phase, *numbers = path.split("/")
    if not all(number.isdecimal() for number in numbers) or len(numbers) > 2:
        return Place(path, None, None)
    cycle, member = [*map(int, numbers), None, None][:2]
    return Place(phase, cycle, member)


def round_at(path: Path, names: Collection[str]) -> str | None:
    """The round, out of `names`, whose name a path ends with; the longest if several fit, None if none does."""
    fitting = [name for name in names if f"/{path.as_posix()}".endswith(f"/{name}")]
    return max(fitting, key=len, default=None)
