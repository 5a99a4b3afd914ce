"""Descriptions of datasets and label sets: what their label values mean, and where their images are."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cotrain.base.errors import BadInput
from cotrain.method.labelmaps import VOID
from cotrain.settings.datasets import Dataset
from cotrain.settings.labelset import LabelSet
from cotrain.settings.strict import parse
from cotrain.settings.yaml_files import read_plain, read_yaml


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
