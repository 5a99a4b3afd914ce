"""What the cases are made of: a folder with good files, made as they are asked for, and ways to spoil them."""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from conftest import (
    CLASSES,
    random_maps,
    save,
    write_index,
    write_predictions,
    write_pseudolabels,
    write_selected,
    write_thresholds,
)

IDS = ["city/a", "city/b", "town/c"]
SIZE = (24, 32)
LABELS = {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2, "255": 255}}


class Case(NamedTuple):
    name: str
    words: tuple[str, ...]  # all in the message
    build: Callable[["Box"], list[str]]  # fills the box, returns the command
    lines: int


def collector() -> tuple[list[Case], Callable]:
    """A list of cases, and the decorator that adds to it a function that builds one."""
    cases = []

    def case(*words: str, lines: int = 1) -> Callable:
        def add(build: Callable) -> Callable:
            cases.append(Case(build.__name__, words, build, lines))
            return build

        return add

    return cases, case


class Box:
    """A folder in which a case is built."""

    def __init__(self, folder: Path, network: Callable[[], Path]):
        self.folder, self.out, self._network = folder, folder / "out", network

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @cached_property
    def maps(self) -> tuple[np.ndarray, np.ndarray]:
        return random_maps(0, len(IDS), *SIZE, classes=3)

    @cached_property
    def pseudolabels(self) -> Path:
        return write_pseudolabels(self / "labels.h5", IDS, *self.maps)

    @cached_property
    def predictions(self) -> Path:
        return write_predictions(self / "predictions.h5", IDS, *self.maps)

    @cached_property
    def index(self) -> Path:
        """Three photographs with their labels."""
        photographs = {i: np.stack([m] * 3, axis=2) for i, m in zip(IDS, self.maps[0], strict=True)}
        return write_index(self / "index.csv", photographs, dict(zip(IDS, self.maps[0], strict=True)))

    @cached_property
    def photograph(self) -> Path:
        """The first photograph of the index."""
        return self.index.parent / "images" / "city" / "a.png"

    @cached_property
    def label(self) -> Path:
        return self.index.parent / "labels" / "city" / "a.png"

    @cached_property
    def thresholds(self) -> Path:
        return write_thresholds(self / "thresholds.csv", [0.5, 0.6, 0.7])

    @cached_property
    def selected(self) -> Path:
        return write_selected(self / "selected.csv", IDS[:2])

    @cached_property
    def model(self) -> Path:
        """A network for CLASSES."""
        path = self / "model.pt"
        path.write_bytes(self._network().read_bytes())
        return path

    # ---- commands that read these files ------------------------------------------------------------------------

    def command(self, stage: str, settings: dict | str | None = None, **paths) -> list[str]:
        """Arguments of a stage; its output is `out` if none is given."""
        arguments = [stage]
        for flag, value in ({"out": self.out} | paths).items():
            arguments += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
        if settings is not None:
            arguments += ["--settings", settings if isinstance(settings, str) else json.dumps(settings)]
        return arguments

    def select(self) -> list[str]:
        return self.command("select", {"count": 2}, pseudolabels=self.pseudolabels)

    def threshold(self) -> list[str]:
        return self.command("threshold", {"portion": 0.5}, predictions=self.predictions, table=self / "table.csv")

    def measure(self) -> list[str]:
        return self.command("measure", {"labels": LABELS}, pseudolabels=self.pseudolabels)

    def fuse(self) -> list[str]:
        return self.command("fuse", pseudolabels=self.pseudolabels, selected=self.selected)

    def report(self, settings: dict | None = None, **paths) -> list[str]:
        """Of one round, `final`, whose files lie where a run has them."""
        found = {}
        for name in ("thresholds", "pseudolabels", "predictions"):
            made = getattr(self, name)
            found[name] = self / "final" / f"{name}{made.suffix}"
            found[name].parent.mkdir(exist_ok=True)
            orphan(made).rename(found[name])
        said = {
            "title": "a run",
            "colors": [[c, [n, n, n]] for n, c in enumerate(CLASSES)],
            "rounds": [["final", "last"]],
        }
        said |= {"series": [["last", ["final"]]], "before": "source_only", "after": "final"}
        return self.command("report", said | (settings or {}), **{"target": self.index} | found | paths)

    def draw(self) -> list[str]:
        return self.command("draw", {"count": 2}, index=self.index)

    def list_images(self, **settings: object) -> list[str]:
        """The index stage over the folder of the index."""
        patterns = {"images": "images/{id}.png", "labels": "labels/{id}.png"}
        return self.command("index", patterns | settings, root=self.index.parent)

    def statistics(self) -> list[str]:
        """A stage that reads labels."""
        return self.command("statistics", {"labels": LABELS, "size": SIZE}, source=self.index)

    def color(self) -> list[str]:
        """A stage that reads photographs."""
        sizes = {"source_size": SIZE, "target_size": SIZE}
        return self.command("color", sizes, source=self.index, target=self.index)

    def predict(self) -> list[str]:
        return ["predict", "--model", str(self.model), str(self.photograph), "--out", str(self.out)]


# ---- spoiling ---------------------------------------------------------------------------------------------------


def orphan(path: Path) -> Path:
    """Without the sidecar, whose hash would tell that the file was changed."""
    path.with_name(f".{path.name}.provenance.json").unlink(missing_ok=True)
    return path


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def cut(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def save_as(path: Path, array: np.ndarray, **options) -> Path:
    """An image whose format does not follow from its name."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


__all__ = ["CLASSES", "IDS", "LABELS", "SIZE", "Box", "Case", "collector", "cut", "flip", "orphan", "save", "write"]
