"""Files of the public contract (docs/formats.md): written whole or not at all, read lazily, checked when opened."""

import contextlib
import errno
import fcntl
import glob
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Annotated, Any, Self

import h5py
import hdf5plugin
import numpy as np
from pydantic import BaseModel, Field, model_validator

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short
from cotrain.files.provenance import kept, sha256, sidecar
from cotrain.method.pseudolabels import SCALE, ImageStatistics
from cotrain.settings.stages import SUMMARY, Names, Share, class_names, parse

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    import pandas as pd

FORMAT_VERSION = 1
NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}  # of a file system without them: leftovers stay there
LIBVER = ("v110", "v110")  # the first version of HDF5's format in which all but the data have checksums
# Without the checksum, most flipped bits of a compressed map give another map.
LABEL_FILTER = {"fletcher32": True, **hdf5plugin.Zstd(clevel=3)}
CONFIDENCE_FILTER = {
    "fletcher32": True,
    **hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE),
}

RANGES = {  # of columns
    **dict.fromkeys(("height", "width"), (1, 10**6)),
    **dict.fromkeys(("portion", "threshold", "confidence"), (0, 1)),
    "class": (0, 254),
    "pixels": (0, 2**62),
}
MAX_ITEMS = 2**30  # read at once
_PRINTABLE = re.compile("[^\x00-\x1f\x7f\ud800-\udfff]+")

# dataset: dimensions, type. C and B are the classes and the bins of confidence, other letters what they are first.
DATASETS = {
    "predictions": {
        "image_id": ("N", str),
        "label": ("NKHW", np.uint8),
        "confidence": ("NKHW", np.uint16),
        "histogram": ("CB", np.int64),
    },
    "pseudolabels": {
        "image_id": ("N", str),
        "round": ("N", str),
        "label": ("NHW", np.uint8),
        "confidence": ("N", np.float32),
        "class_confidence": ("NC", np.float32),
        "class_pixels": ("NC", np.int64),
    },
    "statistics": {"image_id": ("N", str), "class_pixels": ("NC", np.int64)},
    "pictures": {"image_id": ("N", str)},
}

TABLES = {
    "index": {"image_id": str, "image": str, "label": str, "height": int, "width": int},
    "color": {"image_id": str, "target_id": str}
    | {f"{domain}_{moment}_{channel}": float for domain in ("source", "target") for moment in ("mean", "std")
       for channel in "lab"},
    "thresholds": {"class": int, "name": str, "pixels": int, "portion": float, "threshold": float},
    "selected": {"image_id": str, "confidence": float, "reason": str},
}  # fmt: skip


class Metrics(BaseModel, defer_build=True):
    """What other stages read of the file of an evaluation."""

    classes: Names
    miou: Share | None
    iou: tuple[Share | None, ...]
    confusion: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] = ()

    @model_validator(mode="after")
    def _one_per_class(self) -> Self:
        if len(self.iou) != len(self.classes):
            raise ValueError(f"{len(self.iou)} values of iou for {len(self.classes)} classes")
        if self.confusion and {len(self.confusion), *map(len, self.confusion)} != {len(self.classes)}:
            raise ValueError(f"confusion is not {len(self.classes)} rows of {len(self.classes)} numbers")
        return self


class Measured(BaseModel, defer_build=True):
    """What other stages read of the file of a measure."""

    images: Annotated[int, Field(ge=0)] = 0
    coverage: Share
    accuracy: Share | None
    precision: tuple[Share | None, ...] = ()


SCORES = {"metrics": Metrics, "measure": Measured}


# ---- whole files ------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write a file or folder to; it becomes `path` at the end, or vanishes on an error.

    Whoever has the old file open goes on reading it. After a kill or a power cut at any moment, `path` is the old one,
    the new one or, if it is a folder, absent.
    """
    if path.name in ("", ".."):
        raise BadInput(f"{path}: not the name of a file to write; give a path that ends in a name")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _workplace(path) as folder:
            new = folder / "new"
            yield new
            for part in (*new.rglob("*"), new):
                _sync(part)
            if path.is_dir():
                if not new.is_dir() or (any(path.iterdir()) and not sidecar(path).exists()):
                    raise BadInput(
                        f"{path}: a folder that cotrain did not make is in the way; move it or write elsewhere"
                    )
                path.rename(folder / "old")
            sidecar(path).unlink(missing_ok=True)  # a new file never stands beside the provenance of the old one
            new.rename(path)
            _sync(path.parent)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error}); check space and permissions") from error


@contextlib.contextmanager
def _workplace(path: Path) -> Iterator[Path]:
    """A hidden folder beside `path` that is gone at the end, and locked until then; dead processes' are removed."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    with contextlib.ExitStack() as stack:
        while True:
            folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
            stack.callback(shutil.rmtree, folder, ignore_errors=True)  # before, as SIGTERM may come any moment
            folder.mkdir()
            try:
                stack.enter_context(_locked(folder))
            except (BlockingIOError, FileNotFoundError):  # just made, it was taken for a dead one's
                continue
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            break
        yield folder


