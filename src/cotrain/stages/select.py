"""Keeps the most confident pseudo-labelled images (Sect. III-A: the n best of N)."""

from pathlib import Path

from cotrain.files import hdf5, tables
from cotrain.method.selection import select
from cotrain.settings.pseudolabels import Select


def run(settings: Select, pseudolabels: Path, out: Path, made_by: dict) -> None:
    with hdf5.open_hdf5(pseudolabels, "pseudolabels") as file:
        ids, confidence = hdf5.image_ids(file), file["confidence"][:]
    rows = [
        {"image_id": ids[i], "confidence": confidence[i], "reason": f"rank {rank}"}
        for rank, i in enumerate(select(confidence, ids, settings.count or len(ids)), start=1)
    ]
    tables.write_table(out, "selected", rows, made_by)
