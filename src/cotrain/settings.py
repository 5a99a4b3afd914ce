"""What each stage can be told, typed and checked: the single source of names, ranges, defaults and help texts.

`config.py` composes the person's config.yaml from the same parts. Keys that the papers have a symbol for name it.
"""

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Literal, Self, Union, get_args, get_origin

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cotrain.errors import BadInput
from cotrain.pseudolabels import POLICIES


def _ordered(values: tuple[float, float]) -> tuple[float, float]:
    if values[0] > values[1]:
        raise ValueError("the first value must not exceed the second")
    return values


Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size = tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]]
Zoom = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]
Device = Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto (CUDA where there is a GPU), cpu or cuda")]
Seed = Annotated[int, Field(description="seed of every random draw of the stage")]
Threads = Annotated[int, Field(ge=1, description="CPU threads")]


class Strict(BaseModel):
    """Unknown keys are errors; so are values of another type, except that 5.0 is 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool | str) and _is_number(cls.model_fields[info.field_name].annotation):
            raise ValueError("input should be a number")
        return value


def _is_number(annotation: object) -> bool:
    """int or float, with or without bounds, or null."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds} <= {int, float, NoneType}


class Labels(Strict):
    """The classes of a task, and which of them each value of a dataset's label images means."""

    classes: tuple[str, ...] = Field(min_length=2, max_length=255, description="class names; position = class")
    values: dict[int, int] = Field({}, description="label image value → class, 255 for void")


class Model(Strict):
    """A segmentation model: image → logits. Any architecture and encoder of segmentation-models-pytorch."""

    architecture: str = Field("DeepLabV3Plus", description="architecture of segmentation-models-pytorch")
    encoder: str = Field("tu-tf_efficientnet_lite0", description="its encoder; any timm model as tu-NAME")
    weights: str | None = Field(
        "bundled",
        description="encoder weights: `bundled` (ImageNet, EfficientNet-Lite0 only, offline), `imagenet` (downloads), "
        "a file saved with torch.save, or null",
    )
    options: dict[str, JsonValue] = Field({}, description="further architecture arguments")


class Augmentation(Strict):
    crop: Size = Field((128, 256), description="height and width of training crops, pixels")
    zoom: Zoom = Field((0.75, 1.5), description="range of the random zoom before cropping")
    flip: Share = Field(0.5, description="probability of a horizontal flip")
    jitter: Share = Field(0.0, description="strength of random brightness, contrast and saturation; 0 is off")


class Optimizer(Strict):
    name: Literal["sgd", "adamw"] = Field("sgd", description="optimizer")
    momentum: Share = Field(0.9, description="momentum (sgd)")
    weight_decay: Annotated[float, Field(ge=0)] = Field(0.0001, description="weight decay")


Schedule = Literal["constant", "step", "poly", "one_cycle"]


class Course(Strict):
    """How long a training runs and how its learning rate moves."""

    steps: Count | None = Field(60000, description="iterations; null: by epochs")
    epochs: Positive | None = Field(
        None, description="passes over the target images (W_0: the source) instead of steps"
    )
    learning_rate: Positive = Field(0.002, description="initial learning rate; the peak of one_cycle")
    schedule: Schedule = Field("step", description="its course: constant, step (×0.1 at 1/3, 2/3), poly, one_cycle")

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs and set the other to null")
        return self


class Draw(Strict):
    count: Count | None = Field(description="candidate images, N; null: all")
    seed: int = Field(0, description="seed of the draw")


class Views(Strict):
    """Under which views a network sees an image; their probabilities are averaged."""

    scales: tuple[Positive, ...] = Field((1.0,), min_length=1, description="of the working size")
    flip: bool = Field(False, description="each scale also mirrored")


class Patches(Strict):
    """Random patches whose probabilities are averaged (SISC)."""

    count: Annotated[int, Field(ge=0)] = Field(0, description="random patches per image, K of SISC; 0: the whole image")
    height: Annotated[float, Field(gt=0, le=1)] = Field(0.5, description="side of a patch, share of the image's height")
    average: Literal["probability", "frequency"] = Field(
        "probability", description="over the patches of a pixel: of probabilities, or frequency of the best class"
    )


