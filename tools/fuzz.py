"""Fuzzing: whatever bytes or values a reader is given, it answers, or raises BadInput with one line for each fault.

`python tools/fuzz.py` draws new inputs for five minutes (`--minutes M`) and prints how many each reader got;
`test_fuzz.py` runs a few of the same, always alike. Good files are made once and then spoiled: bytes changed, cut out,
repeated, or replaced; texts and values are also put together anew.
"""

import argparse
import contextlib
import io
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))
sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from conftest import CLASSES, MADE_BY, PROJECT, random_maps, write_predictions, write_pseudolabels, write_thresholds

from cotrain.base.errors import BadInput
from cotrain.data import labels
from cotrain.data.decoding import size
from cotrain.data.images import PHOTOGRAPHS, read_image
from cotrain.files import contract, hdf5, scores, tables
from cotrain.networks import checkpoint
from cotrain.procedure import plan
from cotrain.settings import stages, strict
from cotrain.settings.datasets import Coding
from cotrain.settings.labelset import LabelSet
from cotrain.settings.yaml_files import read_yaml

COUNTS: Counter[str] = Counter()
REFUSED: Counter[str] = Counter()
FOLDER = Path(tempfile.mkdtemp(prefix="cotrain-fuzz-"))
SIZE = (12, 16)
CODING = Coding(values={0: 0, 1: 1, 2: 2})


@contextlib.contextmanager
def answered(reader: str):
    """Counts an input; every exception but BadInput passes, and so does one of several lines for one fault."""
    COUNTS[reader] += 1
    try:
        yield
    except BadInput as error:
        REFUSED[reader] += 1
        assert str(error) and all(line.strip() for line in str(error).split("\n"))


# ---- good files, and spoiled ones -------------------------------------------------------------------------------


def seeds() -> dict[str, list[bytes]]:
    """Good files of every format."""
    maps = random_maps(0, 2, *SIZE, classes=3)
    write_pseudolabels(FOLDER / "labels.h5", ["a", "city/b"], *maps)
    write_predictions(FOLDER / "predictions.h5", ["a", "city/b"], *maps)
    write_thresholds(FOLDER / "thresholds.csv", [0.5, 0.6, 0.7])
    index = "image_id,image,label,height,width\na,/data/a.png,,4,6\ncity/b,b.png,l.png,5,7\n"
    metrics = {"classes": CLASSES, "miou": 0.5, "iou": [0.5, 0.5, None]}
    scores.write_json(FOLDER / "metrics.json", "metrics", metrics, MADE_BY)
    names = {"hdf5": ("labels.h5", "predictions.h5"), "thresholds": ("thresholds.csv",), "json": ("metrics.json",)}
    made = {reader: [(FOLDER / name).read_bytes() for name in files] for reader, files in names.items()}
    texts = [path.read_bytes() for path in sorted((PROJECT / "workflow" / "labelsets").glob("*.yaml"))]
    return made | {"index": [index.encode()], "images": images(), "yaml": texts, "model": [model()]}


def images() -> list[bytes]:
    rng = np.random.default_rng(0)
    color, ids = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8), rng.integers(0, 3, SIZE).astype(np.uint8)
    found = []
    for array in (color, ids, ids.astype(np.uint16), ids > 1):
        for kind in ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "JPEG2000"):
            with contextlib.suppress(OSError, KeyError):  # a format without pixels of that kind
                file, image = io.BytesIO(), Image.fromarray(array)
                image.getexif()[274] = 6
                image.save(file, format=kind, exif=image.getexif())
                found.append(file.getvalue())
    return found


def model() -> bytes:
    import torch

    content = {"format": "cotrain-model", "version": 1, "classes": list(CLASSES), "model": {}, "provenance": {}}
    file = io.BytesIO()
    torch.save(content | {"state": {"a": torch.zeros(2, 3)}}, file)
    return file.getvalue()


EDITS = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.sampled_from(["flip", "set", "cut", "insert", "repeat", "end"]),
              st.binary(min_size=1, max_size=8)),
    min_size=1, max_size=6,
)  # fmt: skip


def spoiled(data: bytes, edits: list[tuple[float, str, bytes]]) -> bytes:
    for place, kind, extra in edits:
        at = int(place * len(data))
        if kind == "flip":
            data = data[:at] + bytes([data[at] ^ (extra[0] or 1)]) + data[at + 1 :] if data else data
        elif kind == "set":
            data = data[:at] + extra + data[at + len(extra) :]
        elif kind == "cut":
            data = data[:at] + data[at + extra[0] :]
        elif kind == "insert":
            data = data[:at] + extra + data[at:]
        elif kind == "repeat":
            data = data[:at] + data[at : at + 64] * (extra[0] % 8) + data[at:]
        else:
            data = data[:at]
    return data


def read_hdf5(path: Path) -> None:
    for kind in ("pseudolabels", "predictions"):
        with contextlib.suppress(BadInput), hdf5.open_hdf5(path, kind) as file:
            hdf5.image_ids(file)
            for name in contract.DATASETS[kind]:
                _ = file[name][:] if name != "round" else file[name].asstr()[:]
    with hdf5.open_hdf5(path) as file:
        _ = file["label"][0], hdf5.classes_of(file)


