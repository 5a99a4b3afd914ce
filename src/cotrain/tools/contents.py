"""What is in a file of ours, for people: lines of text, and its maps as pictures."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.data.colors import Color, colorize, default_colors
from cotrain.files import contract, hdf5, scores, tables
from cotrain.files.sidecars import kept
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.settings.types import SUMMARY

ROWS = 20  # of a table that is shown from its head

Pictures = dict[str, Callable[[], np.ndarray]]  # name → how to make it, (H, W, 3) uint8


class Exhibit(NamedTuple):
    lines: list[str]
    pictures: Pictures


def of(path: Path, count: int, colors: dict[str, Color]) -> Exhibit:
    """`count` images are listed and pictured; `colors` of classes, the others have colours of their own."""
    try:
        head = path.open("rb").read(8)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); give one of cotrain's files") from None
    if head.startswith(b"\x89HDF"):
        found = _hdf5(path, count, colors)
    elif head.startswith(b"PK"):
        found = _tensors(path)
    elif path.suffix == ".json":
        found = _json(path)
    elif path.suffix == ".csv":
        found = _csv(path, count)
    else:
        raise BadInput(f"{path}: not a file that can be shown; give an HDF5, CSV, JSON or model file of cotrain")
    return Exhibit([*found.lines, *_making(path)], found.pictures)


def _making(path: Path) -> list[str]:
    made = (kept(path) or {}).get("provenance")
    return ["", f"made by cotrain {made['stage']}; more: cotrain explain {path}"] if made else []


def _table(frame: pd.DataFrame, more: int = 0) -> list[str]:
    """Its lines; numbers as they are, nothing for what is not known."""
    text = frame.to_string(index=False, na_rep="", max_colwidth=60, float_format=lambda value: f"{value:.4g}")
    return ["", *text.splitlines(), *([f"… and {more} more"] if more > 0 else [])]


def _percent(values: Sequence[float]) -> list[str]:
    return ["" if np.isnan(value) else f"{100 * value:.1f} %" for value in np.asarray(values, float)]


def _shares(pixels: np.ndarray) -> np.ndarray:
    return pixels / max(1, pixels.sum())


# ---- HDF5 -------------------------------------------------------------------------------------------------------


def _hdf5(path: Path, count: int, colors: dict[str, Color]) -> Exhibit:
    with hdf5.open_hdf5(path) as file:
        kind = file.format.removeprefix("cotrain-")
    shown = {
        "predictions": _predictions,
        "pseudolabels": _pseudolabels,
        "statistics": _statistics,
        "pictures": _evaluated,
    }
    if kind not in shown:
        raise BadInput(f"{path}: {kind} cannot be shown; give predictions, pseudo-labels, statistics or pictures")
    with hdf5.open_hdf5(path, kind) as file:
        default = default_colors(len(file.classes))
        palette = [colors.get(name, color) for name, color in zip(file.classes, default, strict=True)]
        return shown[kind](path, file, count, palette)


def _predictions(path: Path, file: hdf5.Contents, count: int, colors: list[Color]) -> Exhibit:
    ids, (_, keep, height, width) = hdf5.image_ids(file), file["label"].shape
    histogram = file["histogram"][:]
    pixels = histogram.sum(axis=1)
    mean = np.divide(
        histogram @ np.arange(SCALE + 1), pixels * SCALE, out=np.full(len(pixels), np.nan), where=pixels > 0
    )
    classes = {"class": file.classes, "pixels": pixels, "share": _percent(_shares(pixels)), "mean confidence": mean}
    lines = [f"predictions of {len(ids)} images of {height} × {width} pixels, the {keep} most probable of each pixel's"]
    lines[0] += f" {len(file.classes)} classes"
    pictures: Pictures = {}
    for i, name in enumerate(ids[:count]):
        pictures[f"{name}_label"] = _map(path, "label", (i, 0), colors)
        pictures[f"{name}_confidence"] = _confidence(path, i)
    return Exhibit([*lines, *_table(pd.DataFrame(classes)), *_listed("first images", ids, count)], pictures)


def _pseudolabels(path: Path, file: hdf5.Contents, count: int, colors: list[Color]) -> Exhibit:
    ids, (_, height, width) = hdf5.image_ids(file), file["label"].shape
    confidence, pixels, of_class = (file[name][:] for name in ("confidence", "class_pixels", "class_confidence"))
    rounds = pd.Series(file["round"].asstr()[:]).value_counts(sort=False)
    labelled = pixels.sum(axis=1) / (height * width)
    images = (pixels > 0).sum(axis=0)
    mean = np.divide(
        np.nansum(of_class * pixels, axis=0), pixels.sum(axis=0), out=np.full(len(images), np.nan), where=images > 0
    )
    classes = {
        "class": file.classes,
        "images": images,
        "pixels": pixels.sum(axis=0),
        "share": _percent(_shares(pixels.sum(axis=0))),
        "mean confidence": mean,
    }
    coverage = labelled.mean() if len(ids) else np.nan
    lines = [f"pseudo-labels of {len(ids)} images of {height} × {width} pixels, {len(file.classes)} classes"]
    lines += [f"coverage: {_percent([coverage])[0] or 'none'} of the pixels have a label"]
    lines += [f"round {name or 'not said'}: {number} images" for name, number in rounds.items()]
    best = np.argsort(-confidence, kind="stable")[:count]
    top = {
        "most confident images": [ids[i] for i in best],
        "confidence": confidence[best],
        "labelled": _percent(labelled[best]),
    }
    pictures = {f"{ids[i]}_label": _map(path, "label", int(i), colors) for i in best}
    more = len(ids) - len(best)
    return Exhibit([*lines, *_table(pd.DataFrame(classes)), *_table(pd.DataFrame(top), more)], pictures)


def _statistics(path: Path, file: hdf5.Contents, count: int, _: list[Color]) -> Exhibit:
    ids, pixels = hdf5.image_ids(file), file["class_pixels"][:]
    total = pixels.sum(axis=0)
    classes = {"class": file.classes, "images": (pixels > 0).sum(axis=0), "pixels": total}
    classes["share"] = _percent(_shares(total))
    lines = [f"class counts of {len(ids)} images, {len(file.classes)} classes"]
    pictures: Pictures = {}
    if "prior" in file:
        lines += [f"spatial prior of {' × '.join(map(str, file['prior'].shape[1:]))} pixels"]
        pictures = {f"prior_{name}": _grey(path, "prior", c) for c, name in enumerate(file.classes)}
    return Exhibit([*lines, *_table(pd.DataFrame(classes)), *_listed("first images", ids, count)], pictures)


def _evaluated(path: Path, file: hdf5.Contents, count: int, colors: list[Color]) -> Exhibit:
    ids = hdf5.image_ids(file)
    lines = [f"predictions and truth of {len(ids)} images, {len(file.classes)} classes: {', '.join(file.classes)}"]
    kinds = ("prediction", "truth")
    pictures = {f"{name}_{kind}": _map(path, f"{kind}/{name}", (), colors) for name in ids[:count] for kind in kinds}
    return Exhibit([*lines, *_listed("images", ids, count)], pictures)


def _listed(title: str, ids: list[str], count: int) -> list[str]:
    more = [f"… and {len(ids) - count} more"] if len(ids) > count else []
    return ["", f"{title}:", *(f"  {name}" for name in ids[:count]), *more]


def _read(path: Path, name: str, place: object) -> np.ndarray:
    with hdf5.open_hdf5(path) as file:
        return file[name][place]


def _map(path: Path, name: str, place: object, colors: list[Color]) -> Callable[[], np.ndarray]:
    return lambda: colorize(_read(path, name, place), colors)


def _confidence(path: Path, i: int) -> Callable[[], np.ndarray]:
    return lambda: _as_grey(_read(path, "confidence", (i, 0)) / SCALE)


def _grey(path: Path, name: str, place: object) -> Callable[[], np.ndarray]:
    def picture() -> np.ndarray:
        values = _read(path, name, place)
        return _as_grey(values / max(float(values.max()), 1e-9))

    return picture


def _as_grey(shares: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(shares * VOID).astype(np.uint8)[..., None], 3, axis=2)


# ---- tables, JSON, models ---------------------------------------------------------------------------------------


def _csv(path: Path, count: int) -> Exhibit:
    frame = tables.read_csv(path, [])
    kind = next((name for name, columns in contract.TABLES.items() if {*columns} <= {*frame}), None)
    if kind:
        frame = tables.read_table(path, kind)
    elif {*SUMMARY} <= {*frame}:
        kind, frame = "summary", tables.read_summary(path).reset_index()
    lines = [f"{kind or 'unknown'} table of {len(frame)} rows: {', '.join(frame)}"]
    if kind == "index":
        sizes = frame.groupby(["height", "width"]).size().sort_values(ascending=False)
        lines += [f"{n} images of {height} × {width} pixels" for (height, width), n in sizes.head(5).items()]
        lines += [f"with a label: {(frame['label'] != '').sum()}"]
    if kind == "selected":
        frame = frame.sort_values("confidence", ascending=False, kind="stable")
    rows = count if kind in ("index", "selected", "color") else max(ROWS, count)
    if kind in ("index", "color"):
        frame = frame[["image_id", *(["image", "label"] if kind == "index" else ["target_id"])]]
    return Exhibit([*lines, *_table(frame.head(rows), len(frame) - rows)], {})


def _json(path: Path) -> Exhibit:
    content = scores.read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("classes"), list):
        raise BadInput(f"{path}: it has no classes; give a file of evaluate or measure")
    columns = {k: v for k in ("iou", "precision", "class_share") if isinstance(v := content.get(k), list)}
    known = {k: v for k, v in content.items() if k in ("images", "miou", "coverage", "accuracy") and v is not None}
    lines = [f"{content.get('format')}: " + ", ".join(f"{k} {v:.4g}" for k, v in known.items())]
    table = {"class": content["classes"]}
    table |= {k: _percent([np.nan if x is None else x for x in v]) for k, v in columns.items()}
    return Exhibit([*lines, *_table(pd.DataFrame(table))], {})


def _tensors(path: Path) -> Exhibit:
    from cotrain.networks import checkpoint  # torch takes seconds

    content = checkpoint.read(path)
    model, made = content["model"], content["provenance"].get("settings", {})
    state = content["state"].values()
    lines = [
        f"model: {model['architecture']}, encoder {model['encoder']}, built by {content['built_by']}",
        f"{sum(tensor.numel() for tensor in state):,} numbers, {path.stat().st_size / 1e6:.1f} MB",
        f"{len(content['classes'])} classes: {', '.join(content['classes'])}",
    ]
    said = {key: made[key] for key in ("name", "source_size", "target_size", "batch", "seed", "course") if key in made}
    return Exhibit([*lines, *(f"trained with {key}: {value}" for key, value in said.items() if value is not None)], {})


def written(exhibit: Exhibit, folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    """Path and pixels of each picture, one at a time."""
    for name, picture in exhibit.pictures.items():
        yield folder / f"{name}.png", picture()
