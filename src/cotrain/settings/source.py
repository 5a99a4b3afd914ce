"""Settings of what is computed of the source images: scenes, colours, statistics."""

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from cotrain.settings.datasets import Labels
from cotrain.settings.strict import Strict
from cotrain.settings.types import Count, Seed, Size


class Prior(Strict):
    size: Size = Field(description="working size of target images, pixels")
    smoothing: Annotated[float, Field(gt=0, le=1)] = Field(description="width of the Gaussian, share of the height")


class Statistics(Strict):
    labels: Labels = Field(description="classes, and values of the label images")
    size: Size = Field(description="working size of source images, pixels")
    prior: Prior | None = Field(None, description="size (of target images), smoothing (share of it); null: no prior")


class Color(Strict):
    source_size: Size = Field(description="working size of source images, pixels")
    target_size: Size = Field(description="working size of target images, pixels")
    join: tuple[str, ...] = Field((), description="sources joined as one: first folders of image_id")
    seed: Seed = 0


class Render(Strict):
    look: Literal["rendered", "camera"] = Field(description="rendered: the source look; camera: the target look")
    count: Count = Field(description="images")
    size: Size = Field((128, 256), description="height and width, pixels")
    seed: Seed = 0
