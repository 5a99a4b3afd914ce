"""HDF5 files of the public contract: read lazily, checked when opened."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import hdf5plugin
import numpy as np

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.method.labelmaps import SCALE
from cotrain.settings.types import class_names

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass
from cotrain.files.atomic import replacing, write_sidecar
from cotrain.files.contract import DATASETS, FORMAT_VERSION, LIBVER, MAX_ITEMS
from cotrain.files.ids import check_ids

# Without the checksum, most flipped bits of a compressed map give another map.
LABEL_FILTER = {"fletcher32": True, **hdf5plugin.Zstd(clevel=3)}
CONFIDENCE_FILTER = {
    "fletcher32": True,
    **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE),
}


# HDF5's own locks guard files that are changed in place. Ours are replaced whole, and on a file system without locks
# they could not be opened.
LOCKING = False


@contextlib.contextmanager
def create_hdf5(path: Path, kind: str, classes: tuple[str, ...], made_by: dict) -> Iterator[h5py.File]:
    """A new HDF5 file with the contract's attributes, whole or absent."""
    with replacing(path) as temporary, h5py.File(temporary, "w", libver=LIBVER, locking=LOCKING) as file:
        texts = {"classes": json.dumps(classes), "provenance": json.dumps(made_by, sort_keys=True)}
        for name, text in ({"format": f"cotrain-{kind}"} | texts).items():
            file.attrs.create(name, text.encode(), dtype=_text(len(text.encode())))
        file.attrs["version"] = FORMAT_VERSION
        yield file
    write_sidecar(path, made_by)


@contextlib.contextmanager
def open_hdf5(path: Path, kind: str | None = None) -> Iterator["Contents"]:
    """Open one of our HDF5 files for reading; `kind` is the format it must have, with all that belongs to it."""
    with _opened(path) as file:
        contents = Contents(path, file)
        if kind and contents.format != f"cotrain-{kind}":
            raise BadInput(f"{path}: its format is {contents.format}, expected cotrain-{kind}; give that stage's file")
        if kind:
            contents.check(DATASETS[kind])
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
    """What is in an open HDF5 file. Whatever goes wrong while it is read is a fault of that file, and names it."""

    def __init__(self, path: Path, file: h5py.File):
        self.path, self._file = path, file
        with self.blamed():
            self.attrs = {name: _attribute(file, name) for name in file.attrs}
            self.format = str(self.attrs.get("format", "unknown"))
            version = self.attrs.get("version")
        if not self.format.startswith("cotrain-"):
            raise BadInput(f"{path}: its format is {self.format}, not one of cotrain; give a file that cotrain made")
        if version != FORMAT_VERSION:
            raise BadInput(f"{path}: format version {version}, this code reads {FORMAT_VERSION}; make it again")
        with self.blamed():
            float(self.attrs.get("total", 1))
            self.classes = class_names(tuple(strict_json.from_json(self.attrs["classes"])))

    @contextlib.contextmanager
    def blamed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # h5py raises many kinds for a bad file
            why = in_short(error)
            broken = BadInput(f"{self.path}: damaged ({why}); delete it and run the stage that makes it again")
            raise unreadable(self.path, error) or broken from error

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
            if dataset.file.filename != self._file.filename or dataset.external or dataset.is_virtual:
                raise ValueError(f"{name} lies in another file")
            _check_fixed(name, dataset.dtype)
            return Values(self, name, dataset)

    def check(self, expected: dict[str, tuple[str, type]]) -> None:
        """Names, types and shapes; the values are checked as they are read."""
        lengths = {"C": len(self.classes), "B": SCALE + 1}
        for name, (dimensions, type_) in expected.items():
            shape, dtype = self[name].shape, self[name].dtype
            text = h5py.check_string_dtype(dtype)
            same_type = text is not None if type_ is str else dtype == type_
            with self.blamed():
                known = [lengths.setdefault(letter, length) for letter, length in zip(dimensions, shape, strict=False)]
                if not same_type or list(shape) != known or len(shape) != len(dimensions):
                    raise ValueError(f"{name} has shape {shape} and type {dtype}")
                if np.prod(shape[1 if "H" in dimensions else 0 :], dtype=float) > MAX_ITEMS:
                    raise ValueError(f"{name} of shape {shape} is too large")


def _text(length: int) -> np.dtype:
    """Text of at most `length` bytes of UTF-8."""
    return h5py.string_dtype("utf-8", max(1, length))


def _attribute(file: h5py.File, name: str) -> object:
    _check_fixed(name, file.attrs.get_id(name).dtype)
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else value


def _check_fixed(name: str, dtype: np.dtype) -> None:
    """HDF5 keeps values of variable length without a checksum, and some damaged ones it reads for ever."""
    if dtype.hasobject:
        raise ValueError(f"{name} has values of variable length")


class Values:
    """One dataset; what is read of it is checked."""

    def __init__(self, contents: Contents, name: str, dataset: h5py.Dataset):
        self._contents, self._name, self._dataset = contents, name, dataset
        self.shape, self.dtype = dataset.shape, dataset.dtype

    def asstr(self) -> "Values":
        return Values(self._contents, self._name, self._dataset.asstr())

    def __getitem__(self, place: object) -> np.ndarray:
        with self._contents.blamed():
            values = self._dataset[place]
            if fault := _fault(self._name, np.asarray(values), len(self._contents.classes)):
                raise ValueError(f"{self._name}: {fault}")
            return values


def _fault(name: str, values: np.ndarray, classes: int) -> str | None:
    """What is wrong with values of a dataset of that name."""
    if values.dtype == np.uint8:  # class numbers; void becomes 0
        highest = (values + np.uint8(1)).max(initial=0)
        return None if highest <= classes else f"class {highest - 1} of {classes}"
    if values.dtype.kind == "i":
        return "a negative number" if values.min(initial=0) < 0 else None
    if values.dtype.kind == "f":
        known = values[~np.isnan(values)]
        if len(known) < values.size and name != "class_confidence":
            return "a value that is not a number"
        return None if not known.size or (known.min() >= 0 and known.max() <= 1) else "a value outside [0, 1]"
    return None


def classes_of(file: Contents) -> tuple[str, ...]:
    return file.classes


def image_ids(file: Contents) -> list[str]:
    ids = file["image_id"].asstr()[:].tolist()
    check_ids(ids, file.path)
    return ids


def write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    texts = [value.encode() for value in values]
    dtype = _text(max(map(len, texts), default=1))
    file.create_dataset(name, data=np.array(texts, dtype), **(LABEL_FILTER if texts else {}))


def create_maps(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type, filters: Any) -> h5py.Dataset:
    """A dataset of one map per image, (N, …); one chunk per image, so that any image reads alone."""
    if not shape[0]:  # HDF5 has no chunks larger than the data
        return file.create_dataset(name, shape, dtype)
    return file.create_dataset(name, shape, dtype, chunks=(1, *shape[1:]), **filters)
