"""Draws the candidate images of a cycle, without replacement (Sect. III-A: N images of X^u)."""

from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.files import tables
from cotrain.settings.pseudolabels import Draw


def run(settings: Draw, index: Path, out: Path, made_by: dict) -> None:
    rows = tables.read_table(index, "index")
    count = settings.count or len(rows)
    if count > len(rows):
        raise BadInput(f"{index}: {count} candidates are wanted (N) of {len(rows)} images; lower `candidates`")
    drawn = np.sort(np.random.default_rng(settings.seed).choice(len(rows), count, replace=False))
    tables.write_table(out, "index", rows.iloc[drawn].to_dict("records"), made_by)
