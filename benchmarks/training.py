"""What a training costs beside its bare steps: `python benchmarks/training.py [CASE …]` prints a Markdown table.

The stage `train` of a self-training cycle (decoding, LAB alignment, zoom, crop, flip, collage, steps, loss, restart
files) against forward, backward and step of the same model on a batch that is in memory, in turns. Starts, of both, are
not counted. Without cache, as in a first epoch, each image is decoded when it is wanted.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from common import MADE_BY, ratio, scenes, seconds, table

from cotrain import models, pseudolabels, store, toycity, training
from cotrain.settings import Color, Train, parse
from cotrain.stages import color, train

CLASSES = toycity.CLASSES


class Case(NamedTuple):
    size: tuple[int, int]
    crop: tuple[int, int]
    photograph: str
    images: int
    steps: int
    batch: int = 8


CASES = {
    "toycity, 96×192": Case((96, 192), (96, 192), "png", 64, 24),
    "IDD-lite, 128×176": Case((128, 176), (128, 176), "jpg", 64, 16),
    "Cityscapes, 1024×2048 PNG, crops 512×1024": Case((1024, 2048), (512, 1024), "png", 12, 3, 4),
    "Cityscapes, 1024×2048 JPEG, crops 512×1024": Case((1024, 2048), (512, 1024), "jpg", 12, 3, 4),
}


def inputs(folder: Path, case: Case) -> dict[str, Path]:
    """Index tables, colour table, pseudo-labels (the truth, a third of it void) and thresholds of rendered scenes."""
    source, target = (scenes(folder, look, case.images, case.size, case.photograph) for look in ("rendered", "camera"))
    files = {name: folder / name for name in ("color.csv", "labels.h5", "thresholds.csv")}
    sizes = {"source_size": case.size, "target_size": case.size}
    color.run(parse(Color, sizes, "color"), source, target, files["color.csv"], MADE_BY)
    rows, count = store.read_table(target, "index"), len(CLASSES)
    ids = rows["image_id"].tolist()
    rng = np.random.default_rng(0)
    with store.create_pseudolabels(files["labels.h5"], CLASSES, ids, [""] * len(ids), case.size, MADE_BY) as write:
        for i in range(len(ids)):
            label = toycity.render(0, i, "camera", *case.size)[1]
            void = rng.random((8, 8)).repeat(case.size[0] // 8, 0).repeat(case.size[1] // 8, 1) < 1 / 3
            label = np.where(void, pseudolabels.VOID, label)
            write(i, label, pseudolabels.image_statistics(label, np.full(label.shape, 60000, np.uint16), count))
    thresholds = rng.uniform(0.5, 0.9, count)
    rows = [
        {"class": c, "name": name, "pixels": 1, "portion": 0.5, "threshold": thresholds[c]}
        for c, name in enumerate(CLASSES)
    ]
    store.write_table(files["thresholds.csv"], "thresholds", rows, MADE_BY)
    paths = {"source": source, "target": target, "color": files["color.csv"]}
    return paths | {"pseudolabels": files["labels.h5"], "thresholds": files["thresholds.csv"]}


def settings_of(case: Case, cache: int, threads: int, steps: int) -> Train:
    values = {"classes": CLASSES, "values": {str(c): c for c in range(len(CLASSES))} | {"255": 255}}
    chosen = {"model": {"architecture": "FPN"}, "optimizer": {"name": "adamw"}, "device": "cpu", "threads": threads}
    chosen |= {"source": values, "source_size": case.size, "target_size": case.size, "batch": case.batch}
    chosen |= {"augmentation": {"crop": case.crop}, "course": {"steps": steps, "learning_rate": 1e-4}}
    return parse(Train, chosen | {"target_share": 0.5, "collage_share": 0.5, "cache_mb": cache}, "train")


class Loop:
    """`training.train` timed, from its first batch to its last step."""

    def __init__(self):
        self.loop, self.seconds = training.train, 0.0
        training.train = self

    def __call__(self, *arguments) -> None:
        self.seconds = seconds(lambda: self.loop(*arguments))


def stage(loop: Loop, settings: Train, paths: dict[str, Path], folder: Path) -> float:
    """Seconds of the loop of a whole stage."""
    train.run(settings, out=folder / "model.pt", made_by=MADE_BY, restart=folder / "restart.pt", **paths)
    return loop.seconds


def bare(loop: Loop, settings: Train) -> float:
    """Seconds of as many steps on one batch that is in memory."""
    models.prepare(settings.threads)
    torch.manual_seed(0)
    model = models.build(settings.model, settings.source.classes)
    optimizer = training.make_optimizer(model, settings.optimizer, 1e-4)
    scheduler = training.SCHEDULES[settings.course.schedule](optimizer, settings.course.steps)
    height, width = settings.augmentation.crop
    images = torch.randint(0, 256, (settings.batch, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.randint(0, len(CLASSES), (settings.batch, height, width), dtype=torch.uint8)
    loop(model, [(images, labels)] * settings.course.steps, optimizer, scheduler, lambda _: None, lambda _: None)
    return loop.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", choices=[*CASES, []])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    loop, rows = Loop(), []
    for name in arguments.cases:
        case = CASES[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            paths = inputs(folder, case)
            for kind, cache in (("not cached", 0), ("cached", 10_000)):
                settings = settings_of(case, cache, arguments.threads, case.steps)
                pairs = [
                    (stage(loop, settings, paths, folder), bare(loop, settings)) for _ in range(1 + arguments.turns)
                ][1:]
                whole, steps = zip(*pairs, strict=True)
                pace = [f"{case.steps * case.batch / median(some):.1f}" for some in (whole, steps)]
                rows.append((f"{name}, {kind}", *pace, f"{ratio(steps, whole):.2f}"))
    table(("training", "images/s of the stage", "of bare steps", "stage ÷ bare"), rows)


if __name__ == "__main__":
    main()
