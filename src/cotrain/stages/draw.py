"""Draws the candidate images of a cycle, without replacement (Sect. III-A: N images of X^u)."""

from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.files import tables
from cotrain.settings.pseudolabels import Draw


def run(
    settings: Draw,
    index: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
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
