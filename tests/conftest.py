"""Shared by the tests: small hand-made files, plain loops to compare with, and the command line as a function."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from workflow_runs import DryRuns, finished_run

from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import ImageStatistics

PROJECT = Path(__file__).parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"
VOID = 255
CLASSES = ("road", "car", "sky")
MADE_BY = {"stage": "test", "settings": {}, "inputs": {}, "code": "0"}


# ---- slow tests -------------------------------------------------------------------------------------------------

SLOW_FIXTURES = {"run", "results", "campaign", "dry_run"}  # a whole workflow, or many dry runs of one
SLOW_MODULES = {  # real Snakemake or SLURM, many trainings, or thousands of spoilt inputs
    "test_bad_inputs",
    "test_benchmarks",
    "test_export",
    "test_fuzz",
    "test_heads",
    "test_logbook",
    "test_models",
    "test_network_stages",
    "test_predict",
    "test_processes",
    "test_restarts",
    "test_shards",
    "test_sharing",
    "test_slurm",
    "test_snakemake",
    "test_three_members",
    "test_training",
    "test_two_architectures",
    "test_workflow",
}


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        uses_workflow = not SLOW_FIXTURES.isdisjoint(item.fixturenames)
        if uses_workflow or item.path.stem in SLOW_MODULES:
            item.add_marker(pytest.mark.slow)


# ---- random inputs and plain loops ------------------------------------------------------------------------------


def random_maps(seed: int, count: int, height: int, width: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels (N, H, W) uint8 with void and confidences (N, H, W) uint16; odd seeds have many equal confidences."""
    rng = np.random.default_rng(seed)
    label = rng.choice([*range(classes), VOID], size=(count, height, width)).astype(np.uint8)
    levels = 6 if seed % 2 else 65536
    confidence = (rng.integers(0, levels, label.shape) * (65535 // (levels - 1))).astype(np.uint16)
    return label, confidence


def histogram_of(label: np.ndarray, confidence: np.ndarray, classes: int) -> np.ndarray:
    """(C, 65536) int64, counted pixel by pixel."""
    histogram = np.zeros((classes, 65536), np.int64)
    for c, value in zip(label.ravel().tolist(), confidence.ravel().tolist(), strict=True):
        if c != VOID:
            histogram[c, value] += 1
    return histogram


def statistics_of(label: np.ndarray, confidence: np.ndarray, classes: int) -> ImageStatistics:
    """Mean confidences of one image, pixel by pixel."""
    of_class = [[] for _ in range(classes)]
    for c, value in zip(label.ravel().tolist(), confidence.ravel().tolist(), strict=True):
        if c != VOID:
            of_class[c].append(value / 65535)
    every = [value for values in of_class for value in values]
    means = [sum(values) / len(values) if values else float("nan") for values in of_class]
    pixels = np.array([len(values) for values in of_class])
    return ImageStatistics(sum(every) / len(every) if every else 0.0, np.array(means), pixels)


# ---- files ------------------------------------------------------------------------------------------------------


def write_predictions(path: Path, ids: list[str], label, confidence, classes=CLASSES) -> Path:
    """A predictions file from label and confidence (N, H, W): the most probable class only."""
    histogram = histogram_of(label, confidence, len(classes))
    with labelfiles.create_predictions(path, classes, ids, (1, *label.shape[1:]), 1.0, histogram, MADE_BY) as write:
        for i in range(len(ids)):
            write(i, label[i, None], confidence[i, None])
    return path


def write_pseudolabels(path: Path, ids: list[str], label, confidence, classes=CLASSES, round="selftrain/01") -> Path:
    rounds = [round] * len(ids)
    with labelfiles.create_pseudolabels(path, classes, ids, rounds, label.shape[1:], MADE_BY) as write:
        for i in range(len(ids)):
            write(i, label[i], statistics_of(label[i], confidence[i], len(classes)))
    return path


def write_thresholds(path: Path, thresholds, names=CLASSES) -> Path:
    rows = [
        {"class": c, "name": name, "pixels": 9, "portion": 0.5, "threshold": threshold}
        for c, (name, threshold) in enumerate(zip(names, thresholds, strict=True))
    ]
    tables.write_table(path, "thresholds", rows, MADE_BY)
    return path


def write_selected(path: Path, ids: list[str]) -> Path:
    rows = [{"image_id": i, "confidence": 0.5, "reason": "rank 1"} for i in ids]
    tables.write_table(path, "selected", rows, MADE_BY)
    return path


def write_index(path: Path, images: dict[str, np.ndarray], labels: dict[str, np.ndarray] | None = None) -> Path:
    """Images (and labels) as PNG files beside `path`, and their index table."""
    rows = []
    for i, image in images.items():
        row = {"image_id": i, "image": str(save(path.parent / "images" / f"{i}.png", image)), "label": ""}
        if labels:
            row["label"] = str(save(path.parent / "labels" / f"{i}.png", labels[i]))
        rows.append(row | {"height": image.shape[0], "width": image.shape[1]})
    tables.write_table(path, "index", rows, MADE_BY)
    return path


def save(path: Path, array: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def read_pseudolabels(path: Path) -> dict[str, np.ndarray]:
    """All datasets of a pseudo-label file."""
    with hdf5.open_hdf5(path, "pseudolabels") as file:
        texts = {name: np.array(file[name].asstr()[:], dtype=object) for name in ("image_id", "round")}
        return texts | {name: file[name][:] for name in file if name not in texts}


# ---- real Snakemake ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Path:
    """The folder of a finished tiny workflow, whose path has a space; tests leave it as it is."""
    return finished_run(tmp_path_factory.mktemp("a workflow"))


@pytest.fixture(scope="session")
def results(run) -> Path:
    return run / "results" / "tiny"


@pytest.fixture(scope="session")
def campaign(tmp_path_factory):
    """A finished run of tests/faults.yaml, as `expected`, and trials of faults against it."""
    import faults

    with faults.campaign(tmp_path_factory.mktemp("some faults"), seed=0) as ready:
        yield ready


@pytest.fixture(scope="session")
def dry_run() -> Iterator[DryRuns]:
    runs = DryRuns()
    yield runs
    runs.close()


# ---- the command line -------------------------------------------------------------------------------------------


class Result(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cotrain(capsys):
    """`cotrain(stage, settings, flag=path or paths, …)` runs the command in this process."""
    from cotrain.cli import main

    def call(stage: str, settings: dict | None = None, **paths) -> Result:
        arguments = [stage]
        for flag, value in paths.items():
            arguments += [f"--{flag}", *map(str, value if isinstance(value, list) else [value])]
        if settings is not None:
            arguments += ["--settings", json.dumps(settings)]
        capsys.readouterr()
        return Result(main(arguments), *capsys.readouterr())

    return call


@pytest.fixture
def refused(cotrain, tmp_path):
    """Like `cotrain`, for input at fault: exit code 2, `error: …` lines alone, and no file touched. Gives the lines."""

    def files() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    def call(*arguments, **paths) -> str:
        before = files()
        result = cotrain(*arguments, **paths)
        assert result.code == 2
        assert result.out == ""
        assert result.err and all(line.startswith("error: ") for line in result.err.splitlines()), result.err
        assert files() == before
        return result.err

    return call
