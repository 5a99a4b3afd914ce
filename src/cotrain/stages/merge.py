"""Joins the shards of an inference: the bytes are those that one `infer` of all images writes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cotrain.base import strict_json
from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.files import hdf5, labelfiles
from cotrain.files.hashes import sha256
from cotrain.files.ids import check_ids
from cotrain.files.provenance import check_as_made
from cotrain.method.labelmaps import SCALE
from cotrain.settings.inference import Infer, Shard


def run(predictions: list[Path], out: Path) -> None:
    """`--predictions` are all shards, in any order.

    One image is in memory at a time. The result has the provenance of that one `infer`, so the shards can be deleted.
    """
    made_by, shards = _making(predictions)
    classes, shape, total = _common(shards)
    ids, histogram = [], np.zeros((len(classes), SCALE + 1), np.int64)
    for path in shards:
        with hdf5.open_hdf5(path, "predictions") as file:
            ids += hdf5.image_ids(file)
            histogram += file["histogram"][:]
    check_ids(ids, shards[0])
    with labelfiles.create_predictions(out, classes, ids, shape, total, histogram, made_by) as write:
        for i, maps in enumerate(progress(_maps(shards), f"merge {out.parent.name}", "image", len(ids))):
            write(i, *maps)


def _maps(shards: list[Path]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Labels (K, H, W) uint8 and confidences (K, H, W) uint16 of each image, checked as they are read."""
    for path in shards:
        with hdf5.open_hdf5(path, "predictions") as file:
            labels, confidences = file["label"], file["confidence"]
            for i in range(labels.shape[0]):
                yield labels[i], confidences[i]


def _common(shards: list[Path]) -> tuple[tuple[str, ...], tuple[int, ...], float]:
    """What the files must have in common: classes, (K, H, W), largest sum of a pixel's probabilities."""
    heads = []
    for path in shards:
        with hdf5.open_hdf5(path, "predictions") as file:
            heads.append((file.classes, file["label"].shape[1:], float(file.attrs.get("total", 1))))
        if heads[-1] != heads[0]:
            raise BadInput(f"{path}: other classes, size or models than {shards[0]}; run infer again for both")
    return heads[0]


def _making(predictions: list[Path]) -> tuple[dict, list[Path]]:
    """Provenance of the inference in one piece, and the shards in order. BadInput unless they are all of them."""
    found: dict[int, Path] = {}
    first = None
    for path in predictions:
        made_by, shard = _shard(path)
        first = first or (made_by, shard.count)
        if (made_by, shard.count) != first:
            raise BadInput(f"{path}: of another inference than {predictions[0]}; give the shards of one")
        if found.setdefault(shard.number, path) != path:
            raise BadInput(f"{path}: the same shard as {found[shard.number]}; give each once")
    if missing := [str(n) for n in range(1, first[1] + 1) if n not in found]:
        raise BadInput(f"--predictions: of {first[1]} shards, {', '.join(missing)} not given; give all")
    return first[0], [found[number] for number in sorted(found)]


def _shard(path: Path) -> tuple[dict, Shard]:
    """Provenance of a shard's inference in one piece, and which shard it is."""
    check_as_made(path, sha256(path))
    with hdf5.open_hdf5(path, "predictions") as file, file.blamed():
        made_by = strict_json.from_json(file.attrs["provenance"])
        shard = Infer.model_validate(made_by["settings"]).shard if made_by["stage"] == "infer" else None
    if shard is None:
        raise BadInput(f"{path}: not a shard; give what `cotrain infer` makes with its setting `shard`")
    return made_by | {"settings": made_by["settings"] | {"shard": None}}, shard