class Infer(Views):
    classes: tuple[str, ...] = Field(description="class names, as the model was trained")
    size: Size = Field(description="working height and width, pixels")
    keep_classes: Count = Field(1, description="most probable classes stored per pixel, K")
    ensemble: Literal["mean", "max"] = Field("mean", description="how several models' probabilities are joined")
    patches: Patches = Field(Patches(), description="count (0: whole image), height (share), average")
    seed: Seed = 0
    batch: Count = Field(8, description="images, or patches, per forward pass")
    ego_mask: str | None = Field(None, description="PNG whose non-zero pixels (the own vehicle) are void")
    device: Device = "auto"
    threads: Threads = 1


Policy = Literal[tuple(POLICIES)]


class Threshold(Strict):
    policy: Policy = Field("mpt", description=f"thresholding policy: {', '.join(POLICIES)}")
    round: str = Field("", description="round to note as the origin of the labels")
    portion: Share = Field(description="share of each class's (st: of all) pixels to keep, p")
    confidence_min: Share = Field(0.5, description="lower clip of thresholds, C_m (mpt); the threshold (fixed)")
    confidence_max: Share = Field(0.9, description="upper clip of thresholds, C_M (mpt)")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.confidence_min > self.confidence_max:
            raise ValueError("confidence_min must not exceed confidence_max")
        return self


class Select(Strict):
    count: Count | None = Field(description="images to keep, n; null: all that have a pseudo-label")


class Fuse(Strict):
    """Fusion has no settings."""


class Combine(Strict):
    """Combination has no settings."""


class Exchange(Strict):
    count: Count = Field(description="images each model receives, n")
    balance: Share = Field(0.8, alias="lambda", description="cut between least and most confident image, λ")
    rank_by: Literal["image", "class"] = Field("image", description="score of an image: over all or on the class")
    min_class_fraction: Share = Field(0.0, description="least share of pixels for an image to contain a class")


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
    seed: Seed = 0


class Train(Strict):
    name: str = Field("", description="name to show in the progress")
    model: Model = Field(Model(), description="model to build when no --init is given")
    source: Labels = Field(description="classes, and values of the source labels")
    source_size: Size = Field(description="working size of source images, pixels")
    target_size: Size | None = Field(None, description="working size of target images, pixels")
    target: Labels | None = Field(None, description="values of the target labels (upper bound only)")
    augmentation: Augmentation = Field(Augmentation(), description="crop (height, width in pixels), zoom, flip, jitter")
    optimizer: Optimizer = Field(Optimizer(), description="name (sgd, adamw), momentum, weight_decay")
    course: Course = Field(Course(), description="steps (iterations) or epochs, learning_rate, schedule")
    batch: Count = Field(4, description="images per mini-batch, N_MB")
    target_share: Share = Field(0.0, description="share of target images in a mini-batch, p_MB")
    collage_share: Share | None = Field(None, description="share of source classes pasted, p_CM; null: no collage")
    rare_crops: Share = Field(0.0, description="probability that a target crop is centred on a rare class; 0 is off")
    rare_share: Share = Field(0.001, description="share of the predicted pixels below which a class is rare")
    balance_temperature: Positive | None = Field(
        None, description="class-balanced source sampling: temperature T; null: every image alike"
    )
    seed: Seed = 0
    device: Device = "auto"
    threads: Threads = 1
    cache_mb: Annotated[int, Field(ge=0)] = Field(2000, description="memory for decoded images, MB")


class Evaluate(Views):
    labels: Labels = Field(description="classes, and values of the label images")
    size: Size = Field(description="working height and width, pixels")
    batch: Count = Field(8, description="images per forward pass")
    pictures: Annotated[int, Field(ge=0)] = Field(8, description="images whose prediction is kept for the figures")
    device: Device = "auto"
    threads: Threads = 1


class Measure(Strict):
    labels: Labels = Field(description="classes, and values of the label images")


