"""Descriptions of datasets, and how their label images are read."""

from typing import Literal, Self

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cotrain.base.errors import BadInput
from cotrain.method.labelmaps import VOID
from cotrain.settings.strict import Strict
from cotrain.settings.types import (
    Below,
    Count,
    Encoding,
    LabelColor,
    LabelPattern,
    LabelValue,
    Names,
    PartName,
    Ratio,
    Rgb,
)


class Coding(Strict):
    """How the pixels of label images say which class they are."""

    encoding: Encoding = Field(
        "ids", description="ids (one channel, or palette indices), red (ids in the first of several channels), colors"
    )
    values: dict[LabelColor, int] = Field(
        {}, description="label image value → class, 255 for void; a colour counts as red·65536 + green·256 + blue"
    )

    @field_validator("values")
    @classmethod
    def _ids_have_16_bits(cls, values: dict[int, int], info: ValidationInfo) -> dict[int, int]:
        if info.data.get("encoding") != "colors" and (wrong := [value for value in values if value > 65535]):
            raise ValueError(f"{wrong[0]} is no id; give 0 to 65535, or `encoding: colors`")
        return values


class Labels(Coding):
    """The classes of a task, and which of them each value of a dataset's label images means."""

    classes: Names = Field(description="class names; position = class")
    join: dict[str, Coding] = Field({}, description="of several datasets as one: first folder of image_id → its own")

    @model_validator(mode="after")
    def _known(self) -> Self:
        codings = [self, *self.join.values()]
        if wrong := [c for k in codings for c in k.values.values() if c != VOID and not 0 <= c < len(self.classes)]:
            raise ValueError(
                f"values: {wrong[0]} is none of the {len(self.classes)} classes; give 0, 1, … or 255 (void)"
            )
        return self

    def coding(self, image_id: str) -> Coding:
        """How the label of an image is to be read."""
        if not self.join:
            return self
        name = image_id.split("/")[0]
        if name not in self.join:
            raise BadInput(f"image {image_id}: its first folder is none of {', '.join(self.join)}; index it again")
        return self.join[name]


class Layout(Strict):
    """Where images and labels are below a folder, and which of them count."""

    images: Below | None = Field(None, description="image path below the root, with {id}")
    labels: LabelPattern | None = Field(None, description="label path below the root, with {id}; null: none are listed")
    encoding: Encoding = Field(
        "ids", description="ids (one channel, or palette indices), red (ids in the first of several channels), colors"
    )
    list_file: Below | None = Field(None, description="file below the root, an image id per line; null: all images")
    aspect: Ratio | None = Field(None, description="width, height: only images of this shape, to 1 %; null: any")
    mismatched: Literal["refuse", "skip"] = Field("refuse", description="pairs whose label has another size")


class Index(Layout):
    join: dict[str, Layout] = Field({}, description="several datasets as one: first folder of image_id → layout")
    limit: Count | None = Field(None, description="at most this many images, evenly spread; null: all")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.images) == bool(self.join) or not all(part.images for part in self.join.values()):
            raise ValueError("give either images or join; each part of join needs images")
        return self


class Joined(Strict):
    """One of several datasets that count as one."""

    dataset: str = Field(description="a file of workflow/datasets, or the path of a YAML of one's own")
    split: Below = Field("{split}", description="its split; {split} is that of the config")


class Dataset(Layout):
    """Where a dataset keeps images and labels below its root, and what its label values mean.

    In its patterns {split} stands for a split of the dataset.
    """

    name: str = Field(description="name of the dataset in messages")
    like: str | None = Field(None, description="another description, whose keys hold where this one has none")
    root: str = Field("", description="folder below the data root")
    generator: Literal["toycity"] | None = Field(None, description="made by this project, not found on disk")
    splits: tuple[Below, ...] = Field(("",), min_length=1, description="what {split} may stand for; `check` reads all")
    values: dict[LabelValue, str] = Field(
        {}, description="label image value → the dataset's own name; unlabelled is void"
    )
    colors: dict[str, Rgb] = Field({}, description="with encoding colors, instead of values: own name → sRGB")
    classes: dict[str, dict[str, str]] = Field({}, description="label set → own name → class; others are void")
    join: dict[PartName, Joined] = Field({}, description="several datasets as one: name → dataset, split")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.images) == bool(self.join):
            raise ValueError("give either images or join")
        if (self.encoding == "colors") != bool(self.colors) or (self.colors and self.values):
            raise ValueError("give colors with `encoding: colors`, and values with the other encodings")
        if len(set(self.colors.values())) < len(self.colors):
            raise ValueError("colors: two names have the same colour")
        return self

    @property
    def names(self) -> dict[int, str]:
        """Label image value → own name; a colour counts as red·65536 + green·256 + blue."""
        return self.values | {red << 16 | green << 8 | blue: name for name, (red, green, blue) in self.colors.items()}
