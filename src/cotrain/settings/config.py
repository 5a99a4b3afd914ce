"""The person's config.yaml, typed and checked as a whole; defaults are the paper's (Gómez et al. 2022, Table I)."""

import json
import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from cotrain.base.errors import BadInput
from cotrain.settings.inference import InferenceOptions, Views
from cotrain.settings.model import Model
from cotrain.settings.pseudolabels import ExchangeOptions, ThresholdOptions
from cotrain.settings.report import Pictures
from cotrain.settings.strict import Strict, parse
from cotrain.settings.training import Course, Mix, TrainingOptions
from cotrain.settings.types import Below, CollageShare, Count, Device, Ensemble, Seed, Share, Size, Threads

MODEL = 1  # number of the run's main model; members of co-training may bring others


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


def _text_of_number(value: object) -> object:
    """YAML reads 1 as a number where it names a member."""
    return str(value) if type(value) is int else value


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


class Training(TrainingOptions):
    source: Course = Field(default_factory=Course)
    cycle: Course = Field(default_factory=lambda: Course(steps=8000, schedule="constant"))
    final: Course = Field(default_factory=Course)

    @model_validator(mode="after")
    def _an_image_for_each(self) -> Self:
        if self.batch < self.gpus:
            raise ValueError(f"batch must not be less than gpus, or {self.gpus - self.batch} have nothing to do")
        return self


class Inference(InferenceOptions):
    prior: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="spatial prior: width of its Gaussian, share of the image height; null: off"
    )
    keep_predictions: bool = Field(
        True, description="keep each round's predictions.h5; false: remove it once used, and show none in the report"
    )
    shards: Annotated[int, Field(ge=1, le=1000)] = Field(
        1, description="jobs that share an inference of the whole target"
    )


class Thresholds(ThresholdOptions):
    """The share of pixels that is pseudo-labelled and how it grows, beside the policy and its bounds."""

    portion_start: Share = Field(
        0.5, description="share of each class's (st: of all) pixels that is labelled in the first cycle, p_m"
    )
    portion_step: Share = Field(0.05, description="growth of that share per cycle, Δp")
    portion_max: Share = Field(0.6, description="largest such share, p_M")

    @model_validator(mode="after")
    def _portions_in_order(self) -> Self:
        if self.portion_start > self.portion_max:
            raise ValueError("portion_start must not exceed portion_max")
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


class Member(Strict):
    """One of the models that teach each other."""

    start: Literal["early", "last"] | Annotated[int, Field(ge=1, le=99)] = Field(
        "last",
        description="cycle of self-training whose model it starts from: early (selftrain.early_cycle, K_m), last (K_M) "
        "or a number",
    )
    model: NamedModel | None = Field(
        None, description="another architecture, with a source model and self-training of its own; null: as `model`"
    )


class CoTraining(ExchangeOptions):
    cycles: Cycles = Field(5, description="cycles, K; 0 leaves the loop out")
    members: Annotated[tuple[Member, ...], Field(min_length=2, max_length=9)] = Field(
        (Member(start="early"), Member(start="last")),
        description="models that exchange pseudo-labelled images, two or more: what each starts from, and its model",
    )
    candidates: Count | None = Field(500, description="images drawn per cycle, N; null: all")
    selected: Count = Field(100, description="images each model receives per cycle, n")
    thresholds: Thresholds = Field(default_factory=Thresholds)
    combine_from_cycle: Count = Field(1, description="first cycle that fills void pixels from the other models")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.candidates and self.selected > self.candidates:
            raise ValueError("selected must not exceed candidates")
        return self


class Final(Strict):
    labels_from: Annotated[str, BeforeValidator(_text_of_number), Field(pattern=r"^([1-9]|ensemble)$")] = Field(
        "1", description="member that labels the target for the last training, w: its number, or ensemble"
    )
    ensemble: Ensemble = "mean"
    collage_share: CollageShare = None
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
    align_colors: bool = Field(True, description="give source images the colours of target images (LAB)")
    training: Training = Field(default_factory=Training)
    inference: Inference = Field(default_factory=Inference)
    evaluation: Views = Field(default_factory=Views)
    mix: Mix = Field(default_factory=lambda: Mix(target_share=0.75, collage_share=0.5))
    selftrain: SelfTraining = Field(default_factory=SelfTraining)
    cotrain: CoTraining = Field(default_factory=CoTraining)
    final: Final | None = Field(default_factory=Final, description="last training; null: none")
    report: Pictures = Field(default_factory=Pictures)

    @property
    def models(self) -> dict[int, NamedModel]:
        """The different models of a run: 1 is `model`, others have the number of the first member that brings them."""
        models = {MODEL: self.model}
        for number, member in enumerate(self.cotrain.members, start=1):
            if member.model and member.model not in models.values():
                models[max(number, MODEL + 1)] = member.model
        return models

    @property
    def named_models(self) -> dict[str, NamedModel]:
        """Models by the config keys that describe them."""
        models = {"model": self.model}
        for number, member in enumerate(self.cotrain.members):
            if member.model:
                models[f"cotrain.members.{number}.model"] = member.model
        return models

    def model_of(self, member: int) -> int:
        """Which of `models` a member of co-training has; members are counted from 1."""
        wanted = self.cotrain.members[member - 1].model or self.model
        return next(number for number, model in self.models.items() if model == wanted)

    def start_of(self, member: Member) -> int:
        """Cycle of self-training that a member starts from."""
        names = {"early": self.selftrain.early_cycle, "last": self.selftrain.cycles}
        return names.get(member.start, member.start)


def parse_config(data: object) -> Config:
    """A person's config, checked. Raises BadInput with a line for each fault."""
    if isinstance(data, dict) and "model_2" in data:
        if data["model_2"] is None:
            raise BadInput("config: model_2: no longer a key; delete the line")
        members = f"[{{start: early}}, {{start: last, model: {json.dumps(data['model_2'])}}}]"
        raise BadInput(f"config: model_2: now a member of co-training; write instead cotrain: {{members: {members}}}")
    config = parse(Config, data, "config")
    _check_members(config)
    return config


def _check_members(config: Config) -> None:
    members, cycles = config.cotrain.members, config.selftrain.cycles
    for number, member in enumerate(members):
        if config.start_of(member) > cycles:
            raise BadInput(
                f"config: cotrain.members.{number}.start: {member.start}, and self-training has {cycles} cycles; "
                "give one of them, early or last"
            )
    who = config.final.labels_from if config.final else "ensemble"
    if who != "ensemble" and int(who) > len(members):
        raise BadInput(f"config: final.labels_from: {who}, and cotrain.members lists {len(members)}; give one of them")
