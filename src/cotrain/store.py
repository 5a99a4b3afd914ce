"""Files of the public contract (docs/formats.md): written whole or not at all, read lazily, checked when opened."""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pandas as pd

from cotrain.errors import BadInput
from cotrain.provenance import kept, sha256, sidecar
from cotrain.pseudolabels import ImageStatistics

FORMAT_VERSION = 1
LABEL_FILTER = hdf5plugin.Zstd(clevel=3)
CONFIDENCE_FILTER = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE)

TABLES = {
    "index": {"image_id": str, "image": str, "label": str, "height": int, "width": int},
    "color": {"image_id": str, "target_id": str}
    | {f"{domain}_{moment}_{channel}": float for domain in ("source", "target") for moment in ("mean", "std")
       for channel in "lab"},
    "thresholds": {"class": int, "name": str, "pixels": int, "portion": float, "threshold": float},
    "selected": {"image_id": str, "confidence": float, "reason": str},
}  # fmt: skip


# ---- whole files ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it becomes `path` at the end, or vanishes on an error."""
    if path.name in ("", ".."):
        raise BadInput(f"{path}: not the name of a file to write; give a path that ends in a name")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        if path.is_dir():
            if not temporary.is_dir() or (any(path.iterdir()) and not sidecar(path).exists()):
                raise BadInput(f"{path}: a folder that cotrain did not make is in the way; move it or write elsewhere")
            shutil.rmtree(path)
        sidecar(path).unlink(missing_ok=True)  # a new file never stands beside the provenance of the old one
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error}); check space and permissions") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


# ---- provenance -------------------------------------------------------------------------------------------------


def write_sidecar(path: Path, made_by: dict) -> None:
    """Keep the provenance of a file in a hidden file beside it, where it is found without opening the file."""
    text = json.dumps({"sha256": sha256(path), "provenance": made_by}, indent=1, sort_keys=True)
    write_bytes(sidecar(path), text.encode())


def read_provenance(path: Path) -> dict[str, Any]:
    """Provenance of any file this project made."""
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    if path.suffix == ".h5":
        with open_hdf5(path) as file:
            return json.loads(file.attrs["provenance"])
    if path.suffix == ".json":
        content = read_json(path)
        if not isinstance(content, dict) or "provenance" not in content:
            raise BadInput(f"{path}: nothing is known of how it was made; was it made by cotrain?")
        return content["provenance"]
    if (found := kept(path)) is None:
        raise BadInput(f"{path}: nothing is known of how it was made; was it made by cotrain?")
    if found["sha256"] != sha256(path):
        raise BadInput(f"{path}: it was changed after it was made; delete it and run snakemake")
    return found["provenance"]


