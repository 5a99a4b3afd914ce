"""Reads all images and labels of a dataset, or of a config, and tells what there is and what is wrong with it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.data import indexing, labels
from cotrain.data.colors import default_colors
from cotrain.data.descriptions import Part, layout, load_datasets, load_labelset, missing_classes, parts
from cotrain.data.images import read_image
from cotrain.data.survey import Survey, survey
from cotrain.files import atomic
from cotrain.method.labelmaps import VOID
from cotrain.procedure.domains import folder_of, labels_of
from cotrain.procedure.plan import Plan
from cotrain.procedure.rounds import SOURCE_ONLY
from cotrain.settings.datasets import Coding, Dataset, Layout
from cotrain.settings.model import Model
from cotrain.settings.strict import parse
from cotrain.settings.tools import Check
from cotrain.settings.training import Train
from cotrain.settings.yaml_files import joined, read_plain

WORKFLOW = Path("workflow")
TILE = 160  # height of a picture on the sheet, pixels


class Images(NamedTuple):
    """A set of images to be read, and the classes to tell it by."""

    name: str
    root: Path
    layout: Layout
    coding: Coding
    classes: dict[str, tuple[int, int, int] | None]  # class → colour
    missing: list[str]  # classes that the dataset has no labels of
    needed: bool  # whether it is of no use without any label


def run(
    settings: Check,
    what: list[Path],
    split: str = "",
    labelset: str = "",
    root: Path | None = None,
    sheet: Path | None = None,
) -> None:
    """WHAT is a dataset (its name, or the path of its YAML) or one or more config files, later ones over earlier ones.

    A dataset is looked for below `--root` (otherwise in COTRAIN_DATA), its classes are those of `--labelset` (otherwise
    its own), and all its splits are read that are there (or `--split`). `--sheet` is the picture to write, a contact
    sheet of overlays (otherwise results/check/NAME.png). Call it in the folder of the Snakefile.
    """
    if not WORKFLOW.is_dir():
        raise BadInput(f"{WORKFLOW}: no such folder; call cotrain check in the folder of the Snakefile")
    config = _config(what)
    if config is None:
        sets, models = _of_dataset(str(what[0]), split, labelset, root), []
    elif split or labelset or root:
        raise BadInput("--split, --labelset, --root: they go with a dataset; a config says them itself")
    else:
        plan = Plan(config, WORKFLOW)
        sets, models = _of_config(plan), _models(plan)
    if not sets:
        raise BadInput("config: all its images are rendered, and none is there yet; run snakemake first")
    found = {images.name: survey(images.root, images.layout, settings.threads, images.name) for images in sets}
    for images in sets:
        print("\n".join(_report(images, found[images.name])))
    print("\n".join(_duplicates(found)))
    path = sheet or Path("results", "check", f"{what[-1].stem if config else sets[0].name.split()[0]}.png")
    _draw(path, sets, found, settings.pictures)
    print(f"contact sheet: {path}")
    wrong = [fault for model in models for fault in _built(model, plan.domains.labelset.classes)]
    if faults := [*wrong, *(line for images in sets for line in _faults(images, found[images.name]))]:
        raise BadInput(*faults)


# ---- what is to be read -----------------------------------------------------------------------------------------


def _config(what: list[Path]) -> dict | None:
    """The config that files make together, over config.yaml; None if they are the one name or file of a dataset."""
    texts = [read_plain(path) if path.suffix in (".yaml", ".yml") else None for path in what]
    if len(what) == 1 and (texts[0] is None or (isinstance(texts[0], dict) and "name" in texts[0])):
        return None
    if wrong := [path for path, text in zip(what, texts, strict=True) if not isinstance(text, dict) or "name" in text]:
        raise BadInput(f"{wrong[0]}: no config file; give one dataset, or config files alone")
    base = Path("config.yaml")
    return joined(({base: read_plain(base)} if base.exists() else {}) | dict(zip(what, texts, strict=True)))


def _of_config(plan: Plan) -> list[Images]:
    sets = []
    for domain in plan.domains.domains:
        if plan.domains.dataset(domain).generator and not Path(plan.domains.data_root(domain)).is_dir():
            print(f"{domain} {plan.domains.dataset(domain).name}: not rendered yet; snakemake does it")
            continue
        layouts = plan.domains.layout(f"{domain}_labelled")
        labelled = domain != "target" or plan.config.data.target.truth
        for folder, part in plan.domains.parts(domain).items():
            one = layouts["join"][folder] if folder else layouts
            one = parse(Layout, one if labelled else one | {"labels": None}, domain)
            coding, missing = Coding(), []
            if one.labels:
                coding = Coding.model_validate(labels_of(part, plan.domains.labelset))
                missing = missing_classes(part.dataset, plan.domains.labelset)
            name, root = f"{domain} {folder or part.dataset.name}", Path(plan.domains.data_root(domain))
            sets.append(Images(name, root, one, coding, plan.domains.labelset.classes, missing, labelled))
    return sets


def _of_dataset(name: str, split: str, labelset: str, root: Path | None) -> list[Images]:
    known = load_datasets(WORKFLOW, [name])
    dataset = known[name]
    if dataset.generator:
        raise BadInput(f"dataset {name}: it is rendered, not found on disk; check a config that uses it after a run")
    sets = []
    for one in (split,) if split else dataset.splits:
        for folder, part in parts(dataset, known).items():
            place = folder_of(part.dataset, root and str(root))
            which = part.split.replace("{split}", one)
            said = parse(Layout, layout(part, one), name)
            if split or any(matching(place, said.images)):
                sets.append(_images(" ".join(filter(None, (name, folder, which))), place, said, part, labelset))
    if not sets:
        raise BadInput(f"{place}: no image matches {dataset.images}; its splits are {', '.join(dataset.splits)}")
    return sets


def _images(name: str, root: Path, said: Layout, part: Part, labelset: str) -> Images:
    if labelset:
        known = load_labelset(WORKFLOW, labelset)
        coding = Coding.model_validate(labels_of(part, known))
        return Images(name, root, said, coding, known.classes, missing_classes(part.dataset, known), False)
    own = _own_classes(part.dataset)
    values = {value: own.index(name) if name in own else VOID for value, name in part.dataset.names.items()}
    return Images(name, root, said, Coding(encoding=said.encoding, values=values), dict.fromkeys(own), [], False)


def _own_classes(dataset: Dataset) -> list[str]:
    own = [name for name in dict.fromkeys(dataset.names.values()) if name != "unlabelled"]
    if len(own) >= VOID:
        raise BadInput(f"dataset {dataset.name}: more than {VOID - 1} names; give --labelset")
    return own


def _models(plan: Plan) -> list[Model]:
    built = [job for job in plan.jobs if job.stage == "train" and not job.inputs["initial"] and job.in_run]
    sources = [job for job in built if job.round.phase != SOURCE_ONLY]
    return [parse(Train, json.loads(job.settings_json), job.name).model for job in sources]


# ---- what is told -----------------------------------------------------------------------------------------------


def _built(model: Model, classes: Iterable[str]) -> list[str]:
    """What is wrong with a model; prints its size if nothing is."""
    from cotrain.networks import build  # a config is worth the seconds that torch takes

    try:
        built = build.build(model.model_copy(update={"weights": None}), tuple(classes))
    except BadInput as fault:
        return str(fault).splitlines()
    parameters = sum(parameter.numel() for parameter in built.parameters()) / 1e6
    print(
        f"model {' on '.join(filter(None, (model.architecture, model.encoder)))}: {parameters:.1f} million parameters"
    )
    return []


def _report(images: Images, found: Survey) -> list[str]:
    count = sum(pair.values is not None for pair in found.pairs)
    lines = [f"{images.name}: {len(found.pairs)} images, {count or 'no'} labels, in {images.root}"]
    sizes = [f"{h}×{w} ({n})" for (h, w), n in found.sizes.most_common(6)]
    lines += [f"  height × width: {', '.join(sizes)}{', …' if len(found.sizes) > 6 else ''}"]
    lines += _classes(images, found) if count else []
    if images.missing:
        lines.append(f"  it has no labels of: {', '.join(images.missing)}")
    if found.extra:
        lines.append(f"  labels without an image: {indexing.in_brief(found.extra)}")
    if found.mismatched and images.layout.mismatched == "skip":
        lines.append(f"  left out, as the label has another size: {indexing.in_brief(found.mismatched)}")
    return [*lines, ""]


def _classes(images: Images, found: Survey) -> list[str]:
    """Share of all pixels, and images, of each class; then those that are void, then classes without pixels."""
    pixels, names = found.pixels, [*images.classes, "void"]
    total, absent = pixels.total(), []
    width = max(map(len, names))
    lines = [f"  {'class':<{width}}   pixels   images"]
    for c, name in enumerate(names):
        values = [value for value, k in images.coding.values.items() if k == (VOID if name == "void" else c)]
        count = sum(pixels[value] for value in values)
        if count:
            lines.append(f"  {name:<{width}} {count / total:>8.3%} {len(found.with_any(values)):>8}")
        elif name not in images.missing and name != "void":
            absent.append(name)
    return lines + ([f"  no pixel of: {', '.join(absent)}"] if absent else [])


def _faults(images: Images, found: Survey) -> list[str]:
    """What stops a run, one line each."""
    lines = [f"{images.name}: {fault}" for fault in found.unreadable[:5]]
    if len(found.unreadable) > 5:
        lines.append(f"{images.name}: {len(found.unreadable) - 5} further files that cannot be read")
    if found.unlabelled and (images.needed or len(found.unlabelled) < len(found.pairs)):
        what = f"images without a label: {indexing.in_brief(found.unlabelled)}"
        lines.append(f"{images.name}: {what}; add the labels or remove the images")
    if found.mismatched and images.layout.mismatched == "refuse":
        what = f"labels of another size than their image: {indexing.in_brief(found.mismatched)}"
        lines.append(f"{images.name}: {what}; mend or remove them, or set `mismatched: skip` in the dataset's YAML")
    for value in found.unknown(images.coding):
        what = f"label value {labels.spelled(value, images.coding)} is unknown"
        where = indexing.in_brief(found.with_any([value]))
        lines.append(f"{images.name}: {what}, in images {where}; add it to the dataset's YAML")
    return lines


def _duplicates(found: dict[str, Survey]) -> list[str]:
    """Images of the same pixels, within a set and between two."""
    digests, lines = {name: one.digests for name, one in found.items()}, []
    names = list(found)
    for i, name in enumerate(names):
        if same := [" = ".join(ids) for ids in digests[name].values() if len(ids) > 1]:
            lines.append(f"the same image more than once in {name}: {indexing.in_brief(same)}")
        for other in names[i + 1 :]:
            if both := [d for d in digests[name] if d in digests[other]]:
                pairs = [f"{digests[name][d][0]} = {digests[other][d][0]}" for d in both]
                lines.append(f"the same image in {name} and {other}: {indexing.in_brief(pairs)}")
    return lines or ["no image occurs twice"]


# ---- what is shown ----------------------------------------------------------------------------------------------


def _draw(path: Path, sets: list[Images], found: dict[str, Survey], count: int) -> None:
    from cotrain.report import figures

    rows, legend = {}, {}
    for images in sets:
        own = default_colors(len(images.classes))
        colors = {name: color or own[c] for c, (name, color) in enumerate(images.classes.items())}
        legend |= colors if images.coding.values else {}
        rows[images.name] = _tiles(images, found[images.name], count, list(colors.values()))
    with atomic.replacing(path) as temporary:
        figures.contact_sheet(temporary, rows, legend)


def _tiles(images: Images, found: Survey, count: int, colors: list) -> list[np.ndarray]:
    """Some images of a set, evenly spread, with their labels over them."""
    from cotrain.report import figures

    good = [pair for pair in found.pairs if pair.size and pair.label_size in (None, pair.size) and not pair.faults]
    shown = np.linspace(0, len(good) - 1, min(count, len(good))).round().astype(int) if good else []
    paths, tiles = dict(indexing.find(images.root, images.layout)), []
    for pair in (good[i] for i in shown):
        size = (TILE, max(1, round(TILE * pair.size[1] / pair.size[0])))
        tile = read_image(paths[pair.image_id], size)
        known = pair.values is not None and all(value in images.coding.values for value in pair.values)
        if known and images.layout.labels:
            path = images.root / images.layout.labels.replace("{id}", pair.image_id)
            tile = figures.overlay(tile, labels.read_label(path, images.coding, size), colors)
        tiles.append(tile)
    return tiles
