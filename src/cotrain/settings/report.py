"""Settings of tables, figures and the report."""

from typing import Annotated, Self

from pydantic import (
    Field,
    model_validator,
)

from cotrain.settings.datasets import Labels
from cotrain.settings.strict import Strict
from cotrain.settings.types import Rgb


class Summarize(Strict):
    rows: tuple[tuple[str, str], ...] = Field(description="round and its name in the table, for each of --metrics")
    source_only: str | None = Field(None, description="round that counts as source only")
    upper_bound: str | None = Field(None, description="round that counts as upper bound")
    means: dict[str, tuple[str, ...]] = Field({}, description="further means: name → classes whose IoU is averaged")
    notes: tuple[str, ...] = Field((), description="lines below the text table")

    @model_validator(mode="after")
    def _one_row_per_round(self) -> Self:
        if len(dict(self.rows)) < len(self.rows):
            raise ValueError("rows: a round occurs twice")
        return self


Series = Annotated[
    tuple[tuple[str, Annotated[tuple[str, ...], Field(min_length=1)]], ...],
    Field(description="curves over the rounds: name, rounds"),
]


class Plot(Strict):
    colors: tuple[tuple[str, Rgb], ...] = Field(description="each class and its sRGB")
    columns: tuple[str, ...] = Field(description="names over the predictions, in the order of --predictions")
    series: Series


class Pictures(Strict):
    images: Annotated[int, Field(ge=0, le=10_000)] = Field(
        24, description="target images whose labels can be looked at"
    )
    width: Annotated[int, Field(ge=64, le=2048)] = Field(480, description="their greatest width, pixels")


class Report(Pictures):
    title: str = Field(description="of the page")
    colors: tuple[tuple[str, Rgb], ...] = Field(description="each class and its sRGB")
    rounds: tuple[tuple[str, str], ...] = Field(description="each round and its name, in order; paths end with rounds")
    series: Series
    before: str = Field(description="round whose IoU per class is compared")
    after: str = Field(description="round that it is compared with")
    labels: Labels | None = Field(None, description="values of the target's labels; null: its truth is not shown")
