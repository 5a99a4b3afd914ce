"""Selects the images that each model receives from the other (Algorithm 2, both directions)."""

import sys
from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.files import hdf5
from cotrain.files.tables import read_table, write_table
from cotrain.method.exchange import exchange
from cotrain.settings.pseudolabels import Exchange


def run(
    settings: Exchange,
    pseudolabels: tuple[Path, Path],
    thresholds: tuple[Path, Path],
    out: tuple[Path, Path],
    made_by: dict,
) -> None:
    """`out[i]` lists what model i will receive: images with the other model's pseudo-labels."""
    tables = [read_table(path, "thresholds") for path in thresholds]
    _check_same_cycle(pseudolabels, thresholds, tables)
    for receiver, sender in ((1, 0), (0, 1)):
        with hdf5.open_hdf5(pseudolabels[sender], "pseudolabels") as file:
            ids, confidence, class_confidence = (
                hdf5.image_ids(file),
                file["confidence"][:],
                file["class_confidence"][:],
            )
            class_fraction = file["class_pixels"][:] / np.prod(file["label"].shape[1:])
        names = tables[sender]["name"]
        sent = exchange(
            ids,
            confidence,
            class_confidence,
            class_fraction,
            tables[sender]["threshold"].to_numpy(),
            tables[receiver]["threshold"].to_numpy(),
            count=settings.count,
            balance=settings.lambda_,
            rank_by=settings.rank_by,
            min_class_fraction=settings.min_class_fraction,
        )
        if len(sent) < settings.count:
            found = f"{len(sent)} of {settings.count} images qualify"
            print(f"exchange: model {sender + 1} sends to model {receiver + 1}: {found}", file=sys.stderr)
        rows = [{"image_id": ids[i], "confidence": confidence[i], "reason": names[c]} for i, c in sent]
        write_table(out[receiver], "selected", rows, made_by)


def _check_same_cycle(pseudolabels: tuple[Path, Path], thresholds: tuple[Path, Path], tables: list) -> None:
    contents = []
    for path in pseudolabels:
        with hdf5.open_hdf5(path, "pseudolabels") as file:
            contents.append((hdf5.image_ids(file), hdf5.classes_of(file)))
    if contents[0] != contents[1]:
        raise BadInput(f"{pseudolabels[1]}: other images or classes than {pseudolabels[0]}; give files of one cycle")
    for path, table in zip(thresholds, tables, strict=True):
        if tuple(table["name"]) != contents[0][1]:
            raise BadInput(f"{path}: other classes than {pseudolabels[0]}; give files of one cycle")
