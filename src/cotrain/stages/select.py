"""Keeps the most confident pseudo-labelled images (Sect. III-A: the n best of N)."""

from pathlib import Path

from cotrain.files import store
from cotrain.method.pseudolabels import select
from cotrain.settings.stages import Select


def run(settings: Select, pseudolabels: Path, out: Path, made_by: dict) -> None:
    with store.open_hdf5(pseudolabels, "pseudolabels") as file:
        ids, confidence = store.image_ids(file), file["confidence"][:]
    rows = [
        {"image_id": ids[i], "confidence": confidence[i], "reason": f"rank {rank}"}
        for rank, i in enumerate(select(confidence, ids, settings.count or len(ids)), start=1)
    ]
    store.write_table(out, "selected", rows, made_by)
