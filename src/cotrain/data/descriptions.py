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
    """File of a description that is given by its name in one of the workflow's folders, or by its path."""
    is_path = "/" in name or name.endswith((".yaml", ".yml"))
    return Path(name) if is_path else folder / f"{name}.yaml"


def load_dataset(workflow: Path, name: str) -> Dataset:
    """A description; keys that it lacks are those of the description that it is `like`. Raises BadInput."""
    folder = workflow / "datasets"
    path = named(folder, name)
    keys = read_plain(path)
    if isinstance(keys, dict) and isinstance(keys.get("like"), str):
        keys = _base(path, named(folder, keys["like"])) | keys
    return parse(Dataset, keys, str(path))


def _base(path: Path, other: Path) -> dict:
    """The keys of the description that another, `path`, is like."""
    keys = read_plain(other)
    if not isinstance(keys, dict) or "like" in keys:
        raise BadInput(f"{path}: like: {other} is like a third itself, or no description; name another")
    return keys


def load_labelset(workflow: Path, name: str) -> LabelSet:
    """Raises BadInput."""
    return read_yaml(named(workflow / "labelsets", name), LabelSet)


class Part(NamedTuple):
    """A dataset, or one of those joined in it, and its split, where {split} is that of the config."""

    dataset: Dataset
    split: str

    def filled(self, pattern: str | None, split: str) -> str | None:
        """A pattern of the dataset for a split of the config."""
        if not pattern:
            return pattern
        own_split = self.split.replace("{split}", split)
        return pattern.replace("{split}", own_split)


def load_datasets(workflow: Path, names: Iterable[str]) -> dict[str, Dataset]:
    """Datasets, and those that are joined in them, by the names that refer to them. Raises BadInput."""
    datasets = {}
    for name in names:
        dataset = load_dataset(workflow, name)
        datasets[name] = dataset
        for part_name, joined in dataset.join.items():
            part = load_dataset(workflow, joined.dataset)
            if part.join or part.generator:
                fault = f"join.{part_name} is joined or rendered itself"
                raise BadInput(f"dataset {dataset.name}: {fault}; name datasets that are folders on disk")
            datasets[joined.dataset] = part
    return datasets


def parts(dataset: Dataset, datasets: dict[str, Dataset]) -> dict[str, Part]:
    """The datasets that are joined in one, by the first folder of their image ids; {"": itself} of any other."""
    if not dataset.join:
        return {"": Part(dataset, "{split}")}
    joined_parts = {}
    for name, joined in dataset.join.items():
        joined_parts[name] = Part(datasets[joined.dataset], joined.split)
    return joined_parts


def layout(part: Part, split: str, below: str = "") -> dict:
    """Settings of `index` for a split of the config; `below` is put before the dataset's patterns."""
    dataset = part.dataset

    def path(pattern: str | None) -> str | None:
        filled = part.filled(pattern, split)
        return below + filled if filled else filled

    return {
        "images": path(dataset.images),
        "labels": path(dataset.labels),
        "encoding": dataset.encoding,
        "list_file": path(dataset.list_file),
        "aspect": dataset.aspect,
        "mismatched": dataset.mismatched,
    }


def label_values(dataset: Dataset, labelset: LabelSet) -> dict[int, int]:
    """Which class of the label set each label value of the dataset means; VOID for values outside the set.

    A dataset that lists neither the label set nor the one it is a subset of is matched by equal names; then every name
    but `unlabelled` must be one of the set's. Raises BadInput.
    """
    class_of_name = _class_of_name(dataset, labelset)
    numbers = {name: number for number, name in enumerate(labelset.classes)}
    class_of_value = {}
    for value, name in dataset.names.items():
        class_name = class_of_name.get(name)
        class_of_value[value] = numbers.get(class_name, VOID)
    return class_of_value


def _class_of_name(dataset: Dataset, labelset: LabelSet) -> dict[str, str]:
    """The dataset's own names → names of the label set, void ones included."""
    own_names = [name for name in dataset.names.values() if name != "unlabelled"]
    known = {*labelset.classes, *labelset.void}
    for listed in (labelset.name, labelset.subset_of):
        if listed in dataset.classes:
            _check_listed(dataset, labelset, listed, own_names, known)
            return dataset.classes[listed]
    for name in own_names:
        if name not in known:
            fault = f"{name!r} is no class of label set {labelset.name}"
            raise BadInput(f"dataset {dataset.name}: {fault}; add classes.{labelset.name} to its YAML")
    return {name: name for name in own_names}


def _check_listed(dataset: Dataset, labelset: LabelSet, listed: str, own_names: list[str], known: set[str]) -> None:
    """BadInput unless the dataset's list for a label set leads from its own names to those of the set."""
    place = f"dataset {dataset.name}: classes.{listed}"
    for name in dataset.classes[listed]:
        if name not in own_names:
            raise BadInput(f"{place} names {name}, which is not among its values; correct one of them")
    for class_name in dataset.classes[listed].values():
        if class_name not in known:
            raise BadInput(f"{place} maps to {class_name}, not a class of {labelset.name}; name one of its classes")


def class_values(dataset: Dataset, classes: Iterable[str]) -> tuple[int, ...]:
    """The label value by which a dataset means each of some classes: `label_values` the other way round.

    A class is what the dataset itself calls so, or else what one of its lists for label sets maps to it. Raises
    BadInput unless there is one value for each.
    """
    return tuple(_value_of(dataset, class_name) for class_name in classes)


def _value_of(dataset: Dataset, class_name: str) -> int:
    names = {class_name}
    if class_name not in dataset.names.values():
        names = _names_of(dataset, class_name)
    values = [value for value, name in dataset.names.items() if name in names]
    if len(values) == 1:
        return values[0]
    count = f"{len(values)} label values mean" if values else "no label value means"
    remedy = "name a convention (a YAML of your own, say) that has one value for each class of the model"
    raise BadInput(f"dataset {dataset.name}: {count} the class {class_name!r}; {remedy}")


def _names_of(dataset: Dataset, class_name: str) -> set[str]:
    """The dataset's own names that its lists for label sets map to a class."""
    names = set()
    for class_of_name in dataset.classes.values():
        for name, mapped in class_of_name.items():
            if mapped == class_name:
                names.add(name)
    return names


def missing_classes(dataset: Dataset, labelset: LabelSet) -> list[str]:
    """Classes of the label set that no label value of the dataset means."""
    labelled = set(label_values(dataset, labelset).values())
    return [name for number, name in enumerate(labelset.classes) if number not in labelled]
