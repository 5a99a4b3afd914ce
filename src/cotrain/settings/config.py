"""The person's config.yaml, typed and checked as a whole; defaults are the paper's (Gómez et al. 2022, Table I)."""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from cotrain.settings.inference import Patches, Views
from cotrain.settings.model import Model
from cotrain.settings.pseudolabels import PolicyName
from cotrain.settings.report import Pictures
from cotrain.settings.strict import Strict
from cotrain.settings.training import Augmentation, Course, Optimizer
from cotrain.settings.types import (
    Below,
    Count,
    Device,
    Gpus,
    Positive,
    Seed,
    Share,
    Size,
    Temperature,
    Threads,
    Workers,
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
Names = Annotated[str, Field(pattern=r"^[A-Za-z0-9_*?][A-Za-z0-9_.*?-]*$", description="letters, digits, _ . - * ?")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$", description="letters, digits, _ . -"), AfterValidator(_name)]


class Domain(Strict):
    """A part of a dataset and the size its images are worked on."""

    dataset: str = Field(description="a file of workflow/datasets, or the path of a YAML of one's own")
    split: Below = Field("", description="what {split} stands for in the dataset's patterns")
    size: Size = Field((1024, 2048), description="working height and width, pixels")
    limit: Count | None = Field(None, description="at most this many images, evenly spread; null: all")


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

    options: dict[str, dict[str, JsonValue]] = Field(
        {}, validate_default=True, description="architecture → its further arguments"
    )

    @classmethod
    def options_of(cls, architecture: str, options: dict) -> dict:
        return options.get(architecture, {})


class Toycity(Strict):
    size: Size = Field((128, 256), description="height and width of scenes, pixels")
    source: Count = Field(600, description="scenes in the source look")
    target: Count = Field(400, description="scenes in the target look")
    validation: Count = Field(100, description="scenes in the target look, for scores")
    seed: Seed = 0


class Training(Strict):
    source: Course = Field(default_factory=Course)
    cycle: Course = Field(default_factory=lambda: Course(steps=8000, schedule="constant"))
    final: Course = Field(default_factory=Course)
    batch: Count = Field(4, description="images per mini-batch, N_MB")
    augmentation: Augmentation = Field(default_factory=Augmentation)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    class_balance: Temperature | None = Field(
        None, description="class-balanced sampling of the source: its temperature, T; null: off"
    )
    gpus: Gpus = 1
    threads: Annotated[Threads, Field(description="CPU threads per training and GPU")] = 2
    workers: Workers = None
    cache_mb: Annotated[int, Field(ge=0)] = Field(2000, description="memory of a training for decoded images, MB")
    restart_minutes: Positive | None = Field(
        5, description="minutes between writes of the file that a killed training goes on from; null: none"
    )
    compile: bool = Field(False, description="compile networks with torch.compile; sums are in another order then")

    @model_validator(mode="after")
    def _an_image_for_each(self) -> Self:
        if self.batch < self.gpus:
            raise ValueError(f"batch must not be less than gpus, or {self.gpus - self.batch} have nothing to do")
        return self


class Inference(Views):
    batch: Count = Field(8, description="images, or patches, per forward pass")
    keep_classes: Count = Field(
        1, description="most probable classes stored per pixel, K; cbst: 3, with a prior 7; the others need 1"
    )
    patches: Patches = Field(default_factory=Patches)
    prior: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="spatial prior: width of its Gaussian, share of the image height; null: off"
    )
    keep_predictions: bool = Field(
        True, description="keep each round's predictions.h5; false: remove it once used, and show none in the report"
    )
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="jobs that share an inference of the whole target"
    )
    threads: Threads = 1


class Mix(Strict):
    target_share: Share = Field(0.75, description="share of target images in a mini-batch, p_MB")
    collage_share: Share | None = Field(
        0.5, description="share of a source crop's classes pasted over a target image, p_CM; null: no collage"
    )
    rare_crops: Share = Field(0.0, description="probability that a target crop is centred on a rare class; 0 is off")
    rare_share: Share = Field(0.001, description="share of the predicted pixels below which a class is rare")


