"""Joins the shards of an inference: the bytes are those that one `infer` of all images writes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from cotrain.base import strict_json
from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, labelfiles
from cotrain.files.hashes import sha256
from cotrain.files.ids import check_ids
from cotrain.files.provenance import check_as_made
from cotrain.method.labelmaps import SCALE
from cotrain.settings.inference import Infer


class Part(NamedTuple):
    """A shard by its provenance: the inference in one piece, and which part of it this is."""

    made_by: dict
    number: int
    count: int


class Shape(NamedTuple):
    """What all shards have in common."""

    classes: tuple[str, ...]
    maps: tuple[int, ...]  # (K, H, W)
    largest_total: float  # of a pixel's probabilities


def run(predictions: Annotated[list[Path], READ], out: Annotated[Path, WRITE]) -> None:
    """`--predictions` are all shards, in any order.

    One image is in memory at a time. The result has the provenance of that one `infer`, so the shards can be deleted.
    """
    parts = {path: _part(path) for path in predictions}
    shards = _in_order(predictions, parts)
    shape = _common_shape(shards)
    ids = []
    histogram = np.zeros((len(shape.classes), SCALE + 1), np.int64)
    for path in shards:
        with hdf5.open_hdf5(path, "predictions") as file:
            ids += hdf5.image_ids(file)
            histogram += file["histogram"][:]
    check_ids(ids, shards[0])
    made_by = parts[shards[0]].made_by
    with labelfiles.create_predictions(
        out, shape.classes, ids, shape.maps, shape.largest_total, histogram, made_by
    ) as write:
        for i, maps in enumerate(progress(_maps(shards), f"merge {out.parent.name}", "image", len(ids))):
            write(i, *maps)


def _part(path: Path) -> Part:
    check_as_made(path, sha256(path))
    shard = None
    with hdf5.open_hdf5(path, "predictions") as file, file.blamed():
        made_by = strict_json.from_json(file.attrs["provenance"])
        if made_by["stage"] == "infer":
            shard = Infer.model_validate(made_by["settings"]).shard
    if shard is None:
        raise BadInput(f"{path}: not a shard; give what `cotrain infer` makes with its setting `shard`")
    in_one_piece = made_by | {"settings": made_by["settings"] | {"shard": None}}
    return Part(in_one_piece, shard.number, shard.count)


def _in_order(predictions: list[Path], parts: dict[Path, Part]) -> list[Path]:
    """The shards by number. BadInput unless they are all shards of one inference."""
    first = parts[predictions[0]]
    by_number: dict[int, Path] = {}
    for path in predictions:
        part = parts[path]
        if (part.made_by, part.count) != (first.made_by, first.count):
            raise BadInput(f"{path}: of another inference than {predictions[0]}; give the shards of one")
        if part.number in by_number and by_number[part.number] != path:
            raise BadInput(f"{path}: the same shard as {by_number[part.number]}; give each once")
        by_number[part.number] = path
    missing = [str(number) for number in range(1, first.count + 1) if number not in by_number]
    if missing:
        raise BadInput(f"--predictions: of {first.count} shards, {', '.join(missing)} not given; give all")
    return [by_number[number] for number in sorted(by_number)]


def _common_shape(shards: list[Path]) -> Shape:
    """The shape of all shards. BadInput if they differ."""
    first = _shape(shards[0])
    for path in shards[1:]:
        if _shape(path) != first:
            raise BadInput(f"{path}: other classes, size or models than {shards[0]}; run infer again for both")
    return first


def _shape(path: Path) -> Shape:
    with hdf5.open_hdf5(path, "predictions") as file:
        return Shape(file.classes, file["label"].shape[1:], float(file.attrs.get("total", 1)))


def _maps(shards: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels (K, H, W) uint8 and confidences (K, H, W) uint16 of each image, checked as they are read."""
    for path in shards:
        with hdf5.open_hdf5(path, "predictions") as file:
            labels, confidences = file["label"], file["confidence"]
            for i in range(labels.shape[0]):
                yield labels[i], confidences[i]
