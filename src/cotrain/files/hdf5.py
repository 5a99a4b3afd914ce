"""HDF5 files of the public contract: read lazily, and checked when opened and as they are read."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.files.atomic import replacing, write_sidecar
from cotrain.files.contract import DATASETS, FORMAT_VERSION, LIBVER, MAX_ITEMS
from cotrain.files.ids import check_ids
from cotrain.method.labelmaps import SCALE
from cotrain.settings.types import class_names

# Without the checksum, most flipped bits of a compressed map give another map.
LABEL_FILTER = {"fletcher32": True, **hdf5plugin.Zstd(clevel=3)}
CONFIDENCE_FILTER = {
    "fletcher32": True,
    **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE),
}
# HDF5's own locks guard files that are changed in place. Ours are replaced whole, and on a file system without locks
# they could not be opened.
LOCKING = False


# ---- writing ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def create_hdf5(path: Path, kind: str, classes: tuple[str, ...], made_by: dict) -> Iterator[h5py.File]:
    """A new HDF5 file with the contract's attributes, whole or absent. Raises BadInput if it cannot be written."""
    attributes = {
        "format": f"cotrain-{kind}",
        "classes": json.dumps(classes),
        "provenance": json.dumps(made_by, sort_keys=True),
    }
    with replacing(path) as temporary, h5py.File(temporary, "w", libver=LIBVER, locking=LOCKING) as file:
        for name, text in attributes.items():
            data = text.encode()
            dtype = _text(len(data))
            file.attrs.create(name, data, dtype=dtype)
        file.attrs["version"] = FORMAT_VERSION
        yield file
    write_sidecar(path, made_by)


def write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    """A dataset of texts, (N,)."""
    texts = [value.encode() for value in values]
    longest = max(map(len, texts), default=1)
    array = np.array(texts, _text(longest))
    filters = LABEL_FILTER if texts else {}
    file.create_dataset(name, data=array, **filters)


def create_maps(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type, filters: Any) -> h5py.Dataset:
    """A dataset of one map per image, (N, …); one chunk per image, so that any image reads alone."""
    if not shape[0]:  # HDF5 has no chunks larger than the data
        return file.create_dataset(name, shape, dtype)
    one_image = (1, *shape[1:])
    return file.create_dataset(name, shape, dtype, chunks=one_image, **filters)


def _text(length: int) -> np.dtype:
    """Text of at most `length` bytes of UTF-8."""
    return h5py.string_dtype("utf-8", max(1, length))


# ---- reading ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def open_hdf5(path: Path, kind: str | None = None) -> Iterator["Contents"]:
    """Open one of our HDF5 files for reading; `kind` is the format it must have, with all that belongs to it.

    Raises BadInput.
    """
    with _opened(path) as file:
        contents = Contents(path, file)
        if kind is not None:
            contents.check_kind(kind)
        yield contents


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=LOCKING)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from error
    except Exception as error:  # h5py raises many kinds for a bad file
        if "already open for write" in str(error):
            raise BadInput(f"{path}: another program writes to it, or crashed while it did; close it there") from error
        broken = BadInput(f"{path}: not a whole HDF5 file; delete it and run the stage that makes it again")
        raise unreadable(path, error) or broken from error


