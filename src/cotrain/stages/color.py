"""Draws a target image for each source image and stores the CIELAB statistics of both (Sect. IV)."""

from functools import cache
from pathlib import Path

import numpy as np

from cotrain.base.progress import progress
from cotrain.base.seeds import seed_of
from cotrain.data import images
from cotrain.files import contract, tables
from cotrain.method import color
from cotrain.settings.source import Color


def run(settings: Color, source: Path, target: Path, out: Path, made_by: dict) -> None:
    sources, targets = tables.read_table(source, "index"), tables.read_table(target, "index")
    drawn = _draw(sources["image_id"].tolist(), settings.join, len(targets), settings.seed)
    columns = list(contract.TABLES["color"])[2:]

    @cache
    def target_statistics(i: int) -> np.ndarray:
        return color.lab_statistics(images.read_image(targets["image"][i], settings.target_size))

    rows = []
    for i, row in progress(enumerate(sources.itertuples()), "color alignment", "image", len(sources)):
        own = color.lab_statistics(images.read_image(row.image, settings.source_size))
        moments = np.concatenate([own, target_statistics(int(drawn[i]))])
        ids = {"image_id": row.image_id, "target_id": targets["image_id"][drawn[i]]}
        rows.append(ids | dict(zip(columns, moments, strict=True)))
    tables.write_table(out, "color", rows, made_by)


def _draw(ids: list[str], parts: tuple[str, ...], targets: int, seed: int) -> np.ndarray:
    """A target image for each source image, (N,); those of one of several sources do not depend on the others."""
    drawn = np.zeros(len(ids), int)
    for part in parts or ("",):
        own = [i for i, image_id in enumerate(ids) if not part or image_id.startswith(f"{part}/")]
        rng = np.random.default_rng(seed_of(seed, part) if part else seed)
        drawn[own] = rng.integers(targets, size=len(own))
    return drawn
