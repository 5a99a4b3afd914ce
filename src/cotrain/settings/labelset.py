"""The classes of a task and their colours."""

from typing import Self

from pydantic import Field, model_validator

from cotrain.settings.strict import Strict
from cotrain.settings.types import Rgb, class_names


class LabelSet(Strict):
    """The classes of a task and their colours."""

    name: str
    classes: dict[str, Rgb] = Field(min_length=2, max_length=255, description="class → sRGB; position = class")
    subset_of: str | None = Field(None, description="label set whose lists in the datasets serve this one too")
    void: tuple[str, ...] = Field((), description="classes of that set which are void here")
    means: dict[str, tuple[str, ...]] = Field({}, description="further means in the tables: name → classes")

    @model_validator(mode="after")
    def _named(self) -> Self:
        class_names((*self.classes, *self.means))
        if unknown := [name for names in self.means.values() for name in names if name not in self.classes]:
            raise ValueError(f"means: {unknown[0]!r} is none of the classes")
        if both := [name for name in self.void if name in self.classes]:
            raise ValueError(f"void: {both[0]!r} is also one of the classes")
        return self