class Contents:
    """The content of an open HDF5 file. Whatever goes wrong while it is read is a BadInput that names the file."""

    def __init__(self, path: Path, file: h5py.File):
        self.path = path
        self._file = file
        with self.blamed():
            self.attrs = {name: _attribute(file, name) for name in file.attrs}
        self.format = str(self.attrs.get("format", "unknown"))
        version = self.attrs.get("version")
        if not self.format.startswith("cotrain-"):
            raise BadInput(f"{path}: its format is {self.format}, not one of cotrain; give a file that cotrain made")
        if not np.array_equal(version, FORMAT_VERSION):
            raise BadInput(f"{path}: format version {version}, this code reads {FORMAT_VERSION}; make it again")
        with self.blamed():
            float(self.attrs.get("total", 1))
            self.classes = class_names(tuple(strict_json.from_json(self.attrs["classes"])))

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        """Within it, an error is a fault of this file, or of what keeps it from being read."""
        try:
            yield
        except Exception as error:  # h5py raises many kinds for a bad file
            reason = in_short(error)
            damaged = BadInput(f"{self.path}: damaged ({reason}); delete it and run the stage that makes it again")
            raise unreadable(self.path, error) or damaged from error

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def __iter__(self) -> Iterator[str]:
        return iter(self._file)

    def __getitem__(self, name: str) -> "Values":
        with self.blamed():
            if name not in self._file:
                raise ValueError(f"it has no {name}")
            dataset = self._file[name]
            if not isinstance(dataset, h5py.Dataset):
                raise ValueError(f"{name} is no dataset")
            is_linked = dataset.file.filename != self._file.filename
            if is_linked or dataset.external or dataset.is_virtual:
                raise ValueError(f"{name} lies in another file")
            _check_fixed(name, dataset.dtype)
            return Values(self, name, dataset)

    def check_kind(self, kind: str) -> None:
        """Check the format, and names, types and shapes of its datasets; values are checked as they are read."""
        if self.format != f"cotrain-{kind}":
            what = f"its format is {self.format}, expected cotrain-{kind}"
            raise BadInput(f"{self.path}: {what}; give that stage's file")
        lengths = {"C": len(self.classes), "B": SCALE + 1}
        for name, (dimensions, expected_type) in DATASETS[kind].items():
            values = self[name]
            with self.blamed():
                _check_shape(name, values, dimensions, lengths)
                _check_type(name, values, expected_type)


def _check_shape(name: str, values: "Values", dimensions: str, lengths: dict[str, int]) -> None:
    """ValueError unless a dataset has the known lengths; those of new letters become known."""
    shape = values.shape
    wrong = ValueError(f"{name} has shape {shape} and type {values.dtype}")
    if len(shape) != len(dimensions):
        raise wrong
    for letter, length in zip(dimensions, shape, strict=True):
        known = lengths.setdefault(letter, length)
        if length != known:
            raise wrong
    read_at_once = shape[1:] if "H" in dimensions else shape
    if np.prod(read_at_once, dtype=float) > MAX_ITEMS:
        raise ValueError(f"{name} of shape {shape} is too large")


def _check_type(name: str, values: "Values", expected: type) -> None:
    is_text = h5py.check_string_dtype(values.dtype) is not None
    is_right = is_text if expected is str else values.dtype == expected
    if not is_right:
        raise ValueError(f"{name} has shape {values.shape} and type {values.dtype}")


def _attribute(file: h5py.File, name: str) -> object:
    _check_fixed(name, file.attrs.get_id(name).dtype)
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def _check_fixed(name: str, dtype: np.dtype) -> None:
    """HDF5 keeps values of variable length without a checksum, and some damaged ones it reads for ever."""
    if dtype.hasobject:
        raise ValueError(f"{name} has values of variable length")


class Values:
    """One dataset, whose values are checked as they are read."""

    def __init__(self, contents: Contents, name: str, dataset: h5py.Dataset):
        self._contents = contents
        self._name = name
        self._dataset = dataset
        self.shape = dataset.shape
        self.dtype = dataset.dtype

    def asstr(self) -> "Values":
        """The same with texts as str."""
        return Values(self._contents, self._name, self._dataset.asstr())

    def __getitem__(self, place: object) -> np.ndarray:
        with self._contents.blamed():
            values = self._dataset[place]
            _check_values(self._name, np.asarray(values), len(self._contents.classes))
            return values


def _check_values(name: str, values: np.ndarray, classes: int) -> None:
    """ValueError for class numbers that are not below `classes`, negative numbers, and shares outside [0, 1]."""
    if values.dtype == np.uint8:
        highest = (values + np.uint8(1)).max(initial=0)  # void becomes 0
        if highest > classes:
            raise ValueError(f"{name}: class {highest - 1} of {classes}")
    elif values.dtype.kind == "i" and values.min(initial=0) < 0:
        raise ValueError(f"{name}: a negative number")
    elif values.dtype.kind == "f":
        is_missing = np.isnan(values)
        if is_missing.any() and name != "class_confidence":
            raise ValueError(f"{name}: a value that is not a number")
        shares = values[~is_missing]
        if shares.min(initial=0) < 0 or shares.max(initial=0) > 1:
            raise ValueError(f"{name}: a value outside [0, 1]")


def classes_of(file: Contents) -> tuple[str, ...]:
    """Names of the classes; position = class."""
    return file.classes


def image_ids(file: Contents) -> list[str]:
    """The ids of the images. Raises BadInput, also for ids that cannot name a file."""
    ids = file["image_id"].asstr()[:].tolist()
    check_ids(ids, file.path)
    return ids
