"""The image sets that `check` reads: the splits of a dataset, or the domains of a config."""

from pathlib import Path
from typing import NamedTuple

from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.data.colors import Color
from cotrain.data.descriptions import Part, layout, load_datasets, load_labelset, missing_classes, parts
from cotrain.method.labelmaps import VOID
from cotrain.procedure.domains import LABELLED, folder_of, labels_of
from cotrain.procedure.plan import Plan
from cotrain.settings.datasets import Coding, Dataset, Layout
from cotrain.settings.strict import parse

WORKFLOW = Path("workflow")
UNLABELLED = "unlabelled"  # what descriptions of datasets call void


class ImageSet(NamedTuple):
    """A folder of images, and the classes that their labels are told by."""

    name: str
    root: Path
    layout: Layout
    coding: Coding
    classes: dict[str, Color | None]
    missing: list[str]  # classes that the dataset has no labels of
    needs_labels: bool  # of no use if no image has one


def of_config(plan: Plan) -> list[ImageSet]:
    """The image sets of all domains; those that are not rendered yet are named and left out."""
    image_sets = []
    for domain in plan.domains.domains:
        dataset, root = plan.domains.dataset(domain), Path(plan.domains.data_root(domain))
        if dataset.generator and not root.is_dir():
            print(f"{domain} {dataset.name}: not rendered yet; snakemake does it")
            continue
        for folder, part in plan.domains.parts(domain).items():
            image_sets.append(_of_domain(plan, domain, folder, part))
    return image_sets


def _of_domain(plan: Plan, domain: str, folder: str, part: Part) -> ImageSet:
    """One of the datasets that are joined in a domain; `folder` is that of its image ids, "" if nothing is joined."""
    needs_labels = domain != "target" or plan.config.data.target.truth
    settings = plan.domains.layout(f"{domain}{LABELLED}")
    if folder:
        settings = settings["join"][folder]
    if not needs_labels:
        settings = settings | {"labels": None}
    layout_of_part = parse(Layout, settings, domain)
    coding = Coding()
    missing = []
    if layout_of_part.labels:
        coding = Coding.model_validate(labels_of(part, plan.domains.labelset))
        missing = missing_classes(part.dataset, plan.domains.labelset)
    return ImageSet(
        name=f"{domain} {folder or part.dataset.name}",
        root=Path(plan.domains.data_root(domain)),
        layout=layout_of_part,
        coding=coding,
        classes=plan.domains.labelset.classes,
        missing=missing,
        needs_labels=needs_labels,
    )


def of_dataset(name: str, split: str, labelset: str, root: Path | None) -> list[ImageSet]:
    """Image sets of one split of a dataset, or of all that are on disk, and of each dataset that is joined in it.

    labelset: "" for the dataset's own classes. root: the folder of all datasets, None for the environment's.
    """
    known = load_datasets(WORKFLOW, [name])
    dataset = known[name]
    if dataset.generator:
        raise BadInput(f"dataset {name}: it is rendered, not found on disk; check a config that uses it after a run")
    splits = (split,) if split else dataset.splits
    image_sets = []
    for split_name in splits:
        for folder, part in parts(dataset, known).items():
            part_root = folder_of(part.dataset, root and str(root))
            part_layout = parse(Layout, layout(part, split_name), name)
            if split or any(matching(part_root, part_layout.images)):
                words = [name, folder, part.split.replace("{split}", split_name)]
                title = " ".join(word for word in words if word)
                image_sets.append(_of_part(title, part_root, part_layout, part, labelset))
    if not image_sets:
        raise BadInput(f"{part_root}: no image matches {dataset.images}; its splits are {', '.join(dataset.splits)}")
    return image_sets


def _of_part(title: str, root: Path, layout: Layout, part: Part, labelset_name: str) -> ImageSet:
    if labelset_name:
        labelset = load_labelset(WORKFLOW, labelset_name)
        coding = Coding.model_validate(labels_of(part, labelset))
        missing = missing_classes(part.dataset, labelset)
        return ImageSet(title, root, layout, coding, labelset.classes, missing, needs_labels=False)
    classes = _own_classes(part.dataset)
    values = {}
    for value, name in part.dataset.names.items():
        values[value] = classes.index(name) if name in classes else VOID
    coding = Coding(encoding=layout.encoding, values=values)
    return ImageSet(title, root, layout, coding, dict.fromkeys(classes), missing=[], needs_labels=False)


def _own_classes(dataset: Dataset) -> list[str]:
    names = dict.fromkeys(dataset.names.values())
    names.pop(UNLABELLED, None)
    if len(names) >= VOID:
        raise BadInput(f"dataset {dataset.name}: more than {VOID - 1} names; give --labelset")
    return list(names)
