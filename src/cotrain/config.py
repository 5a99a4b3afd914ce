"""The person's config.yaml, typed and checked as a whole; defaults are the paper's (Gómez et al. 2022, Table I)."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import AfterValidator, Field, JsonValue, model_validator

from cotrain import plain
from cotrain.errors import BadInput, in_short
from cotrain.pseudolabels import VOID
from cotrain.settings import (
    Augmentation,
    Below,
    Count,
    Course,
    Dataset,
    Device,
    Gpus,
    Model,
    Optimizer,
    Patches,
    PolicyName,
    Positive,
    Rgb,
    Seed,
    Share,
    Size,
    Strict,
    Temperature,
    Threads,
    Views,
    class_names,
    parse,
    read_text,
)


def _folder(path: str) -> str:
    """A folder of outputs that Snakemake takes for what it is: {…} would be a wildcard, -… a flag."""
    if found := re.search(r"[{}\x00-\x1f\x7f]", path):
        raise ValueError(f"the path must not contain {found[0]!r}, which means something else to Snakemake")
    if path.startswith("-"):
        raise ValueError("the path must not begin with a dash; write ./ before it")
    return path


def _name(name: str) -> str:
    if name.startswith((".", "-")) or name == "shared":
        raise ValueError("the name must not begin with . or -, and `shared` is the folder of all runs")
    return name


Cycles = Annotated[int, Field(ge=0, le=99)]
Folder = Annotated[str, AfterValidator(_folder)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", description="letters, digits, _ . -"), AfterValidator(_name)]


class Domain(Strict):
    """A part of a dataset and the size its images are worked on."""

    dataset: str = Field(description="a file of workflow/datasets, or the path of a YAML of one's own")
    split: Below = Field("", description="what {split} stands for in the dataset's patterns")
    size: Size = Field((1024, 2048), description="working height and width, pixels")
    limit: Count | None = Field(None, description="at most this many images; null: all")


class Target(Domain):
    truth: bool = Field(
        False,
        description="the target has labels, for measuring and the upper bound only: no adaptation stage sees them",
    )


class Data(Strict):
    root: str | None = Field(None, description="folder of the datasets; null: the environment variable COTRAIN_DATA")
    labelset: str = Field(description="a file of workflow/labelsets, or the path of a YAML of one's own")
    source: Domain
    target: Target
    validation: Domain | None = Field(None, description="labelled target images for scores; null: no scores")
    ego_mask: str | None = Field(None, description="PNG whose non-zero pixels (the own vehicle) are never labelled")


class NamedModel(Model):
    """A model whose options are kept by architecture, so that an overlay can name another one."""

    options: dict[str, dict[str, JsonValue]] = Field({}, description="architecture → its further arguments")


class Toycity(Strict):
    size: Size = Field((128, 256), description="height and width of scenes, pixels")
    source: Count = Field(600, description="scenes in the source look")
    target: Count = Field(400, description="scenes in the target look")
    validation: Count = Field(100, description="scenes in the target look, for scores")
    seed: Seed = 0


class Training(Strict):
    source: Course = Course()
    cycle: Course = Course(steps=8000, schedule="constant")
    final: Course = Course()
    batch: Count = Field(4, description="images per mini-batch, N_MB")
    augmentation: Augmentation = Augmentation()
    optimizer: Optimizer = Optimizer()
    class_balance: Temperature | None = Field(None, description="temperature T of class-balanced sampling; null: off")
    gpus: Gpus = 1
    threads: Threads = 2
    cache_mb: Annotated[int, Field(ge=0)] = 2000
    restart_minutes: Positive | None = Field(5, description="between writes of the restart file; null: none")

    @model_validator(mode="after")
    def _an_image_for_each(self) -> Self:
        if self.batch < self.gpus:
            raise ValueError(f"batch must not be less than gpus, or {self.gpus - self.batch} have nothing to do")
        return self


class Inference(Views):
    batch: Count = 8
    keep_classes: Count = 1
    patches: Patches = Patches()
    prior: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="spatial prior: width of its Gaussian, share of the image height; null: off"
    )
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(1, description="jobs of an inference of the whole target")
    threads: Threads = 1


class Mix(Strict):
    target_share: Share = Field(0.75, description="p_MB")
    collage_share: Share | None = Field(0.5, description="p_CM; null: no collage")
    rare_crops: Share = Field(0.0, description="probability that a target crop is centred on a rare class; 0 is off")
    rare_share: Share = Field(0.001, description="share of the predicted pixels below which a class is rare")


class Thresholds(Strict):
    """The policy, the share of pixels that is pseudo-labelled, how it grows, and the bounds (mpt)."""

    policy: PolicyName = "mpt"
    portion_start: Share = Field(0.5, description="p_m")
    portion_step: Share = Field(0.05, description="Δp")
    portion_max: Share = Field(0.6, description="p_M")
    confidence_min: Share = Field(0.5, description="C_m")
    confidence_max: Share = Field(0.9, description="C_M")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for low, high in (("portion_start", "portion_max"), ("confidence_min", "confidence_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not exceed {high}")
        return self


class SelfTraining(Strict):
    cycles: Annotated[int, Field(ge=1, le=99)] = Field(10, description="K_M")
    early_cycle: Annotated[int, Field(ge=1, le=99)] = Field(1, description="K_m")
    start_from: Literal["source", "previous"] = Field("source", description="W_0, or the model of the cycle before")
    candidates: Count | None = Field(500, description="N; null: all")
    selected: Count | None = Field(100, description="n; null: all")
    fuse: bool = Field(True, description="with the labels of earlier cycles (Fuse)")
    thresholds: Thresholds = Thresholds(portion_start=0.3, portion_max=0.5)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.early_cycle > self.cycles:
            raise ValueError("early_cycle must not exceed cycles")
        if self.candidates and self.selected and self.selected > self.candidates:
            raise ValueError("selected must not exceed candidates")
        return self


class CoTraining(Strict):
    cycles: Cycles = Field(5, description="K; 0 leaves the loop out")
    candidates: Count | None = Field(500, description="N; null: all")
    selected: Count = Field(100, description="n")
    thresholds: Thresholds = Thresholds()
    balance: Share = Field(0.8, alias="lambda", description="λ")
    rank_by: Literal["image", "class"] = "image"
    min_class_fraction: Share = 0.0
    combine_from_cycle: Count = 1

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.candidates and self.selected > self.candidates:
            raise ValueError("selected must not exceed candidates")
        return self


class Final(Strict):
    labels_from: Literal["1", "2", "ensemble"] = Field("1", description="w")
    ensemble: Literal["mean", "max"] = "mean"
    collage_share: Share | None = Field(None, description="p_CM of the last training; null: no collage")


class Config(Strict):
    run: Name = Field("demo", description="results go to results/<run>")
    results: Folder = Field("results", description="folder of all results")
    seed: Seed = 0
    device: Device = "auto"
    data: Data
    toycity: Toycity = Toycity()
    model: NamedModel = NamedModel()
    align_colors: bool = Field(True, description="LAB alignment of the source")
    training: Training = Training()
    inference: Inference = Inference()
    evaluation: Views = Views()
    mix: Mix = Mix()
    selftrain: SelfTraining = SelfTraining()
    cotrain: CoTraining = CoTraining()
    final: Final | None = Field(Final(), description="last training; null: none")


class LabelSet(Strict):
    """The classes of a task and their colours."""

    name: str
    classes: dict[str, Rgb] = Field(min_length=2, max_length=255, description="class → sRGB; position = class")

    @model_validator(mode="after")
    def _named(self) -> Self:
        class_names(tuple(self.classes))
        return self


class _Loader(yaml.SafeLoader):
    """Executes nothing, and takes no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        plain.refuse_twice(self.construct_object(key) for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        return super().construct_mapping(node, deep)


def read_plain(path: Path) -> object:
    """What a YAML file says, unchecked but for keys that occur twice."""
    try:
        return yaml.load(read_text(path), _Loader)
    except FileNotFoundError:
        others = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise BadInput(f"{path}: no such file; there are: {others}") from None
    except Exception as error:  # the YAML library raises many kinds for a bad text
        raise BadInput(f"{path}: not YAML ({in_short(error)}); mend it") from None


def read_yaml(path: Path, kind: type[Strict]) -> Strict:
    """A checked YAML file."""
    return parse(kind, read_plain(path), str(path))


def named(folder: Path, name: str, kind: type[Strict]) -> Strict:
    """A description by name from one of the workflow's folders, or by path."""
    own = "/" in name or name.endswith((".yaml", ".yml"))
    return read_yaml(Path(name) if own else folder / f"{name}.yaml", kind)


def load_dataset(workflow: Path, name: str) -> Dataset:
    return named(workflow / "datasets", name, Dataset)


def load_labelset(workflow: Path, name: str) -> LabelSet:
    return named(workflow / "labelsets", name, LabelSet)


def label_values(dataset: Dataset, labelset: str, classes: tuple[str, ...]) -> dict[int, int]:
    """Which class of the label set each label value of the dataset means; VOID for values outside the set.

    A dataset that does not list the label set is matched by equal names; but for `unlabelled` none may be left over.
    """
    own = [name for name in dataset.values.values() if name != "unlabelled"]
    mapping = dataset.classes.get(labelset)
    if mapping is None:
        if unknown := [name for name in own if name not in classes]:
            what = f"{unknown[0]!r} is no class of label set {labelset}"
            raise BadInput(f"dataset {dataset.name}: {what}; add classes.{labelset} to its YAML")
        mapping = {name: name for name in own}
    if unknown := [name for name in mapping if name not in dataset.values.values()]:
        raise BadInput(f"dataset {dataset.name}: classes.{labelset} names {unknown[0]}, which is not among its values")
    if unknown := [name for name in mapping.values() if name not in classes]:
        raise BadInput(f"dataset {dataset.name}: classes.{labelset} maps to {unknown[0]}, not a class of {labelset}")
    return {value: classes.index(mapping[name]) if name in mapping else VOID for value, name in dataset.values.items()}
