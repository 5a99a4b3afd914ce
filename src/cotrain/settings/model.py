"""The settings of a segmentation model."""

from typing import Annotated

from pydantic import (
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
)

from cotrain.settings import architectures
from cotrain.settings.strict import Strict


class Model(Strict):
    """A segmentation model: image → logits (docs/models.md)."""

    architecture: str = Field(
        "DeepLabV3Plus",
        description="of segmentation-models-pytorch, of torchvision, or your own module:function",
    )
    encoder: str | None = Field(
        architectures.BUNDLED_ENCODER,
        validate_default=True,
        description="of segmentation-models-pytorch; timm's as tu-NAME; null: the architecture has its own",
    )
    weights: str | None = Field(
        "bundled",
        validate_default=True,
        description="of the encoder: `bundled` (ImageNet, EfficientNet-Lite0 only, offline), `imagenet` or another "
        "name of the hub (downloads), a file (torch.save, safetensors), or null",
    )
    multiple: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None, description="image sides are padded to multiples of it; null: what the library says"
    )
    options: dict[str, JsonValue] = Field({}, validate_default=True, description="further architecture arguments")

    @field_validator("architecture")
    @classmethod
    def _known(cls, architecture: str) -> str:
        architectures.library(architecture)
        return architecture

    @field_validator("encoder")
    @classmethod
    def _of_architecture(cls, encoder: str | None, info: ValidationInfo) -> str | None:
        if "architecture" in info.data:  # it is missing if it is at fault
            architectures.check_encoder(info.data["architecture"], encoder)
        return encoder

    @field_validator("weights")
    @classmethod
    def _of_encoder(cls, weights: str | None, info: ValidationInfo) -> str | None:
        if {"architecture", "encoder"} <= info.data.keys():
            architectures.check_weights(info.data["architecture"], info.data["encoder"], weights)
        return weights

    @field_validator("options")
    @classmethod
    def _of_both(cls, options: dict, info: ValidationInfo) -> dict:
        if {"architecture", "encoder"} <= info.data.keys():
            architecture = info.data["architecture"]
            architectures.check_options(architecture, info.data["encoder"], cls.options_of(architecture, options))
        return options

    @classmethod
    def options_of(cls, _: str, options: dict) -> dict:
        """The options of an architecture."""
        return options