class Render(Strict):
    look: Literal["rendered", "camera"] = Field(description="rendered: the source look; camera: the target look")
    count: Count = Field(description="images")
    size: Size = Field((128, 256), description="height and width, pixels")
    seed: Seed = 0


class Dataset(Strict):
    """Where a dataset keeps images and labels below its root, and what its label values mean."""

    name: str = Field(description="name of the dataset in messages")
    root: str = Field("", description="folder below the data root")
    generator: Literal["toycity"] | None = Field(None, description="made by this project, not found on disk")
    images: str = Field(description="image path; {split} and {id} stand for the split and the image id")
    labels: str | None = Field(None, description="label path with the same placeholders; null: there are none")
    values: dict[int, str] = Field({}, description="label image value → the dataset's own name; unlabelled is void")
    classes: dict[str, dict[str, str]] = Field({}, description="label set → own name → class; others are void")


class Index(Strict):
    images: str = Field(description="image path below the root, with {id}")
    labels: str | None = Field(None, description="label path below the root, with {id}; null: none are listed")
    limit: Count | None = Field(None, description="at most this many images, evenly spread; null: all")


class Predict(Strict):
    size: Size | None = Field(None, description="working height and width, pixels; null: the image's own")
    colors: dict[str, tuple[int, int, int]] = Field({}, description="class → sRGB of the overlay")
    opacity: Share = Field(0.6, description="of the colours over the photograph")
    device: Device = "auto"
    threads: Threads = 2


class Summarize(Strict):
    rows: tuple[tuple[str, str], ...] = Field(description="round and its name in the table, for each of --metrics")
    source_only: str | None = Field(None, description="round that counts as source only")
    upper_bound: str | None = Field(None, description="round that counts as upper bound")


class Plot(Strict):
    colors: tuple[tuple[str, tuple[int, int, int]], ...] = Field(description="each class and its sRGB")
    columns: tuple[str, ...] = Field(description="names over the predictions, in the order of --predictions")
    series: tuple[tuple[str, tuple[str, ...]], ...] = Field(description="curves of the progress figure: name, rounds")


def parse(kind: type[Strict], data: object, where: str) -> Strict:
    """Check `data` against the settings class `kind`; every fault becomes one line of one BadInput."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        raise BadInput("\n".join(_line(kind, fault, where) for fault in error.errors())) from None


def completed(stage: str, settings: dict) -> dict:
    """Checked settings of a stage as JSON, defaults included."""
    kind = globals()[stage.capitalize()]
    return parse(kind, settings, stage).model_dump(mode="json", by_alias=True)


def parse_json(kind: type[Strict], text: str) -> Strict:
    """Settings from `--settings`: JSON text, or the path of a JSON file."""
    source = text
    try:
        if not text.lstrip().startswith("{"):
            source = Path(text).read_text(encoding="utf-8")
        data = json.loads(source)
    except OSError as error:
        raise BadInput(f"--settings {text}: cannot be read ({error.strerror}); give JSON text or a file") from None
    except ValueError as error:
        raise BadInput(f"--settings: not JSON ({error}); give text like '{{\"count\": 5}}' or a file") from None
    return parse(kind, data, "--settings")


def _line(kind: type[Strict], fault: dict, where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    place = f"{where}: {path}" if path else where
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{_did_you_mean(kind, fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: missing; add this key"
    got = json.dumps(fault["input"], default=str)
    return f"{place}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {got[:80]}"


def _did_you_mean(kind: type[Strict], location: tuple) -> str:
    from difflib import get_close_matches

    for part in location[:-1]:
        annotation = getattr(kind.model_fields.get(str(part)), "annotation", None)
        models = [k for k in (annotation, *get_args(annotation)) if isinstance(k, type) and issubclass(k, BaseModel)]
        if not models:
            return "; see config.yaml for the keys there are"
        kind = models[0]
    names = [field.alias or name for name, field in kind.model_fields.items()]
    close = get_close_matches(str(location[-1]), names, 1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"
