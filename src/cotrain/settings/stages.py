"""What each stage can be told, typed and checked: the single source of names, ranges, defaults and help texts.

`config.py` composes the person's config.yaml from the same parts. Keys that the papers have a symbol for name it.
"""

import json
import os
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

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short
from cotrain.method.pseudolabels import POLICIES, VOID
from cotrain.settings import architectures

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for some in every package there is


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


MAX_BYTES = 1_000_000  # of a file of settings
SUMMARY = ("round", "name", "miou", "gap_closed", "coverage", "accuracy")  # columns before those of the classes

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Factor = Annotated[float, Field(gt=0, le=16, allow_inf_nan=False)]  # of an image's size: more would fill the memory
Temperature = Annotated[float, Field(ge=1e-6, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Size = tuple[Annotated[int, Field(ge=16, le=8192)], Annotated[int, Field(ge=16, le=8192)]]
Zoom = Annotated[tuple[Factor, Factor], AfterValidator(_ordered)]
Device = Annotated[Literal["auto", "cpu", "cuda"], Field(description="auto (CUDA where there is a GPU), cpu or cuda")]
Seed = Annotated[int, Field(ge=0, lt=2**63, description="seed of every random draw of the stage")]
Threads = Annotated[int, Field(ge=1, le=1024, description="CPU threads")]
Workers = Annotated[
    int | None,
    Field(
        ge=0,
        le=64,
        description="processes per training process that make its mini-batches ahead; null: 4 for a GPU, else "
        "none, and the training makes them itself",
    ),
]
Gpus = Annotated[
    int, Field(ge=1, le=64, description="processes that share the training, each on its own GPU; without GPUs on CPUs")
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


class Strict(BaseModel):
    """Unknown keys are errors; so are values of another type, except that 5.0 is 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

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


class Augmentation(Strict):
    crop: Size = Field((128, 256), description="height and width of training crops, pixels")
    zoom: Zoom = Field((0.75, 1.5), description="range of the random zoom before cropping")
    flip: Share = Field(0.5, description="probability of a horizontal flip")
    jitter: Share = Field(0.0, description="strength of random brightness, contrast and saturation; 0 is off")
    on_device: bool = Field(False, description="zoom, crop and paste on the model's device: if a GPU waits for images")


class Optimizer(Strict):
    name: Literal["sgd", "adamw"] = Field("sgd", description="optimizer")
    momentum: Share = Field(0.9, description="momentum (sgd)")
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(0.0001, description="weight decay")
    encoder_factor: Positive = Field(1.0, description="learning rate of the encoder, as a multiple of the head's")


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
    seed: Seed = 0


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


class Infer(Views):
    classes: Names = Field(description="class names, as the model was trained")
    size: Size = Field(description="working height and width, pixels")
    keep_classes: Count = Field(1, description="most probable classes stored per pixel, K")
    ensemble: Literal["mean", "max"] = Field("mean", description="how several models' probabilities are joined")
    patches: Patches = Field(default_factory=Patches, description="count (0: whole image), height (share), average")
    seed: Seed = 0
    batch: Count = Field(8, description="images, or patches, per forward pass")
    shard: Shard | None = Field(None, description="number and count: which part of the images, of how many; null: all")
    ego_mask: str | None = Field(None, description="PNG whose non-zero pixels (the own vehicle) are void")
    trust: Trust = ()
    device: Device = "auto"
    threads: Threads = 1


PolicyName = Literal[tuple(POLICIES)]


class Threshold(Strict):
    policy: PolicyName = Field("mpt", description=f"thresholding policy: {', '.join(POLICIES)}")
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
    join: tuple[str, ...] = Field((), description="sources joined as one: first folders of image_id")
    seed: Seed = 0


def workers_of(workers: int | None, gpu: bool) -> int:
    """How many processes make mini-batches where `workers` are wanted; beside steps on a CPU they are in the way."""
    return workers if workers is not None else 4 * gpu


class Train(Strict):
    name: str = Field("", description="name to show in the progress")
    model: Model = Field(default_factory=Model, description="model to build when no --init is given")
    trust: Trust = ()
    source: Labels = Field(description="classes, and values of the source labels")
    source_size: Size = Field(description="working size of source images, pixels")
    target_size: Size | None = Field(None, description="working size of target images, pixels")
    target: Labels | None = Field(None, description="values of the target labels (upper bound only)")
    augmentation: Augmentation = Field(
        default_factory=Augmentation, description="crop (height, width in pixels), zoom, flip, jitter"
    )
    optimizer: Optimizer = Field(
        default_factory=Optimizer, description="name (sgd, adamw), momentum, weight_decay, encoder_factor"
    )
    course: Course = Field(default_factory=Course, description="steps (iterations) or epochs, learning_rate, schedule")
    batch: Count = Field(4, description="images per mini-batch, N_MB")
    target_share: Share = Field(0.0, description="share of target images in a mini-batch, p_MB")
    collage_share: Share | None = Field(None, description="share of source classes pasted, p_CM; null: no collage")
    rare_crops: Share = Field(0.0, description="probability that a target crop is centred on a rare class; 0 is off")
    rare_share: Share = Field(0.001, description="share of the predicted pixels below which a class is rare")
    balance_temperature: Temperature | None = Field(
        None, description="class-balanced source sampling: temperature T; null: every image alike"
    )
    seed: Seed = 0
    device: Device = "auto"
    gpus: Gpus = 1
    threads: Annotated[Threads, Field(description="CPU threads of each process")] = 1
    workers: Workers = None
    cache_mb: Annotated[int, Field(ge=0)] = Field(2000, description="memory for decoded images, MB")
    restart_minutes: Positive | None = Field(5, description="minutes between writes of --restart; null: never")
    compile: bool = Field(False, description="compile the network with torch.compile, which takes minutes")


class Evaluate(Views):
    labels: Labels = Field(description="classes, and values of the label images")
    size: Size = Field(description="working height and width, pixels")
    batch: Count = Field(8, description="images per forward pass")
    pictures: Annotated[int, Field(ge=0)] = Field(8, description="images whose prediction is kept for the figures")
    trust: Trust = ()
    device: Device = "auto"
    threads: Threads = 1


class Measure(Strict):
    labels: Labels = Field(description="classes, and values of the label images")


class Render(Strict):
    look: Literal["rendered", "camera"] = Field(description="rendered: the source look; camera: the target look")
    count: Count = Field(description="images")
    size: Size = Field((128, 256), description="height and width, pixels")
    seed: Seed = 0


class Layout(Strict):
    """Where images and labels are below a folder, and which of them count."""

    images: Below | None = Field(None, description="image path below the root, with {id}")
    labels: LabelPattern | None = Field(None, description="label path below the root, with {id}; null: none are listed")
    encoding: Encoding = Field("ids", description="how label pixels hold their value: ids, red or colors")
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


class Dataset(Strict):
    """Where a dataset keeps images and labels below its root, and what its label values mean."""

    name: str = Field(description="name of the dataset in messages")
    like: str | None = Field(None, description="another description, whose keys hold where this one has none")
    root: str = Field("", description="folder below the data root")
    generator: Literal["toycity"] | None = Field(None, description="made by this project, not found on disk")
    splits: tuple[Below, ...] = Field(("",), min_length=1, description="what {split} may stand for; `check` reads all")
    images: Below | None = Field(None, description="image path; {split} and {id} are the split and the image id")
    labels: LabelPattern | None = Field(None, description="label path with the same placeholders; null: there are none")
    list_file: Below | None = Field(None, description="file with an image id per line; null: all images")
    aspect: Ratio | None = Field(None, description="width, height: only images of this shape, to 1 %; null: any")
    mismatched: Literal["refuse", "skip"] = Field("refuse", description="pairs whose label has another size")
    encoding: Encoding = Field("ids", description="ids, red (ids in the first of several channels) or colors")
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


def parse(kind: type[Strict], data: object, where: str) -> Strict:
    """Check `data` against the settings class `kind`; every fault becomes one line of one BadInput."""
    try:
        strict_json.check(data)
        return kind.model_validate(data)
    except ValidationError as error:
        raise BadInput(*(_line(kind, fault, where) for fault in _first_hand(error.errors()))) from None
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def completed(stage: str, settings: dict) -> dict:
    """Checked settings of a stage as JSON, defaults included."""
    kind = globals()[stage.capitalize()]
    return parse(kind, settings, stage).model_dump(mode="json", by_alias=True)


def parse_json(kind: type[Strict], text: str) -> Strict:
    """Settings from `--settings`: JSON text, or the path of a JSON file."""
    source = text
    try:
        if not text.lstrip().startswith("{"):
            source = read_text(Path(text))
        data = strict_json.from_json(source)
    except OSError as error:
        raise BadInput(f"--settings {text}: cannot be read ({error.strerror}); give JSON text or a file") from None
    except ValueError as error:
        why = in_short(error)
        raise BadInput(f"--settings: not JSON ({why}); give text like '{{\"count\": 5}}' or a file") from None
    return parse(kind, data, "--settings")


def read_text(path: Path) -> str:
    """Text of a file that a person wrote. Raises OSError or ValueError; what never ends, like a device, is no file."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    return path.read_text(encoding="utf-8")


def _first_hand(faults: list[dict]) -> list[dict]:
    """Without lists that are too short only because an item of theirs is at fault."""
    places = {fault["loc"][:-1] for fault in faults}
    return [fault for fault in faults if fault["type"] != "too_short" or fault["loc"] not in places]


def _line(kind: type[Strict], fault: dict, where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    place = f"{where}: {path}" if path else where
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{_did_you_mean(kind, fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: missing; add this key"
    got, message = json.dumps(fault["input"], default=str), fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}, got {got[:80]}"


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