class Thresholds(Strict):
    """The policy, the share of pixels that is pseudo-labelled, how it grows, and the bounds (mpt)."""

    policy: PolicyName = Field(
        "mpt", description="thresholds: of each class, bounded (mpt); of all (st); Eq. 8 of CBST (cbst); given (fixed)"
    )
    portion_start: Share = Field(
        0.5, description="share of each class's (st: of all) pixels that is labelled in the first cycle, p_m"
    )
    portion_step: Share = Field(0.05, description="growth of that share per cycle, Δp")
    portion_max: Share = Field(0.6, description="largest such share, p_M")
    confidence_min: Share = Field(0.5, description="mpt: least threshold, C_m; fixed: the threshold")
    confidence_max: Share = Field(0.9, description="mpt: largest threshold, C_M")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for low, high in (("portion_start", "portion_max"), ("confidence_min", "confidence_max")):
            if getattr(self, low) > getattr(self, high):
                raise ValueError(f"{low} must not exceed {high}")
        return self


class SelfTraining(Strict):
    cycles: Annotated[int, Field(ge=1, le=99)] = Field(
        10, description="cycles; the last one's model becomes co-training's model 2, K_M"
    )
    early_cycle: Annotated[int, Field(ge=1, le=99)] = Field(
        1, description="cycle whose model becomes co-training's model 1, K_m"
    )
    start_from: Literal["source", "previous"] = Field(
        "source", description="what a cycle trains on from: W_0, or the model of the cycle before"
    )
    candidates: Count | None = Field(500, description="images drawn per cycle, N; null: all")
    selected: Count | None = Field(100, description="images kept per cycle, n; null: all")
    fuse: bool = Field(True, description="train on the labels of earlier cycles too (Fuse)")
    thresholds: Thresholds = Field(default_factory=lambda: Thresholds(portion_start=0.3, portion_max=0.5))

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.early_cycle > self.cycles:
            raise ValueError("early_cycle must not exceed cycles")
        if self.candidates and self.selected and self.selected > self.candidates:
            raise ValueError("selected must not exceed candidates")
        return self


class CoTraining(Strict):
    cycles: Cycles = Field(5, description="cycles, K; 0 leaves the loop out")
    candidates: Count | None = Field(500, description="images drawn per cycle, N; null: all")
    selected: Count = Field(100, description="images each model receives per cycle, n")
    thresholds: Thresholds = Field(default_factory=Thresholds)
    balance: Share = Field(
        0.8, alias="lambda", description="cut between the least and the most confident image of a class, λ"
    )
    rank_by: Literal["image", "class"] = Field(
        "image", description="score of an image: mean confidence over all pixels, or on the visited class"
    )
    min_class_fraction: Share = Field(0.0, description="least share of pixels for an image to contain a class")
    combine_from_cycle: Count = Field(1, description="first cycle that fills void pixels from the other model")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.candidates and self.selected > self.candidates:
            raise ValueError("selected must not exceed candidates")
        return self


class Final(Strict):
    labels_from: Literal["1", "2", "ensemble"] = Field(
        "1", description="model that labels the target for the last training, w"
    )
    ensemble: Literal["mean", "max"] = Field("mean", description="how the two models' probabilities are joined")
    collage_share: Share | None = Field(None, description="mix.collage_share of the last training; null: no collage")
    threads: Annotated[
        Threads, Field(description="CPU threads of the last training, where they are more than training.threads")
    ] = 1


class Config(Strict):
    run: Name = Field("demo", description="results go to results/<run>")
    results: Folder = Field("results", description="folder of all results")
    share_with: Names | None = Field(
        None,
        description="other runs (`a-*`: all such names) whose files are taken where this one's would be alike",
    )
    seed: Seed = 0
    device: Device = "auto"
    data: Data
    toycity: Toycity = Field(default_factory=Toycity)
    model: NamedModel = Field(default_factory=NamedModel)
    model_2: NamedModel | None = Field(None, description="of co-training's model 2; null: as model")
    align_colors: bool = Field(True, description="give source images the colours of target images (LAB)")
    training: Training = Field(default_factory=Training)
    inference: Inference = Field(default_factory=Inference)
    evaluation: Views = Field(default_factory=Views)
    mix: Mix = Field(default_factory=Mix)
    selftrain: SelfTraining = Field(default_factory=SelfTraining)
    cotrain: CoTraining = Field(default_factory=CoTraining)
    final: Final | None = Field(default_factory=Final, description="last training; null: none")
    report: Pictures = Field(default_factory=Pictures)
