"""Types of settings: ranges, names, sizes, paths."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
)

from cotrain.settings import architectures


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the first value must not exceed the second")
    return values


def _below(pattern: str) -> str:
    """A path that stays below the folder it is joined to."""
    if pattern.startswith("/") or ".." in pattern.split("/"):
        raise ValueError("the path must stay below its folder: neither / at its start nor ..")
    return pattern


def _one_per_image(pattern: str) -> str:
    if "{id}" not in pattern:
        raise ValueError("the label path must contain {id}, or all images have the same label")
    return pattern


def _own_code(name: str) -> str:
    if architectures.library(name) != architectures.OWN:
        raise ValueError("it comes with a library and needs no trust; leave it out")
    return name


def class_names(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Class names, checked: they are also columns of the summary."""
    for name in classes:
        if not name.strip() or name in SUMMARY:
            raise ValueError(f"{name!r} cannot be the name of a class: it is empty, or a column of the summary")
        if classes.count(name) > 1:
            raise ValueError(f"class {name!r} occurs twice")
    return classes


SUMMARY = ("round", "name", "miou", "gap_closed", "coverage", "accuracy")  # columns before those of the classes


class _NoEffect:
    """Marks a setting that changes how a stage runs, and not what it computes."""


NO_EFFECT = _NoEffect()
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)]  # of an image's size: more would fill the memory
Temperature = Annotated[float, Field(ge=1e-6, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size = tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]]
CollageShare = Annotated[
    Share | None,
    Field(description="share of a source crop's classes pasted over a target image, p_CM; null: no collage"),
]
Ensemble = Annotated[
    Literal["mean", "max"],
    Field(description="how the probabilities of several models are joined"),
]
Zoom = Annotated[tuple[Factor, Factor], AfterValidator(_ordered)]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    Field(description="auto (CUDA where there is a GPU), cpu or cuda"),
    NO_EFFECT,
]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="seed of every random draw of the stage")]
Threads = Annotated[int, Field(ge=1, le=1024, description="CPU threads"), NO_EFFECT]
Workers = Annotated[
    int | None,
    Field(
        ge=0,
        le=64,
        description="processes per training process that make its mini-batches ahead; null: 4 for a GPU, else "
        "none, and the training makes them itself",
    ),
    NO_EFFECT,
]
Gpus = Annotated[
    int,
    Field(ge=1, le=64, description="processes that share the training, each on its own GPU; without GPUs on CPUs"),
    NO_EFFECT,
]
Level = Annotated[int, Field(ge=0, le=255)]
Rgb = tuple[Level, Level, Level]
PartName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
Below = Annotated[str, AfterValidator(_below)]
LabelPattern = Annotated[Below, AfterValidator(_one_per_image)]
Trust = Annotated[
    tuple[Annotated[str, AfterValidator(_own_code)], ...],
    Field(description="your own module:functions that a model file may name; no other code is run"),
]
LabelValue = Annotated[int, Field(ge=0, le=65535)]
LabelColor = Annotated[int, Field(ge=0, le=0xFFFFFF)]  # red·65536 + green·256 + blue
Encoding = Literal["ids", "red", "colors"]
Ratio = tuple[Annotated[int, Field(ge=1, le=10_000)], Annotated[int, Field(ge=1, le=10_000)]]
Names = Annotated[tuple[str, ...], Field(min_length=2, max_length=255), AfterValidator(class_names)]
