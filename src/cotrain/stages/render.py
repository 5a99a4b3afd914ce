"""Renders a folder of toycity scenes with labels: the embedded dataset."""

from pathlib import Path

from PIL import Image

from cotrain.base.progress import progress
from cotrain.files import atomic
from cotrain.settings.source import Render
from cotrain.toycity import streets


def run(settings: Render, out: Path, made_by: dict) -> None:
    height, width = settings.size
    with atomic.replacing(out) as folder:
        for name in ("images", "labels"):
            (folder / name).mkdir(parents=True)
        for i in progress(range(settings.count), f"render {out.name}", "scene"):
            image, label = streets.render(settings.seed, i, settings.look, height, width)
            Image.fromarray(image).save(folder / "images" / f"{i:05d}.png", compress_level=1)
            Image.fromarray(label).save(folder / "labels" / f"{i:05d}.png", compress_level=1)
    atomic.write_sidecar(out, made_by)
