"""Selects the images that each model receives from the other models (Algorithm 2, for every receiver)."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, members
from cotrain.files.tables import read_table, write_table
from cotrain.method.exchange import Candidates, Received, exchange
from cotrain.settings.pseudolabels import Exchange

if TYPE_CHECKING:  # pandas is slow to import; read_table imports it
    import pandas as pd


def run(
    settings: Exchange,
    pseudolabels: Annotated[list[Path], READ],
    thresholds: Annotated[list[Path], READ],
    out: Annotated[list[Path], WRITE],
    made_by: dict,
) -> None:
    """Each flag takes one file per model, two or more, in the same order.

    The i-th `--out` lists the images that model i receives, with pseudo-labels of another model. With more than two
    models, its column `model` says which.
    """
    members.check_one_per_model(pseudolabels=pseudolabels, thresholds=thresholds, out=out)
    tables = [read_table(path, "thresholds") for path in thresholds]
    with ExitStack() as stack:
        files = [stack.enter_context(hdf5.open_hdf5(path, "pseudolabels")) for path in pseudolabels]
        members.check_same_images(files)
        ids = hdf5.image_ids(files[0])
        classes = files[0].classes
        _check_classes(thresholds, tables, files[0])
        models = [_candidates(file, table) for file, table in zip(files, tables, strict=True)]

    kind = "selected" if len(models) == 2 else "received"
    for receiver, path in enumerate(out):
        images = exchange(
            ids,
            models,
            receiver,
            count=settings.count,
            lambda_=settings.lambda_,
            rank_by=settings.rank_by,
            min_class_fraction=settings.min_class_fraction,
        )
        if len(images) < settings.count:
            _report_shortage(receiver, len(models), len(images), settings.count)
        write_table(path, kind, _rows(ids, classes, models, images), made_by)


def _check_classes(thresholds: list[Path], tables: list["pd.DataFrame"], labels: hdf5.Contents) -> None:
    for path, table in zip(thresholds, tables, strict=True):
        names = tuple(table["name"])
        if names != labels.classes:
            raise BadInput(f"{path}: other classes than {labels.path}; give files of one cycle")


def _candidates(file: hdf5.Contents, table: "pd.DataFrame") -> Candidates:
    pixels = np.prod(file["label"].shape[1:])
    return Candidates(
        confidence=file["confidence"][:],
        class_confidence=file["class_confidence"][:],
        class_fraction=file["class_pixels"][:] / pixels,
        thresholds=table["threshold"].to_numpy(),
    )


def _rows(
    ids: list[str],
    classes: tuple[str, ...],
    models: list[Candidates],
    images: list[Received],
) -> list[dict]:
    """Rows of selected.csv."""
    rows = []
    for position, sender, c in images:
        row = {
            "image_id": ids[position],
            "confidence": models[sender].confidence[position],
            "reason": classes[c],
            "model": sender + 1,
        }
        rows.append(row)
    return rows


def _report_shortage(
    receiver: int,
    models: int,
    received: int,
    count: int,
) -> None:
    """Say that fewer images qualify than a model should receive."""
    senders = [str(model + 1) for model in range(models) if model != receiver]
    subject = f"models {', '.join(senders)} send"
    if len(senders) == 1:
        subject = f"model {senders[0]} sends"
    message = f"{subject} to model {receiver + 1}: {received} of {count} images qualify"
    print(f"exchange: {message}", file=sys.stderr)
