"""Reads all images and labels of a dataset, or of a config, and tells what there is and what is wrong with it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.roles import KEPT, LOOKUP, POSITIONAL, READ, WRITE
from cotrain.data import indexing, labels
from cotrain.data.colors import Color, default_colors
from cotrain.data.survey import Pair, Survey
from cotrain.data.survey import survey as survey_images
from cotrain.files import atomic
from cotrain.method.labelmaps import VOID
from cotrain.procedure import baselines
from cotrain.procedure.plan import Plan
from cotrain.report import sheets
from cotrain.settings.datasets import Coding
from cotrain.settings.model import Model
from cotrain.settings.strict import parse
from cotrain.settings.tools import Check
from cotrain.settings.training import Train
from cotrain.settings.yaml_files import joined, read_plain
from cotrain.tools import image_sets
from cotrain.tools.image_sets import WORKFLOW, ImageSet

CONFIG = Path("config.yaml")
SHEETS = Path("results", "check")
MAX_FAULTS = 5  # files of a set that are named because they cannot be read
MAX_SIZES = 6

Surveys = list[tuple[ImageSet, Survey]]


def run(
    settings: Check,
    what: Annotated[list[Path], READ | LOOKUP | POSITIONAL],
    split: str = "",
    labelset: str = "",
    root: Annotated[Path | None, READ | LOOKUP] = None,
    sheet: Annotated[Path | None, WRITE | KEPT] = None,
) -> None:
    """WHAT is a dataset (its name, or the path of its YAML) or one or more config files, later ones over earlier ones.

    A dataset is looked for below `--root` (otherwise in COTRAIN_DATA), its classes are those of `--labelset` (otherwise
    its own), and all its splits are read that are there (or `--split`). `--sheet` is the picture to write, a contact
    sheet of overlays (otherwise results/check/NAME.png). Call it in the folder of the Snakefile.
    """
    if not WORKFLOW.is_dir():
        raise BadInput(f"{WORKFLOW}: no such folder; call cotrain check in the folder of the Snakefile")
    config = _config(what)
    plan = None
    if config is None:
        sets = image_sets.of_dataset(str(what[0]), split, labelset, root)
    elif split or labelset or root:
        raise BadInput("--split, --labelset, --root: they go with a dataset; a config says them itself")
    else:
        plan = Plan(config, WORKFLOW)
        sets = image_sets.of_config(plan)
    if not sets:
        raise BadInput("config: all its images are rendered, and none is there yet; run snakemake first")
    surveys = _survey(sets, settings.threads)
    _draw_sheet(sheet or _sheet_path(what[-1]), surveys, settings.pictures)
    faults = []
    if plan:
        faults += _model_faults(plan)
    for image_set, survey in surveys:
        faults += _faults(image_set, survey)
    if faults:
        raise BadInput(*faults)


def _config(paths: list[Path]) -> dict | None:
    """The config that files make together, over config.yaml; None if they are the one name or file of a dataset."""
    contents = {}
    for path in paths:
        contents[path] = read_plain(path) if path.suffix in (".yaml", ".yml") else None
    first = contents[paths[0]]
    if len(paths) == 1 and (first is None or _describes_dataset(first)):
        return None
    for path, content in contents.items():
        if not isinstance(content, dict) or _describes_dataset(content):
            raise BadInput(f"{path}: no config file; give one dataset, or config files alone")
    if CONFIG.exists():
        contents = {CONFIG: read_plain(CONFIG)} | contents
    return joined(contents)


def _describes_dataset(content: object) -> bool:
    """Whether the content of a YAML file is a description of a dataset; a config has no name."""
    return isinstance(content, dict) and "name" in content


def _survey(sets: list[ImageSet], threads: int) -> Surveys:
    """Reads all images and labels, and prints what there is."""
    surveys = []
    for image_set in sets:
        survey = survey_images(image_set.root, image_set.layout, threads, image_set.name)
        surveys.append((image_set, survey))
    for image_set, survey in surveys:
        print("\n".join(_description(image_set, survey)))
    print("\n".join(_duplicates(surveys)))
    return surveys


# ---- what there is ----------------------------------------------------------------------------------------------


def _description(image_set: ImageSet, survey: Survey) -> list[str]:
    """Lines on the images, their sizes and their labels."""
    images = len(survey.pairs)
    labels_read = sum(pair.values is not None for pair in survey.pairs)
    sizes = []
    for (height, width), count in survey.sizes.most_common(MAX_SIZES):
        sizes.append(f"{height}×{width} ({count})")
    if len(survey.sizes) > MAX_SIZES:
        sizes.append("…")
    lines = [
        f"{image_set.name}: {images} images, {labels_read or 'no'} labels, in {image_set.root}",
        f"  height × width: {', '.join(sizes)}",
    ]
    if labels_read:
        lines += _class_table(image_set, survey)
    if image_set.missing:
        lines.append(f"  it has no labels of: {', '.join(image_set.missing)}")
    if survey.extra:
        lines.append(f"  labels without an image: {indexing.in_brief(survey.extra)}")
    if survey.mismatched and image_set.layout.mismatched == "skip":
        lines.append(f"  left out, as the label has another size: {indexing.in_brief(survey.mismatched)}")
    lines.append("")
    return lines


def _class_table(image_set: ImageSet, survey: Survey) -> list[str]:
    """Share of all pixels, and images, of each class; then those that are void, then classes without pixels."""
    pixels = survey.pixels
    width = max(len(name) for name in (*image_set.classes, "void"))
    lines = [f"  {'class':<{width}}   pixels   images"]
    absent = []
    for number, name in (*enumerate(image_set.classes), (VOID, "void")):
        values = [value for value, label in image_set.coding.values.items() if label == number]
        count = sum(pixels[value] for value in values)
        if count:
            images = len(survey.with_any(values))
            lines.append(f"  {name:<{width}} {count / pixels.total():>8.3%} {images:>8}")
        elif name not in (*image_set.missing, "void"):
            absent.append(name)
    if absent:
        lines.append(f"  no pixel of: {', '.join(absent)}")
    return lines


def _duplicates(surveys: Surveys) -> list[str]:
    """Lines on images of the same pixels, within a set and between two."""
    digests = [(image_set.name, survey.digests) for image_set, survey in surveys]
    lines = []
    for number, (name, images) in enumerate(digests):
        repeated = [" = ".join(image_ids) for image_ids in images.values() if len(image_ids) > 1]
        if repeated:
            lines.append(f"the same image more than once in {name}: {indexing.in_brief(repeated)}")
        for other_name, other_images in digests[number + 1 :]:
            common = [digest for digest in images if digest in other_images]
            pairs = [f"{images[digest][0]} = {other_images[digest][0]}" for digest in common]
            if pairs:
                lines.append(f"the same image in {name} and {other_name}: {indexing.in_brief(pairs)}")
    return lines or ["no image occurs twice"]


# ---- what is wrong with it --------------------------------------------------------------------------------------


def _model_faults(plan: Plan) -> list[str]:
    """What is wrong with the models of a config; prints the size of those that can be built."""
    faults = []
    for model_number in plan.config.models:
        round_name = baselines.source(model_number).path
        settings = json.loads(plan.settings("train", round_name))
        model = parse(Train, settings, round_name).model
        faults += _built(model, plan.domains.labelset.classes)
    return faults


def _built(model: Model, classes: Iterable[str]) -> list[str]:
    """What is wrong with a model; prints its size if nothing is."""
    from cotrain.networks import build  # torch takes seconds, and a dataset needs none

    try:
        network = build.build(model.model_copy(update={"weights": None}), tuple(classes))
    except BadInput as fault:
        return str(fault).splitlines()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    name = model.architecture
    if model.encoder:
        name += f" on {model.encoder}"
    print(f"model {name}: {parameters / 1e6:.1f} million parameters")
    return []


def _faults(image_set: ImageSet, survey: Survey) -> list[str]:
    """What of an image set stops a run, one line each."""
    faults = survey.unreadable[:MAX_FAULTS]
    if len(survey.unreadable) > MAX_FAULTS:
        faults.append(f"{len(survey.unreadable) - MAX_FAULTS} further files that cannot be read")
    partly_labelled = len(survey.unlabelled) < len(survey.pairs)
    if survey.unlabelled and (image_set.needs_labels or partly_labelled):
        images = indexing.in_brief(survey.unlabelled)
        faults.append(f"images without a label: {images}; add the labels or remove the images")
    if survey.mismatched and image_set.layout.mismatched == "refuse":
        images = indexing.in_brief(survey.mismatched)
        faults.append(
            f"labels of another size than their image: {images}; fix or remove them, or set `mismatched: skip` in the "
            "dataset's YAML"
        )
    for value in survey.unknown(image_set.coding):
        spelled = labels.spelled(value, image_set.coding)
        images = indexing.in_brief(survey.with_any([value]))
        faults.append(f"label value {spelled} is unknown, in images {images}; add it to the dataset's YAML")
    return [f"{image_set.name}: {fault}" for fault in faults]


# ---- the contact sheet ------------------------------------------------------------------------------------------


def _sheet_path(checked: Path) -> Path:
    """Where the contact sheet goes for a dataset's name, or for the path of a dataset or config, in this folder."""
    name = checked.name
    if checked.suffix in (".yaml", ".yml"):
        name = checked.stem
    return SHEETS / f"{name}.png"


