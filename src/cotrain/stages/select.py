"""Keeps the most confident pseudo-labelled images (Sect. III-A: the n best of N)."""

from pathlib import Path
from typing import Annotated

from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, tables
from cotrain.method.selection import select
from cotrain.settings.pseudolabels import Select


def run(
    settings: Select,
    pseudolabels: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
) -> None:
    with hdf5.open_hdf5(pseudolabels, "pseudolabels") as file:
        ids = hdf5.image_ids(file)
        confidence = file["confidence"][:]
    count = settings.count or len(ids)
    rows = []
    for rank, position in enumerate(select(confidence, ids, count), start=1):
        row = {
            "image_id": ids[position],
            "confidence": confidence[position],
            "reason": f"rank {rank}",
        }
        rows.append(row)
    tables.write_table(out, "selected", rows, made_by)
