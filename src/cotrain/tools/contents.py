"""What `show` prints of a file, and the pictures that it can make of it."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.base.patterns import file_name
from cotrain.data.colors import Color, colorize, default_colors
from cotrain.files import contract, hdf5, scores, tables
from cotrain.files.sidecars import kept
from cotrain.method.labelmaps import SCALE
from cotrain.settings.types import SUMMARY

MAX_ROWS = 20  # of a table that is shown from its head
SETTINGS_OF_TRAINING = ("name", "source_size", "target_size", "batch", "seed", "course")

Picture = Callable[[], np.ndarray]  # makes sRGB (H, W, 3) uint8


class Contents(NamedTuple):
    """What is in a file."""

    lines: list[str]
    pictures: dict[str, Picture]  # by path below any folder, without its ending; none of tables, scores and models


def of(path: Path, count: int, colors: dict[str, Color]) -> Contents:
    """Contents of a file, with `count` images listed and pictured; classes without a colour get a default one.

    Raises BadInput if it is not a file of cotrain that can be shown.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give one of cotrain's files") from None
    if head.startswith(b"\x89HDF"):
        contents = _of_hdf5(path, count, colors)
    elif head.startswith(b"PK"):
        contents = Contents(_describe_model(path), {})
    elif path.suffix == ".json":
        contents = Contents(_describe_scores(path), {})
    elif path.suffix == ".csv":
        contents = Contents(_describe_csv(path, count), {})
    else:
        raise BadInput(f"{path}: not a file that can be shown; give an HDF5, CSV, JSON or model file of cotrain")
    sidecar = kept(path)
    if sidecar:
        stage = sidecar["provenance"]["stage"]
        contents.lines.extend(["", f"made by cotrain {stage}; more: cotrain explain {path}"])
    return contents


