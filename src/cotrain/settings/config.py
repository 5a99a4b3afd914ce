"""The person's config.yaml, typed and checked as a whole; defaults are the paper's (Gómez et al. 2022, Table I)."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import yaml
from pydantic import AfterValidator, Field, JsonValue, model_validator

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short
from cotrain.method.pseudolabels import VOID
from cotrain.settings.stages import (
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
    Pictures,
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
    Workers,
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


class _Loader(yaml.SafeLoader):
    """Executes nothing, and takes no key twice. That of libyaml is faster, and crashes where brackets never end."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        strict_json.refuse_twice(
            self.construct_object(key) for key, _ in node.value if isinstance(key, yaml.ScalarNode)
        )
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


def joined(texts: dict[Path, object]) -> dict:
    """The config that Snakemake makes of what several files say: the later one wins, key by key."""
    from snakemake.utils import update_config

    config: dict = {}
    for path, text in texts.items():
        if not isinstance(text, dict):
            raise BadInput(f"{path}: not a config, which has keys and values; give config.yaml or overlays on it")
        try:
            strict_json.check(text)
        except ValueError as error:
            raise BadInput(f"{path}: {error}") from None
        update_config(config, text)
    return config


def read_yaml(path: Path, kind: type[Strict]) -> Strict:
    """A checked YAML file."""
    return parse(kind, read_plain(path), str(path))


def named(folder: Path, name: str) -> Path:
    """File of a description by its name in one of the workflow's folders, or by its path."""
    own = "/" in name or name.endswith((".yaml", ".yml"))
    return Path(name) if own else folder / f"{name}.yaml"


def load_dataset(workflow: Path, name: str) -> Dataset:
    """A description; what it does not say, the one that it is `like` says."""
    folder = workflow / "datasets"
    path = named(folder, name)
    said = read_plain(path)
    if isinstance(said, dict) and isinstance(said.get("like"), str):
        other = named(folder, said["like"])
        base = read_plain(other)
        if not isinstance(base, dict) or "like" in base:
            raise BadInput(f"{path}: like: {other} is like a third itself, or no description; name another")
        said = base | said
    return parse(Dataset, said, str(path))


def load_labelset(workflow: Path, name: str) -> LabelSet:
    return read_yaml(named(workflow / "labelsets", name), LabelSet)


class Part(NamedTuple):
    """A dataset, or one of those joined in it, and its split, where {split} is that of the config."""

    dataset: Dataset
    split: str

    def filled(self, pattern: str | None, split: str) -> str | None:
        """A pattern of the dataset for a split of the config."""
        return pattern and pattern.replace("{split}", self.split.replace("{split}", split))


def load_datasets(workflow: Path, names: Iterable[str]) -> dict[str, Dataset]:
    """Datasets, and those that are joined in them, by the names they are referred to."""
    found = {name: load_dataset(workflow, name) for name in names}
    for dataset in list(found.values()):
        for name, part in dataset.join.items():
            found[part.dataset] = one = load_dataset(workflow, part.dataset)
            if one.join or one.generator:
                what = f"join.{name} is joined or rendered itself"
                raise BadInput(f"dataset {dataset.name}: {what}; name datasets that are folders on disk")
    return found


def parts(dataset: Dataset, datasets: dict[str, Dataset]) -> dict[str, Part]:
    """The datasets that are joined in one, by the first folder of their image ids; {"": itself} of any other."""
    if not dataset.join:
        return {"": Part(dataset, "{split}")}
    return {name: Part(datasets[part.dataset], part.split) for name, part in dataset.join.items()}


def layout(part: Part, split: str, below: str = "") -> dict:
    """Settings of `index` for a split of the config; `below` is put before the dataset's patterns."""
    dataset = part.dataset
    patterns = (dataset.images, dataset.labels, dataset.list_file)
    images, labels, listed = (part.filled(pattern, split) for pattern in patterns)
    return {
        "images": below + images,
        "labels": labels and below + labels,
        "encoding": dataset.encoding,
        "list_file": listed and below + listed,
        "aspect": dataset.aspect,
        "mismatched": dataset.mismatched,
    }


def label_values(dataset: Dataset, labelset: LabelSet) -> dict[int, int]:
    """Which class of the label set each label value of the dataset means; VOID for values outside the set.

    A dataset that lists neither the label set nor the one it is a subset of is matched by equal names; but for
    `unlabelled` none may be left over.
    """
    names, classes = dataset.names, tuple(labelset.classes)
    own = [name for name in names.values() if name != "unlabelled"]
    listed = next((name for name in (labelset.name, labelset.subset_of) if name in dataset.classes), None)
    mapping = dataset.classes[listed] if listed else {name: name for name in own}
    known = {*classes, *labelset.void}
    if listed and (unknown := [name for name in mapping if name not in own]):
        raise BadInput(f"dataset {dataset.name}: classes.{listed} names {unknown[0]}, which is not among its values")
    if unknown := [name for name in mapping.values() if name not in known]:
        if listed:
            what = f"classes.{listed} maps to {unknown[0]}, not a class of {labelset.name}"
            raise BadInput(f"dataset {dataset.name}: {what}")
        what = f"{unknown[0]!r} is no class of label set {labelset.name}"
        raise BadInput(f"dataset {dataset.name}: {what}; add classes.{labelset.name} to its YAML")
    number = {name: c for c, name in enumerate(classes)}
    return {value: number.get(mapping.get(name), VOID) for value, name in names.items()}


def class_values(dataset: Dataset, classes: Iterable[str]) -> tuple[int, ...]:
    """The label value by which a dataset means each of some classes: `label_values` the other way round.

    A class is what the dataset itself calls so, or else what one of its lists for label sets maps to it.
    """
    values: dict[str, set[int]] = {}
    for value, name in dataset.names.items():
        values.setdefault(name, set()).add(value)
    found = []
    for c in classes:
        own = {name for mapping in dataset.classes.values() for name, meant in mapping.items() if meant == c}
        meaning = sorted(set().union(*(values.get(name, set()) for name in ({c} if c in values else own))))
        if len(meaning) != 1:
            what = f"{len(meaning)} label values mean" if meaning else "no label value means"
            raise BadInput(
                f"dataset {dataset.name}: {what} the class {c!r}; name a convention (a YAML of your own, say) that has "
                "one value for each class of the model"
            )
        found += meaning
    return tuple(found)


def missing_classes(dataset: Dataset, labelset: LabelSet) -> list[str]:
    """Classes of the label set that no label value of the dataset means."""
    meant = set(label_values(dataset, labelset).values())
    return [name for c, name in enumerate(labelset.classes) if c not in meant]
