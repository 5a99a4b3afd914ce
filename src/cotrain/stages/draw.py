"""Draws the candidate images of a cycle, without replacement (Sect. III-A: N images of X^u)."""

from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.files import tables
from cotrain.settings.pseudolabels import Draw


def run(
    settings: Draw,
    index: Path,
    out: Path,
    made_by: dict,
) -> None:
    images = tables.read_table(index, "index")
    count = settings.count or len(images)
    if count > len(images):
        raise BadInput(f"{index}: {count} candidates are wanted (N) of {len(images)} images; lower `candidates`")
    rng = np.random.default_rng(settings.seed)
    drawn = rng.choice(len(images), count, replace=False)
    rows = images.iloc[np.sort(drawn)].to_dict("records")
    tables.write_table(out, "index", rows, made_by)