def pictures(contents: Contents, folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """Path below `folder` and pixels of each picture, made one at a time."""
    for name, picture in contents.pictures.items():
        yield folder / f"{name}.png", picture()


# ---- lines ------------------------------------------------------------------------------------------------------


def _table(frame: pd.DataFrame, more: int = 0) -> list[str]:
    """The lines of a table, after an empty one; nothing for what is not known; `more` rows are not shown."""
    text = frame.to_string(index=False, na_rep="", max_colwidth=60, float_format="{:.4g}".format)
    lines = ["", *text.splitlines()]
    if more > 0:
        lines.append(f"… and {more} more")
    return lines


def _list(title: str, image_ids: list[str], count: int) -> list[str]:
    """The lines of a list of the first `count` images, after an empty one."""
    lines = ["", f"{title}:"]
    lines += [f"  {image_id}" for image_id in image_ids[:count]]
    if len(image_ids) > count:
        lines.append(f"… and {len(image_ids) - count} more")
    return lines


def _percent(shares: Sequence[float]) -> list[str]:
    """Shares as percent; "" for NaN."""
    texts = []
    for share in np.asarray(shares, float):
        texts.append("" if np.isnan(share) else f"{100 * share:.1f} %")
    return texts


def _shares(pixels: np.ndarray) -> list[str]:
    """The share of each class of all pixels, as percent."""
    return _percent(pixels / max(1, pixels.sum()))


def _mean(sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """sums / counts; NaN where nothing was counted."""
    return np.divide(sums, counts, out=np.full(len(counts), np.nan), where=counts > 0)


# ---- HDF5 -------------------------------------------------------------------------------------------------------


def _of_hdf5(path: Path, count: int, colors: dict[str, Color]) -> Contents:
    with hdf5.open_hdf5(path) as file:
        kind = file.format.removeprefix("cotrain-")
    kinds = {
        "predictions": _predictions,
        "pseudolabels": _pseudolabels,
        "statistics": _statistics,
        "pictures": _evaluated,
    }
    if kind not in kinds:
        raise BadInput(f"{path}: {kind} cannot be shown; give predictions, pseudo-labels, statistics or pictures")
    with hdf5.open_hdf5(path, kind) as file:
        palette = []
        for name, default in zip(file.classes, default_colors(len(file.classes)), strict=True):
            palette.append(colors.get(name, default))
        return kinds[kind](path, file, count, palette)


def _predictions(path: Path, file: hdf5.Contents, count: int, palette: list[Color]) -> Contents:
    image_ids = hdf5.image_ids(file)
    _, kept_classes, height, width = file["label"].shape
    histogram = file["histogram"][:]
    pixels = histogram.sum(axis=1)
    confidence_sums = histogram @ np.arange(SCALE + 1)
    classes = {
        "class": file.classes,
        "pixels": pixels,
        "share": _shares(pixels),
        "mean confidence": _mean(confidence_sums, pixels * SCALE),
    }
    size = f"{len(image_ids)} images of {height} × {width} pixels"
    lines = [
        f"predictions of {size}, the {kept_classes} most probable of each pixel's {len(file.classes)} classes",
        *_table(pd.DataFrame(classes)),
        *_list("first images", image_ids, count),
    ]
    pictures = {}
    for number, image_id in enumerate(image_ids[:count]):
        pictures[f"{image_id}_label"] = partial(_label_map, path, "label", (number, 0), palette)
        pictures[f"{image_id}_confidence"] = partial(_confidence_map, path, number)
    return Contents(lines, pictures)


def _pseudolabels(path: Path, file: hdf5.Contents, count: int, palette: list[Color]) -> Contents:
    image_ids = hdf5.image_ids(file)
    _, height, width = file["label"].shape
    confidence = file["confidence"][:]
    class_pixels = file["class_pixels"][:]
    class_confidence = file["class_confidence"][:]
    pixels = class_pixels.sum(axis=0)
    confidence_sums = np.nansum(class_confidence * class_pixels, axis=0)
    classes = {
        "class": file.classes,
        "images": (class_pixels > 0).sum(axis=0),
        "pixels": pixels,
        "share": _shares(pixels),
        "mean confidence": _mean(confidence_sums, pixels),
    }
    labelled = class_pixels.sum(axis=1) / (height * width)
    best = np.argsort(-confidence, kind="stable")[:count]
    most_confident = {
        "most confident images": [image_ids[place] for place in best],
        "confidence": confidence[best],
        "labelled": _percent(labelled[best]),
    }
    size = f"{len(image_ids)} images of {height} × {width} pixels"
    lines = [
        f"pseudo-labels of {size}, {len(file.classes)} classes",
        _coverage(labelled),
        *_rounds(file),
        *_table(pd.DataFrame(classes)),
        *_table(pd.DataFrame(most_confident), more=len(image_ids) - len(best)),
    ]
    pictures = {}
    for place in best:
        pictures[f"{image_ids[place]}_label"] = partial(_label_map, path, "label", int(place), palette)
    return Contents(lines, pictures)


def _coverage(labelled: np.ndarray) -> str:
    """labelled: share of the pixels of each image that have a label."""
    coverage = "none"
    if len(labelled):
        [coverage] = _percent([labelled.mean()])
    return f"coverage: {coverage} of the pixels have a label"


def _rounds(file: hdf5.Contents) -> Iterator[str]:
    """How many images were labelled in each round."""
    rounds = pd.Series(file["round"].asstr()[:])
    for name, number in rounds.value_counts(sort=False).items():
        yield f"round {name or 'not said'}: {number} images"


def _statistics(path: Path, file: hdf5.Contents, count: int, _: list[Color]) -> Contents:
    image_ids = hdf5.image_ids(file)
    class_pixels = file["class_pixels"][:]
    pixels = class_pixels.sum(axis=0)
    classes = {
        "class": file.classes,
        "images": (class_pixels > 0).sum(axis=0),
        "pixels": pixels,
        "share": _shares(pixels),
    }
    lines = [f"class counts of {len(image_ids)} images, {len(file.classes)} classes"]
    pictures = {}
    if "prior" in file:
        height, width = file["prior"].shape[1:]
        lines.append(f"spatial prior of {height} × {width} pixels")
        for number, name in enumerate(file.classes):
            pictures[f"prior_{file_name(name)}"] = partial(_prior_map, path, number)
    lines += _table(pd.DataFrame(classes))
    lines += _list("first images", image_ids, count)
    return Contents(lines, pictures)


def _evaluated(path: Path, file: hdf5.Contents, count: int, palette: list[Color]) -> Contents:
    image_ids = hdf5.image_ids(file)
    classes = f"{len(file.classes)} classes: {', '.join(file.classes)}"
    lines = [
        f"predictions and truth of {len(image_ids)} images, {classes}",
        *_list("images", image_ids, count),
    ]
    pictures = {}
    for image_id in image_ids[:count]:
        for kind in ("prediction", "truth"):
            pictures[f"{image_id}_{kind}"] = partial(_label_map, path, f"{kind}/{image_id}", (), palette)
    return Contents(lines, pictures)


def _read(path: Path, dataset: str, place: object) -> np.ndarray:
    with hdf5.open_hdf5(path) as file:
        return file[dataset][place]


def _label_map(path: Path, dataset: str, place: object, palette: list[Color]) -> np.ndarray:
    return colorize(_read(path, dataset, place), palette)


def _confidence_map(path: Path, number: int) -> np.ndarray:
    """Confidence of the most probable class; 1 is white."""
    return _grey(_read(path, "confidence", (number, 0)) / SCALE)


def _prior_map(path: Path, number: int) -> np.ndarray:
    """Spatial prior of a class; its maximum is white."""
    shares = _read(path, "prior", number)
    return _grey(shares / max(float(shares.max()), 1e-9))


def _grey(shares: np.ndarray) -> np.ndarray:
    """Shares (H, W) in [0, 1] → grey sRGB (H, W, 3) uint8."""
    levels = np.rint(shares * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=2)


# ---- tables, JSON, models ---------------------------------------------------------------------------------------


def _describe_csv(path: Path, count: int) -> list[str]:
    frame, kind = _read_csv(path)
    lines = [f"{kind} table of {len(frame)} rows: {', '.join(frame)}"]
    rows = max(MAX_ROWS, count)
    if kind in ("index", "selected", "color"):  # a row for each image
        rows = count
    if kind == "index":
        sizes = frame.groupby(["height", "width"]).size().sort_values(ascending=False)
        for (height, width), images in sizes.head(5).items():
            lines.append(f"{images} images of {height} × {width} pixels")
        lines.append(f"with a label: {(frame['label'] != '').sum()}")
        frame = frame[["image_id", "image", "label"]]
    elif kind == "color":
        frame = frame[["image_id", "target_id"]]
    elif kind == "selected":
        frame = frame.sort_values("confidence", ascending=False, kind="stable")
    return lines + _table(frame.head(rows), more=len(frame) - rows)


def _read_csv(path: Path) -> tuple[pd.DataFrame, str]:
    """A table and its kind, which its columns tell; checked if it is one of ours."""
    frame = tables.read_csv(path, texts=[])
    for kind, columns in contract.TABLES.items():
        if set(columns) <= set(frame):
            return tables.read_table(path, kind), kind
    if set(SUMMARY) <= set(frame):
        return tables.read_summary(path).reset_index(), "summary"
    return frame, "unknown"


def _describe_scores(path: Path) -> list[str]:
    content = scores.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        raise BadInput(f"{path}: it has no classes; give a file of evaluate or measure")
    numbers = []
    for name in ("images", "miou", "coverage", "accuracy"):
        if content.get(name) is not None:
            numbers.append(f"{name} {content[name]:.4g}")
    columns = {"class": content["classes"]}
    for name in ("iou", "precision", "class_share"):
        if isinstance(content.get(name), list):
            columns[name] = _percent(np.array(content[name], float))
    return [f"{content.get('format')}: {', '.join(numbers)}", *_table(pd.DataFrame(columns))]


def _describe_model(path: Path) -> list[str]:
    from cotrain.networks import checkpoint  # torch takes seconds

    content = checkpoint.read(path)
    model = content["model"]
    classes = content["classes"]
    numbers = sum(tensor.numel() for tensor in content["state"].values())
    lines = [
        f"model: {model['architecture']}, encoder {model['encoder']}, built by {content['built_by']}",
        f"{numbers:,} numbers, {path.stat().st_size / 1e6:.1f} MB",
        f"{len(classes)} classes: {', '.join(classes)}",
    ]
    settings = content["provenance"].get("settings", {})
    for name in SETTINGS_OF_TRAINING:
        if settings.get(name) is not None:
            lines.append(f"trained with {name}: {settings[name]}")
    return lines
