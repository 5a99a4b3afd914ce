"""Settings of what makes, selects, exchanges and measures pseudo-labels."""

from typing import Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from cotrain.method.thresholds import POLICIES
from cotrain.settings.datasets import Labels
from cotrain.settings.strict import Strict
from cotrain.settings.types import Count, Seed, Share


class Draw(Strict):
    count: Count | None = Field(description="candidate images, N; null: all")
    seed: Seed = 0


PolicyName = Literal[tuple(POLICIES)]


class ThresholdOptions(Strict):
    """The policy and the bounds of its thresholds."""

    policy: PolicyName = Field(
        "mpt", description="thresholds: of each class, bounded (mpt); of all (st); Eq. 8 of CBST (cbst); given (fixed)"
    )
    confidence_min: Share = Field(0.5, description="mpt: least threshold, C_m; fixed: the threshold")
    confidence_max: Share = Field(0.9, description="mpt: largest threshold, C_M")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.confidence_min > self.confidence_max:
            raise ValueError("confidence_min must not exceed confidence_max")
        return self


class Threshold(ThresholdOptions):
    round: str = Field("", description="round to note as the origin of the labels")
    portion: Share = Field(description="share of each class's (st: of all) pixels to keep, p")


class Select(Strict):
    count: Count | None = Field(description="images to keep, n; null: all that have a pseudo-label")


class Fuse(Strict):
    """Fusion has no settings."""


class Combine(Strict):
    """Combination has no settings."""


class ExchangeOptions(Strict):
    """Which images of a sender qualify (Algorithm 2)."""

    lambda_: Share = Field(
        0.8, alias="lambda", description="cut between the least and the most confident image of a class, λ"
    )
    rank_by: Literal["image", "class"] = Field(
        "image", description="score of an image: mean confidence over all pixels, or on the visited class"
    )
    min_class_fraction: Share = Field(0.0, description="least share of pixels for an image to contain a class")


class Exchange(ExchangeOptions):
    count: Count = Field(description="images each model receives, n")


class Measure(Strict):
    labels: Labels = Field(description="classes, and values of the label images")
