"""Rounds of the procedure as plain data.

A round is one training, or several models that are scored as one. Its path, such as `selftrain/03` or `cotrain/02/1`,
is its folder below that of the run. Only this package knows how paths are made.
"""

import re
from dataclasses import dataclass

SOURCE_ONLY, SOURCE, UPPER_BOUND = "source_only", "source", "upper_bound"
SELFTRAIN, MIXBATCH, COTRAIN, FINAL = "selftrain", "mixbatch", "cotrain", "final"

# What Snakemake's wildcards may stand for.
CYCLE = r"(selftrain|cotrain)/\d\d"
ROUND = (
    r"(selftrain|selftrain_\d+|mixbatch)/\d\d|cotrain/\d\d/(\d+|both|all)"
    r"|final|source|source_\d+|source_only|upper_bound"
)
SHARD = r"(\d+)-of-(\d+)"  # part of a round's inference, ROUND/2-of-4; named as Snakemake names what it scatters


@dataclass(frozen=True)
class Round:
    """One round: where it stands in the procedure, what its training starts from, and what it is called."""

    phase: str  # folder of the phase: source, selftrain, selftrain_2, cotrain, final, …
    title: str  # in tables and figures
    category: str  # in Snakemake's report
    cycle: int | None = None  # from 1; None where the phase has no cycles
    member: str | None = None  # of co-training: "1", "2", …; "both" or "all" for the members scored as one
    model: int = 1  # which of the run's models is trained: 1 is `model`, others are of co-training's members
    start: "Round | None" = None  # whose model the training starts from; None: a model is built
    models: tuple["Round", ...] = ()  # whose models are scored as one, instead of one of its own
    pseudolabelled: bool = False  # whether it trains on pseudo-labels of its own

    @property
    def path(self) -> str:
        """Folder below the run's folder."""
        return "/".join(filter(None, [self.cycle_path, self.member]))

    @property
    def cycle_path(self) -> str:
        """Folder of its cycle, which the members of co-training share; its own folder where there are no cycles."""
        return self.phase if self.cycle is None else f"{self.phase}/{self.cycle:02d}"

    @property
    def heading(self) -> tuple[str, str, str]:
        """Phase, cycle and model, as a person reads them."""
        model = self.member or str(self.model)
        if self.cycle is not None:
            return self.category, f"Cycle {self.cycle}", model
        return self.category, self.phase.removesuffix(f"_{self.model}").replace("_", " ").capitalize(), model

    def file(self, name: str) -> str:
        """Path of one of its files below the run's folder."""
        return f"{self.path}/{name}"

    @property
    def model_files(self) -> tuple[str, ...]:
        """Models that are scored: its own, or those of the rounds that are scored as one."""
        return tuple(scored.file("model.pt") for scored in self.models or (self,))


def round_of(name: str) -> str:
    """Path of the round of a job: ROUND for ROUND/2-of-4, and any other name itself."""
    return re.sub(f"/{SHARD}$", "", name)