def read_images(path: Path) -> None:
    for read in (read_image, lambda p: labels.read_label(p, CODING, SIZE)):
        with contextlib.suppress(BadInput):
            read(path)
    size(path, PHOTOGRAPHS)


READERS: dict[str, Callable[[Path], object]] = {
    "hdf5": read_hdf5,
    "index": lambda path: tables.read_table(path, "index"),
    "thresholds": lambda path: tables.read_table(path, "thresholds"),
    "json": lambda path: scores.read_json(path, "metrics"),
    "images": read_images,
    "yaml": lambda path: read_yaml(path, LabelSet),
    "model": checkpoint.read,
}

# ---- values -----------------------------------------------------------------------------------------------------

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**18), 2**31, 1e308, 1e-320, float("nan"), float("inf")]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["../..", "/etc/passwd", "{id}", "{a}", "$(touch pwned)", "a\nb", "-x", "", "auto", "null"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6) | st.integers(), inner, max_size=4),
    max_leaves=12,
)


def paths_of(data: object, path: tuple = ()) -> list[tuple]:
    """Where the values of nested dictionaries are."""
    inner = [p for key, value in data.items() for p in paths_of(value, (*path, key))] if isinstance(data, dict) else []
    return [path, *inner] if path else inner


def edited(data: dict, path: tuple, value: object) -> dict:
    """`data` with another value at a place."""
    key, *rest = path
    return data | {key: edited(data[key], rest, value) if rest else value}


CONFIG = yaml.safe_load((PROJECT / "config.yaml").read_text())
KINDS = list(stages.STAGES.values())


def check_config(changes: list[tuple[tuple, object]]) -> None:
    """The plan of a changed config.yaml; a plan that is made can say what each job gets."""
    data = CONFIG
    for path, value in changes:
        with contextlib.suppress(KeyError, TypeError):  # a place that an earlier change took away
            data = edited(data, path, value)
    with answered("config"):
        made = plan.Plan(data, PROJECT / "workflow")
        for domain in made.domains.domains:
            made.domains.data_root(domain)
        for job in made.jobs:
            json.loads(job.settings_json)
            made.keys_of(job)


def check_settings(key: tuple[type, str], value: object, whole: object) -> None:
    """Settings of a stage: one key of another value, or another value instead of them all."""
    kind, name = key
    for data in ({name: value}, whole):
        with answered("settings"):
            strict.parse(kind, data, "--settings")
        with answered("settings text"):
            strict.parse_json(kind, data if isinstance(data, str) else json.dumps(data))


def check_table(cells: list[tuple[str, str, str]]) -> None:
    """What is written is what is read, or it is refused: never something else."""
    names = ("image_id", "image", "label")
    rows = [dict(zip(names, row, strict=True)) | {"height": 1, "width": 2} for row in cells]
    with answered("table"):
        tables.write_table(FOLDER / "table.csv", "index", rows, MADE_BY)
        assert tables.read_table(FOLDER / "table.csv", "index").to_dict("records") == rows


class Target(NamedTuple):
    """What draws the arguments of a check."""

    strategies: tuple[st.SearchStrategy, ...]
    check: Callable[..., None]


def reader_check(reader: str) -> Callable[[bytes, list], None]:
    def check(data: bytes, edits: list) -> None:
        path = FOLDER / f"spoiled-{reader}"
        path.write_bytes(spoiled(data, edits))
        with answered(reader):
            READERS[reader](path)

    return check


def targets() -> dict[str, Target]:
    """Each reader as a test that hypothesis can run."""
    found = {reader: Target((st.sampled_from(good), EDITS), reader_check(reader)) for reader, good in seeds().items()}
    changes = st.lists(st.tuples(st.sampled_from(paths_of(CONFIG)), VALUES), min_size=1, max_size=3)
    keys = st.sampled_from([(kind, name) for kind in KINDS for name in kind.model_fields])
    cells = st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4)
    found["config"] = Target((changes,), check_config)
    found["settings"] = Target((keys, VALUES, VALUES | st.text()), check_settings)
    found["table"] = Target((cells,), check_table)
    return found


def run(target: Target, examples: int, same: bool) -> None:
    """`examples` inputs; the `same` each time, or new ones."""

    def test(arguments: tuple) -> None:
        target.check(*arguments)

    health = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    how = settings(max_examples=examples, derandomize=same, database=None, deadline=None, suppress_health_check=health)
    how(given(st.tuples(*target.strategies))(test))()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5)
    end = time.monotonic() + 60 * parser.parse_args().minutes
    tests = targets()
    while time.monotonic() < end:
        for test in tests.values():
            if time.monotonic() < end:
                run(test, examples=200, same=False)
    for reader, count in COUNTS.items():
        print(f"{reader}: {count} inputs, {REFUSED[reader]} refused")
    print(f"all: {COUNTS.total()} inputs, no exception but BadInput")


if __name__ == "__main__":
    sys.exit(main())