def _draw_sheet(path: Path, surveys: Surveys, count: int) -> None:
    """Writes the contact sheet, with up to `count` images of each set, and prints where it is."""
    tiles = {}
    legend: dict[str, Color] = {}
    for image_set, survey in surveys:
        colors = _colors(image_set)
        if image_set.coding.values:
            legend |= colors
        tiles[image_set.name] = _tiles(image_set, survey, count, list(colors.values()))
    with atomic.replacing(path) as temporary:
        sheets.contact_sheet(temporary, tiles, legend)
    print(f"contact sheet: {path}")


def _colors(image_set: ImageSet) -> dict[str, Color]:
    """Class → its colour, or a default one."""
    defaults = default_colors(len(image_set.classes))
    colors = {}
    for (name, color), default in zip(image_set.classes.items(), defaults, strict=True):
        colors[name] = color or default
    return colors


def _tiles(image_set: ImageSet, survey: Survey, count: int, colors: Sequence[Color]) -> list[np.ndarray]:
    """Up to `count` images of a set, evenly spread, with their labels over them where all values are known."""
    root, layout, coding = image_set.root, image_set.layout, image_set.coding
    paths = dict(indexing.find(root, layout))
    sound_pairs = [pair for pair in survey.pairs if _is_sound(pair)]
    tiles = []
    for pair in _spread(sound_pairs, count):
        image = paths[pair.image_id]
        if _is_labelled(pair, coding):
            label = root / layout.labels.replace("{id}", pair.image_id)
            tiles.append(sheets.labelled_tile(image, label, pair.size, coding, colors))
        else:
            tiles.append(sheets.photograph_tile(image, pair.size))
    return tiles


def _is_labelled(pair: Pair, coding: Coding) -> bool:
    """Whether an image has a label, all of whose values are known."""
    return pair.values is not None and coding.values.keys() >= pair.values.keys()


def _is_sound(pair: Pair) -> bool:
    """Whether an image can be read, and its label, if it has one, is of the same size."""
    return bool(pair.size) and pair.label_size in (None, pair.size) and not pair.faults


def _spread(pairs: list[Pair], count: int) -> list[Pair]:
    """Up to `count` of the pairs, evenly spread."""
    places = np.linspace(0, len(pairs) - 1, min(count, len(pairs))).round().astype(int)
    return [pairs[place] for place in places]
