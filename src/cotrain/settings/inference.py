"""Settings of inference and evaluation."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from cotrain.settings.datasets import Labels
from cotrain.settings.strict import Strict
from cotrain.settings.types import Count, Device, Ensemble, Factor, Names, Seed, Size, Threads, Trust


class Views(Strict):
    """Under which views a network sees an image; their probabilities are averaged."""

    scales: tuple[Factor, ...] = Field((1.0,), min_length=1, description="of the working size")
    flip: bool = Field(False, description="each scale also mirrored")


class Patches(Strict):
    """Random patches whose probabilities are averaged (SISC)."""

    count: Annotated[int, Field(ge=0, le=10_000)] = Field(
        0, description="random patches per image, K of SISC; 0: the whole image"
    )
    height: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="side of a patch, share of the image's height")
    average: Literal["probability", "frequency"] = Field(
        "probability", description="over the patches of a pixel: of probabilities, or frequency of the best class"
    )


class Shard(Strict):
    """One of several parts of a table of images."""

    number: Count = Field(description="which part, from 1")
    count: Count = Field(description="of how many")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.number > self.count:
            raise ValueError("number must not exceed count")
        return self


class Passes(Views):
    """How a network is run over a table of images."""

    batch: Count = Field(8, description="images, or patches, per forward pass")
    threads: Threads = 1


class InferenceOptions(Passes):
    """What all inferences of a run have in common."""

    keep_classes: Count = Field(
        1, description="most probable classes stored per pixel, K; cbst: 3, with a prior 7; the others need 1"
    )
    patches: Patches = Field(default_factory=Patches, description="count (0: whole image), height (share), average")


class Infer(InferenceOptions):
    classes: Names = Field(description="class names, as the model was trained")
    size: Size = Field(description="working height and width, pixels")
    ensemble: Ensemble = "mean"
    seed: Seed = 0
    shard: Shard | None = Field(None, description="number and count: which part of the images, of how many; null: all")
    ego_mask: str | None = Field(None, description="PNG whose non-zero pixels (the own vehicle) are void")
    trust: Trust = ()
    device: Device = "auto"


class Evaluate(Passes):
    labels: Labels = Field(description="classes, and values of the label images")
    size: Size = Field(description="working height and width, pixels")
    pictures: Annotated[int, Field(ge=0)] = Field(8, description="images whose prediction is kept for the figures")
    trust: Trust = ()
    device: Device = "auto"
