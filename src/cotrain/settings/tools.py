"""Settings of the commands for people."""

from typing import Annotated

from pydantic import (
    Field,
)

from cotrain.settings.strict import Strict
from cotrain.settings.types import Count, Device, Rgb, Share, Size, Threads, Trust


class Check(Strict):
    pictures: Count = Field(12, description="images of each set on the contact sheet")
    threads: Threads = Field(2, description="images read at a time")


class Predict(Strict):
    size: Size | None = Field(None, description="working height and width, pixels; null: the image's own shape")
    longest: Annotated[int, Field(ge=16, le=8192)] | None = Field(
        None,
        description="without size: longer side that the network sees, pixels, larger images are scaled down; "
        "null: that of the model's training, or 2048 if its file does not say",
    )
    batch: Count = Field(1, description="images of one size per forward pass")
    convention: str | None = Field(
        None,
        description="whose label values to write: a file of workflow/datasets, or the path of a YAML of one's own; "
        "null: class numbers of the model",
    )
    confidence: bool = Field(False, description="also NAME_confidence.png: probability of the class, round(p·65535)")
    entropy: bool = Field(False, description="also NAME_entropy.png: share of the largest entropy, round(H/ln C·65535)")
    colors: dict[str, Rgb] = Field({}, description="class → sRGB of the overlay")
    opacity: Share = Field(0.6, description="of the colours over the photograph")
    trust: Trust = ()
    device: Device = "auto"
    threads: Threads = 2


class Export(Strict):
    opset: Annotated[int, Field(ge=17, le=20)] = Field(18, description="version of ONNX's operators")
    trust: Trust = ()


class Show(Strict):
    images: Count = Field(10, description="images that are listed, and pictured with --png")
    colors: dict[str, Rgb] = Field({}, description="class → sRGB of the pictures")