def _locked(folder: Path) -> IO:
    """The open lock of a workplace, which the kernel frees when its process dies. OSError if it is another's."""
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not os.path.samestat(os.fstat(file.fileno()), (folder / "lock").stat()):
            raise FileNotFoundError
    except OSError:
        file.close()
        raise
    return file


def _sync(path: Path) -> None:
    """Have a file's bytes, or the names in a folder, on disk before anything that follows."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file system that has no such thing for folders
            raise
    finally:
        os.close(handle)


def write_bytes(path: Path, data: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def remove(path: Path) -> None:
    """Delete a file, or a folder that a stage wrote, and its sidecar; nothing if there is none."""
    for place in (path, sidecar(path)):
        with contextlib.suppress(OSError):
            shutil.rmtree(place) if place.is_dir() else place.unlink()


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
        with open_hdf5(path) as file, file.blamed():
            return strict_json.from_json(file.attrs["provenance"])
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
    with replacing(path) as temporary, h5py.File(temporary, "w", libver=LIBVER) as file:
        texts = {"classes": json.dumps(classes), "provenance": json.dumps(made_by, sort_keys=True)}
        for name, text in ({"format": f"cotrain-{kind}"} | texts).items():
            file.attrs.create(name, text.encode(), dtype=_text(len(text.encode())))
        file.attrs["version"] = FORMAT_VERSION
        yield file
    write_sidecar(path, made_by)


@contextlib.contextmanager
def open_hdf5(path: Path, kind: str | None = None) -> Iterator["Contents"]:
    """Open one of our HDF5 files for reading; `kind` is the format it must have, with all that belongs to it."""
    if not path.exists():
        raise BadInput(f"{path}: no such file; run the stage that makes it")
    try:
        file = h5py.File(path, "r")
    except Exception as error:  # h5py raises many kinds for a bad file
        raise BadInput(f"{path}: not a whole HDF5 file; delete it and run the stage that makes it again") from error
    with file:
        contents = Contents(path, file)
        if kind and contents.format != f"cotrain-{kind}":
            raise BadInput(f"{path}: its format is {contents.format}, expected cotrain-{kind}; give that stage's file")
        if kind:
            contents.check(DATASETS[kind])
        yield contents


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
            raise BadInput(f"{self.path}: damaged ({why}); delete it and run the stage that makes it again") from error

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


def check_ids(ids: list[str], where: Path) -> None:
    """BadInput unless each id is a relative path of its own, which can name a dataset or a file."""
    known = set()
    for i in ids:
        if i in known:
            raise BadInput(f"{where}: image_id {i} occurs twice; ids must be unique")
        known.add(i)
        if not set(i.split("/")).isdisjoint({"", ".", ".."}) or not _PRINTABLE.fullmatch(i):
            raise BadInput(f"{where}: image_id {i!r} is no plain relative path; rename the image")
    for i in ids:
        if clash := known.intersection(p.as_posix() for p in PurePosixPath(i).parents):
            raise BadInput(f"{where}: image_id {min(clash)} is also the folder of {i}; rename one of them")


def write_strings(file: h5py.File, name: str, values: list[str]) -> None:
    texts = [value.encode() for value in values]
    dtype = _text(max(map(len, texts), default=1))
    file.create_dataset(name, data=np.array(texts, dtype), **(LABEL_FILTER if texts else {}))


def create_maps(file: h5py.File, name: str, shape: tuple[int, ...], dtype: type, filters: Any) -> h5py.Dataset:
    """A dataset of one map per image, (N, …); one chunk per image, so that any image reads alone."""
    if not shape[0]:  # HDF5 has no chunks larger than the data
        return file.create_dataset(name, shape, dtype)
    return file.create_dataset(name, shape, dtype, chunks=(1, *shape[1:]), **filters)


@contextlib.contextmanager
def create_predictions(
    path: Path,
    classes: tuple[str, ...],
    ids: list[str],
    shape: Sequence[int],
    total: float,
    histogram: np.ndarray,
    made_by: dict,
) -> Iterator[Callable[[int, np.ndarray, np.ndarray], None]]:
    """A new file of predictions, maps of `shape` (K, H, W) for each image; yields `write(i, label, confidence)`.

    `total` is the largest sum of a pixel's probabilities; `histogram` (C, 65536) is written when the block ends.
    """
    with create_hdf5(path, "predictions", classes, made_by) as file:
        file.attrs["total"] = total
        write_strings(file, "image_id", ids)
        labels = create_maps(file, "label", (len(ids), *shape), np.uint8, LABEL_FILTER)
        confidences = create_maps(file, "confidence", (len(ids), *shape), np.uint16, CONFIDENCE_FILTER)

        def write(i: int, label: np.ndarray, confidence: np.ndarray) -> None:
            labels[i], confidences[i] = label, confidence

        yield write
        file.create_dataset("histogram", data=histogram, chunks=(1, SCALE + 1), **LABEL_FILTER)


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
    """A CSV table of `TABLES`, with its provenance beside it. BadInput for a text that a CSV file does not keep."""
    import pandas as pd

    texts = [name for name, type_ in TABLES[kind].items() if type_ is str]
    for text in (row.get(name, "") for row in rows for name in texts):
        if "\r" in text:
            raise BadInput(f"{path}: {text!r} has a carriage return, which a CSV table does not keep; rename the file")
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(TABLES[kind])).to_csv(temporary, index=False, lineterminator="\n")
    write_sidecar(path, made_by)


def read_table(path: Path, kind: str) -> "pd.DataFrame":
    """A CSV table of `TABLES`, with its columns, types and ranges checked; an empty text cell is ""."""
    columns = TABLES[kind]
    frame = read_csv(path, [name for name, type_ in columns.items() if type_ is str])
    if missing := [name for name in columns if name not in frame]:
        raise BadInput(f"{path}: column {missing[0]} is missing; a {kind} table has {', '.join(columns)}")
    for name, type_ in columns.items():
        if type_ is not str:
            frame[name] = _numbers(path, frame[name], type_)
    if kind == "index" and frame.empty:
        raise BadInput(f"{path}: it lists no images; make it again")
    if "image_id" in frame:
        check_ids(frame["image_id"].tolist(), path)
    if "class" in frame and frame["class"].tolist() != list(range(len(frame))):
        raise BadInput(f"{path}: column class must count 0, 1, 2, …; make it again")
    return frame


def read_csv(path: Path, text: list[str]) -> "pd.DataFrame":
    """A CSV table; the columns `text` are read as they are, with "" for empty cells."""
    import pandas as pd

    try:
        types = dict.fromkeys(text, str)
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""], compression=None)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except Exception as error:  # pandas raises many kinds for a bad file
        raise BadInput(f"{path}: not a CSV table ({in_short(error)}); make it again") from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise BadInput(f"{path}: its rows have more cells than its head line; make it again")
    if twice := [name for name in frame if f"{name}.1" in frame]:
        raise BadInput(f"{path}: column {twice[0]} occurs twice; make it again")
    return frame.fillna(dict.fromkeys(text, ""))


def read_summary(path: Path) -> "pd.DataFrame":
    """A table of the summarize stage by round; its shares are numbers, NaN where they are not known."""
    import pandas as pd

    frame = read_csv(path, ["round", "name"])
    if missing := [column for column in SUMMARY if column not in frame]:
        raise BadInput(f"{path}: column {missing[0]} is missing; give a table of the summarize stage")
    numbers = frame[[column for column in SUMMARY if column not in ("round", "name")]].apply(
        pd.to_numeric, errors="coerce"
    )
    if (numbers.isna() & frame[numbers.columns].notna()).any(axis=None) or frame["round"].duplicated().any():
        raise BadInput(f"{path}: scores must be numbers and rounds occur once; make it again")
    return frame.assign(**numbers).set_index("round")


def _numbers(path: Path, column: "pd.Series", type_: type) -> "pd.Series":
    low, high = RANGES.get(column.name, (-np.inf, np.inf))
    try:
        numbers = column.astype(float)
        if not np.isfinite(numbers).all() or (type_ is int and (numbers % 1 != 0).any()):
            raise ValueError
    except (TypeError, ValueError):
        raise BadInput(f"{path}: column {column.name} must hold only {type_.__name__} values; make it again") from None
    if outside := numbers[(numbers < low) | (numbers > high)].tolist():
        raise BadInput(f"{path}: column {column.name} holds {outside[0]}, expected {low} to {high}; make it again")
    return column.astype(type_)


def write_json(path: Path, kind: str, content: dict, made_by: dict) -> None:
    head = {"format": f"cotrain-{kind}", "version": FORMAT_VERSION}
    text = json.dumps(head | content | {"provenance": made_by}, indent=1)
    write_bytes(path, (text + "\n").encode())
    write_sidecar(path, made_by)


def read_json(path: Path, kind: str | None = None) -> dict:
    """Content of a JSON file; of a `kind`, with what other stages read of it checked."""
    try:
        content = strict_json.from_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not JSON ({in_short(error)}); make it again") from None
    if kind is None:
        return content
    if not isinstance(content, dict) or content.get("format") != f"cotrain-{kind}":
        raise BadInput(f"{path}: not a cotrain-{kind} file; give the file of that stage")
    if content.get("version") != FORMAT_VERSION:
        raise BadInput(f"{path}: format version {content.get('version')}, this code reads {FORMAT_VERSION}")
    return content | parse(SCORES[kind], content, str(path)).model_dump()
