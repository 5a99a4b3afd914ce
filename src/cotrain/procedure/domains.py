"""The images of a run: its datasets, their folders, and what their label values mean."""

import os
from pathlib import Path
from typing import Any

from cotrain.base.errors import BadInput
from cotrain.data.descriptions import (
    Part,
    label_values,
    layout,
    load_datasets,
    load_labelset,
    missing_classes,
    parts,
)
from cotrain.settings.config import Config, Domain
from cotrain.settings.datasets import Dataset
from cotrain.settings.labelset import LabelSet

LABELLED = "_labelled"  # ends the name of the target's table that lists labels


class Domains:
    """Source, target and validation images of a config, with the descriptions that they name."""

    def __init__(self, config: Config, workflow: Path):
        """Reads the descriptions below `workflow`; raises BadInput for one that does not fit the config."""
        self.config = config
        self.labelset: LabelSet = load_labelset(workflow, config.data.labelset)
        self.domains: dict[str, Domain] = {"source": config.data.source, "target": config.data.target}
        if config.data.validation:
            self.domains["validation"] = config.data.validation
        self.datasets = load_datasets(workflow, [domain.dataset for domain in self.domains.values()])
        for name in self.domains:
            self._check_labels(name)

    def _check_labels(self, name: str) -> None:
        unlabelled = [part.dataset.name for part in self.parts(name).values() if part.dataset.labels is None]
        if not unlabelled:
            self.labels(name)
            return
        if name != "target" or self.config.data.target.truth:
            raise BadInput(f"config: data.{name}.dataset: {unlabelled[0]} has no labels; choose a labelled dataset")

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.labelset.classes)

    @property
    def colors(self) -> list[tuple[str, tuple[int, int, int]]]:
        """Each class and its sRGB."""
        return list(self.labelset.classes.items())

    @property
    def tables(self) -> list[str]:
        """Names of the index tables: one for each domain, and one with the labels of the target, if it has any."""
        labelled = [f"target{LABELLED}"] if self.config.data.target.truth else []
        return [*self.domains, *labelled]

    def dataset(self, domain: str) -> Dataset:
        """Description of the dataset of a domain."""
        return self.datasets[self.domains[domain].dataset]

    def parts(self, domain: str) -> dict[str, Part]:
        """Datasets of a domain by the first folder of their image ids; {"": …} of one that is not joined."""
        return parts(self.dataset(domain), self.datasets)

    def labels(self, domain: str) -> dict[str, Any]:
        """Classes, and what the label values of a domain's datasets mean, as stages are told."""
        codings = {folder: labels_of(part, self.labelset) for folder, part in self.parts(domain).items()}
        if "" in codings:
            return {"classes": self.classes, **codings[""]}
        return {"classes": self.classes, "join": codings}

    def layout(self, table: str) -> dict[str, Any]:
        """Where below `data_root` the images of a table are, and their labels but for the table `target`."""
        domain = table.removesuffix(LABELLED)
        layouts = {}
        for folder, part in self.parts(domain).items():
            below = f"{part.dataset.root}/" if folder and part.dataset.root else ""
            layouts[folder] = layout(part, self.domains[domain].split, below)
            if table == "target":
                layouts[folder]["labels"] = None
        return layouts.get("", {"join": layouts})

    def data_root(self, table: str) -> str:
        """Folder that a table lists. Raises BadInput if it is not known or not there."""
        domain = table.removesuffix(LABELLED)
        if scenes := self.scenes(domain):
            return scenes
        for part in self.parts(domain).values():
            folder_of(part.dataset, self.config.data.root)
        return str(folder_of(self.dataset(domain), self.config.data.root))

    def scenes(self, domain: str) -> str | None:
        """Folder of a domain's rendered scenes, which all runs share; None for photographs on disk."""
        if not self.dataset(domain).generator:
            return None
        split, toycity = self.domains[domain].split, self.config.toycity
        if split not in ("source", "target", "validation"):
            raise BadInput(f"config: data: toycity has no split {split!r}; use source, target or validation")
        height, width = toycity.size
        name = f"{split}-{getattr(toycity, split)}-{height}x{width}-seed{toycity.seed}"
        return str(Path(self.config.results, "shared", "toycity", name))

    @property
    def missing(self) -> dict[str, list[str]]:
        """Source dataset → classes of the label set that it has no labels of; none where it has all."""
        missing = {}
        for part in self.parts("source").values():
            if classes := missing_classes(part.dataset, self.labelset):
                missing[part.dataset.name] = classes
        return missing


def labels_of(part: Part, labelset: LabelSet) -> dict[str, Any]:
    """How the labels of a dataset are coded, as classes of a label set."""
    return {"encoding": part.dataset.encoding, "values": label_values(part.dataset, labelset)}


def folder_of(dataset: Dataset, root: str | None) -> Path:
    """Folder of a dataset on disk; `root` is that of all datasets, None for the environment's.

    Raises BadInput if neither is set, or there is no such folder.
    """
    root = root or os.environ.get("COTRAIN_DATA")
    if root is None:
        raise BadInput(
            f"config: data.root: not set, and {dataset.name} is on your disk; set it, or the environment variable "
            "COTRAIN_DATA, to the folder of your datasets"
        )
    folder = Path(root) / dataset.root
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; set data.root or COTRAIN_DATA to the folder that has it")
    return folder
