"""Renders a folder of toycity scenes with labels: the embedded dataset."""

from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image

from cotrain.base.progress import progress
from cotrain.base.roles import FOLDER, WRITE
from cotrain.files import atomic
from cotrain.settings.source import Render
from cotrain.toycity import streets


def run(settings: Render, out: Annotated[Path, WRITE | FOLDER], made_by: dict) -> None:
    height, width = settings.size
    with atomic.replacing(out) as folder:
        images = folder / "images"
        labels = folder / "labels"
        images.mkdir(parents=True)
        labels.mkdir()
        for i in progress(range(settings.count), f"render {out.name}", "scene"):
            image, label = streets.render(settings.seed, i, settings.look, height, width)
            _save(images / f"{i:05d}.png", image)
            _save(labels / f"{i:05d}.png", label)
    atomic.write_sidecar(out, made_by)


def _save(path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(path, compress_level=1)
