"""Draws a target image for each source image and stores the CIELAB statistics of both (Sect. IV)."""

from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np

from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.base.seeds import seed_of
from cotrain.data.images import read_image
from cotrain.files import contract, tables
from cotrain.method.color import lab_statistics
from cotrain.settings.source import Color


def run(
    settings: Color,
    source: Annotated[Path, READ],
    target: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
) -> None:
    sources = tables.read_table(source, "index")
    targets = tables.read_table(target, "index")
    source_ids = sources["image_id"].tolist()
    drawn = _draw(source_ids, settings.join, len(targets), settings.seed)

    @cache  # a target image may be drawn more than once
    def target_statistics(target: int) -> np.ndarray:
        return lab_statistics(read_image(targets["image"][target], settings.target_size))

    rows = []
    paths = progress(sources["image"], "color alignment", "image", len(sources))
    for source_id, path, target in zip(source_ids, paths, drawn.tolist(), strict=True):
        source_statistics = lab_statistics(read_image(path, settings.source_size))
        moments = np.concatenate([source_statistics, target_statistics(target)])
        row = {"image_id": source_id, "target_id": targets["image_id"][target]}
        row |= zip(contract.MOMENTS, moments, strict=True)
        rows.append(row)
    tables.write_table(out, "color", rows, made_by)


def _draw(ids: list[str], parts: tuple[str, ...], targets: int, seed: int) -> np.ndarray:
    """A target image for each source image, (N,); those of one of several sources do not depend on the others."""
    drawn = np.zeros(len(ids), int)
    if not parts:
        rng = np.random.default_rng(seed)
        drawn[:] = rng.integers(targets, size=len(ids))
        return drawn
    for part in parts:
        own = [i for i, image_id in enumerate(ids) if image_id.startswith(f"{part}/")]
        rng = np.random.default_rng(seed_of(seed, part))
        drawn[own] = rng.integers(targets, size=len(own))
    return drawn
