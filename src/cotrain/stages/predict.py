"""Labels a person's own images: class PNGs and colour overlays."""

from pathlib import Path

import torch
from PIL import Image

from cotrain import datasets, figures, inference, models, store
from cotrain.errors import BadInput
from cotrain.progress import progress
from cotrain.settings import Predict


def run(settings: Predict, model: list[Path], images: list[Path], out: Path) -> None:
    """Writes NAME.png (classes) and NAME_overlay.jpg into the folder `out` for each image NAME.*."""
    models.prepare(settings.threads)
    device = models.device_of(settings.device)
    classes = models.load(model[0], trust=settings.trust).classes
    loaded = [models.load(path, classes, settings.trust).to(device) for path in model]
    probabilities = inference.ensemble(loaded)
    if twice := {p.stem for p in images if sum(q.stem == p.stem for q in images) > 1}:
        raise BadInput(f"{min(twice)}: several images have this name; predict them into different folders")
    default = figures.default_colors(len(classes))
    colors = [settings.colors.get(name, color) for name, color in zip(classes, default, strict=True)]
    for path in progress(images, "predict", "image"):
        photograph = datasets.read_image(path)
        sized = datasets.read_image(path, settings.size)
        p = probabilities(torch.from_numpy(sized).permute(2, 0, 1)[None])[0]
        label = inference.resized_labels(p, photograph.shape[:2])
        shaded = figures.overlay(photograph, label, colors, settings.opacity)
        with store.replacing(out / f"{path.stem}.png") as temporary:
            Image.fromarray(label).save(temporary, format="PNG")
        with store.replacing(out / f"{path.stem}_overlay.jpg") as temporary:
            Image.fromarray(shaded).save(temporary, format="JPEG", quality=92)