# ---- HDF5 -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def create_hdf5(path: Path, kind: str, classes: tuple[str, ...], made_by: dict) -> Iterator[h5py.File]:
    """A new HDF5 file with the contract's attributes, whole or absent."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update(format=f"cotrain-{kind}", version=FORMAT_VERSION)
        file.attrs.update(classes=json.dumps(classes), provenance=json.dumps(made_by, sort_keys=True))
        yield file
    write_sidecar(path, made_by)


@contextlib.contextmanager
def open_hdf5(path: Path, kind: str | None = None) -> Iterator[h5py.File]:
    """Open one of our HDF5 files for reading; `kind` is the format it must have."""
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        why = "no such file" if not path.exists() else "not a whole HDF5 file"
        raise BadInput(f"{path}: {why}; delete it and run the stage that makes it again") from error
    with file:
        found = file.attrs.get("format", "unknown")
        if kind and found != f"cotrain-{kind}":
            raise BadInput(f"{path}: its format is {found}, expected cotrain-{kind}; give the file of that stage")
        if file.attrs.get("version") != FORMAT_VERSION:
            raise BadInput(f"{path}: format version {file.attrs.get('version')}, this code reads {FORMAT_VERSION}")
        try:
            yield file
        except (OSError, KeyError) as error:
            raise BadInput(f"{path}: damaged ({error}); delete it and run the stage that makes it again") from error


def classes_of(file: h5py.File) -> tuple[str, ...]:
    return tuple(json.loads(file.attrs["classes"]))


def image_ids(file: h5py.File) -> list[str]:
    return file["image_id"].asstr()[:].tolist()


def write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    file.create_dataset(name, data=np.array(values, dtype=object), dtype=h5py.string_dtype(), shape=(len(values),))


def create_maps(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type, filters: Any) -> h5py.Dataset:
    """A dataset of one map per image, (N, …); one chunk per image, so that any image reads alone."""
    layout = {"chunks": (1, *shape[1:]), **filters} if shape[0] else {}  # HDF5 has no chunks larger than the data
    return file.create_dataset(name, shape, dtype, **layout)


@contextlib.contextmanager
def create_pseudolabels(
    path: Path,
    classes: tuple[str, ...],
    ids: list[str],
    rounds: list[str],
    size: Sequence[int],
    made_by: dict,
    more: dict[str, np.ndarray] | None = None,
) -> Iterator[Callable[[int, np.ndarray, ImageStatistics], None]]:
    """A new file of pseudo-labels, one class map and its statistics per image; yields `write(i, label, statistics)`.

    `more` are further datasets of one row per image, written as they are when the block ends.
    """
    count = len(ids)
    tables = {
        "confidence": np.zeros(count, np.float32),
        "class_confidence": np.full((count, len(classes)), np.nan, np.float32),
        "class_pixels": np.zeros((count, len(classes)), np.int64),
    }
    with create_hdf5(path, "pseudolabels", classes, made_by) as file:
        maps = create_maps(file, "label", (count, *size), np.uint8, LABEL_FILTER)

        def write(i: int, label: np.ndarray, statistics: ImageStatistics) -> None:
            maps[i] = label
            for name, table in tables.items():
                table[i] = getattr(statistics, name)

        yield write
        write_strings(file, "image_id", ids)
        write_strings(file, "round", rounds)
        for name, table in (tables | (more or {})).items():
            file[name] = table


# ---- tables and JSON --------------------------------------------------------------------------------------------


def write_table(path: Path, kind: str, rows: list[dict], made_by: dict) -> None:
    """A CSV table of `TABLES`, with its provenance beside it."""
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(TABLES[kind])).to_csv(temporary, index=False, lineterminator="\n")
    write_sidecar(path, made_by)


def read_table(path: Path, kind: str) -> pd.DataFrame:
    """A CSV table of `TABLES`, with its columns and types checked; an empty text cell is ""."""
    columns = TABLES[kind]
    text = {name: str for name, type_ in columns.items() if type_ is str}
    try:
        frame = pd.read_csv(
            path, dtype=text, keep_default_na=False, na_values={n: "" for n in columns if n not in text}
        )
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not a CSV table ({' '.join(str(error).split())}); make it again") from None
    if missing := [name for name in columns if name not in frame]:
        raise BadInput(f"{path}: column {missing[0]} is missing; a {kind} table has {', '.join(columns)}")
    for name, type_ in columns.items():
        try:
            if type_ is not str and not np.isfinite(numbers := frame[name].astype(float)).all():
                raise ValueError
            if type_ is int and (numbers % 1 != 0).any():
                raise ValueError
            frame[name] = frame[name].astype(type_)
        except (TypeError, ValueError):
            raise BadInput(f"{path}: column {name} must hold only {type_.__name__} values; make it again") from None
    if "image_id" in frame and frame["image_id"].duplicated().any():
        twice = frame.loc[frame["image_id"].duplicated(), "image_id"].iloc[0]
        raise BadInput(f"{path}: image_id {twice} occurs twice; ids must be unique")
    return frame


def write_json(path: Path, kind: str, content: dict, made_by: dict) -> None:
    head = {"format": f"cotrain-{kind}", "version": FORMAT_VERSION}
    text = json.dumps(head | content | {"provenance": made_by}, indent=1)
    write_bytes(path, (text + "\n").encode())
    write_sidecar(path, made_by)


def read_json(path: Path, kind: str | None = None) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not JSON ({error}); make it again") from None
    if kind and (not isinstance(content, dict) or content.get("format") != f"cotrain-{kind}"):
        raise BadInput(f"{path}: not a cotrain-{kind} file; give the file of that stage")
    return content
