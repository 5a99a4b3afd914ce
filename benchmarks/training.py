"""What a training costs beside its bare steps: `python benchmarks/training.py [CASE …]` prints a Markdown table.

The stage `train` of a self-training cycle (decoding, LAB alignment, zoom, crop, flip, collage, steps, loss, logs,
restart files) against forward, backward and step of the same model on a batch that is in memory, in turns. Starts, of
both, are not counted. Without cache, as in a first epoch, each image is decoded when it is wanted. The last column sets
the bare step against a loop as one writes it first: 32-bit floats, channels first, an optimizer that is not fused. On a
GPU the cases are the paper's network and SegFormer on Cityscapes' sizes, and stage ÷ bare is the share of the time in
which the GPU computes.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import torch
from common import MADE_BY, Busy, ratio, scenes, seconds, table
from torch.nn import functional

from cotrain.files import labelfiles, tables
from cotrain.method import labelmaps
from cotrain.networks import build, devices, segmenter
from cotrain.networks.heads import HeadedSegmenter
from cotrain.settings.source import Color
from cotrain.settings.strict import parse
from cotrain.settings.training import Train
from cotrain.stages import color, train
from cotrain.toycity import streets
from cotrain.training import loop, optimizers
from cotrain.training.batches import batch_of
from cotrain.training.objectives import Objectives

CLASSES = streets.CLASSES


class Case(NamedTuple):
    size: tuple[int, int]
    crop: tuple[int, int]
    photograph: str
    images: int
    steps: int
    batch: int = 8
    model: dict = {"architecture": "FPN"}  # noqa: RUF012
    caches: tuple[int, ...] = (0, 10_000)  # MB
    compile: bool = False
    on_device: bool = False  # augmentation and collage


CASES = {
    "toycity, 96×192": Case((96, 192), (96, 192), "png", 64, 96),
    "IDD-lite, 128×176": Case((128, 176), (128, 176), "jpg", 64, 64),
    "Cityscapes, 1024×2048 PNG, crops 512×1024": Case((1024, 2048), (512, 1024), "png", 12, 6, 4, caches=(0,)),
    "Cityscapes, 1024×2048 JPEG, crops 512×1024": Case((1024, 2048), (512, 1024), "jpg", 12, 6, 4, caches=(0,)),
}
STREETS = Case((1024, 2048), (512, 1024), "jpg", 40, 60, 4)
DEEPLAB = STREETS._replace(model={"encoder": "resnet101", "weights": None})
SEGFORMER = STREETS._replace(model={"architecture": "Segformer", "encoder": "mit_b2", "weights": None}, caches=(0,))
GPU_CASES = {
    "DeepLabV3+, ResNet-101": DEEPLAB,
    "DeepLabV3+, ResNet-101, compiled": DEEPLAB._replace(caches=(0,), compile=True),
    "DeepLabV3+, ResNet-101, augmented on the GPU": DEEPLAB._replace(caches=(0,), on_device=True),
    "SegFormer, MiT-B2": SEGFORMER,
    "SegFormer, MiT-B2, compiled": SEGFORMER._replace(compile=True),
}
PLAIN_STEPS = 10


def inputs(folder: Path, case: Case) -> dict[str, Path]:
    """Index tables, colour table, pseudo-labels (the truth, a third of it void) and thresholds of rendered scenes."""
    source, target = (scenes(folder, look, case.images, case.size, case.photograph) for look in ("rendered", "camera"))
    files = {name: folder / name for name in ("color.csv", "labels.h5", "thresholds.csv")}
    sizes = {"source_size": case.size, "target_size": case.size}
    color.run(parse(Color, sizes, "color"), source, target, files["color.csv"], MADE_BY)
    rows, count = tables.read_table(target, "index"), len(CLASSES)
    ids = rows["image_id"].tolist()
    rng = np.random.default_rng(0)
    with labelfiles.create_pseudolabels(files["labels.h5"], CLASSES, ids, [""] * len(ids), case.size, MADE_BY) as write:
        for i in range(len(ids)):
            label = streets.render(0, i, "camera", *case.size)[1]
            void = rng.random((8, 8)).repeat(case.size[0] // 8, 0).repeat(case.size[1] // 8, 1) < 1 / 3
            label = np.where(void, labelmaps.VOID, label)
            write(i, label, labelmaps.image_statistics(label, np.full(label.shape, 60000, np.uint16), count))
    thresholds = rng.uniform(0.5, 0.9, count)
    rows = [
        {"class": c, "name": name, "pixels": 1, "portion": 0.5, "threshold": thresholds[c]}
        for c, name in enumerate(CLASSES)
    ]
    tables.write_table(files["thresholds.csv"], "thresholds", rows, MADE_BY)
    paths = {"source": source, "target": target, "color": files["color.csv"]}
    return paths | {"pseudolabels": files["labels.h5"], "thresholds": files["thresholds.csv"]}


def settings_of(case: Case, cache: int, threads: int, device: str) -> Train:
    values = {"classes": CLASSES, "values": {str(c): c for c in range(len(CLASSES))} | {"255": 255}}
    chosen = {"model": case.model, "optimizer": {"name": "adamw"}, "device": device, "threads": threads}
    chosen |= {
        "source": values,
        "source_size": case.size,
        "target_size": case.size,
        "batch": case.batch,
        "compile": case.compile,
    }
    chosen |= {"augmentation": {"crop": case.crop, "on_device": case.on_device}}
    chosen |= {"course": {"steps": case.steps, "learning_rate": 1e-4}}
    return parse(Train, chosen | {"target_share": 0.5, "collage_share": 0.5, "cache_mb": cache}, "train")


def finished() -> None:
    """Waits for what a GPU has been given to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


class Loop:
    """`training.train` timed: seconds of a step, from the end of the first, for which a network may be compiled."""

    def __init__(self):
        self.loop, self.seconds = loop.train, 0.0
        self.gpu, self.busy = Busy(), None  # share of that time
        loop.train = self

    def __call__(self, model, objectives, batches, optimizer, scheduler, report, after_step, *more, **options) -> None:
        ends = []

        def told(done: int) -> None:
            if not ends:
                finished()
                self.gpu.start()
            ends.append(time.perf_counter())
            after_step(done)

        self.loop(model, objectives, batches, optimizer, scheduler, report, told, *more, **options)
        finished()
        self.seconds = (time.perf_counter() - ends[0]) / (len(ends) - 1)
        self.busy = self.gpu.stop()


def stage(loop: Loop, settings: Train, paths: dict[str, Path], folder: Path) -> tuple[float, float | None]:
    """Seconds of a step in a whole stage, and the share of them in which a GPU computes."""
    paths = paths | {"out": folder / "model.pt", "restart": folder / "restart.pt", "tensorboard": folder / "log"}
    train.run(settings, made_by=MADE_BY, **paths)
    return loop.seconds, loop.busy


def in_memory(settings: Train, device: torch.device) -> tuple[segmenter.Segmenter, torch.Tensor, torch.Tensor]:
    """The model, and images and labels of one batch."""
    devices.prepare(settings.threads)
    torch.manual_seed(0)
    model = build.build(settings.model, settings.source.classes).to(device)
    height, width = settings.augmentation.crop
    images = torch.randint(0, 256, (settings.batch, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.randint(0, len(CLASSES), (settings.batch, height, width), dtype=torch.uint8)
    return model, images.to(device), labels.to(device)


def bare(loop: Loop, settings: Train, device: torch.device) -> float:
    """Seconds of a step on one batch that is in memory."""
    model, images, labels = in_memory(settings, device)
    trained = HeadedSegmenter(model)
    objectives = Objectives(settings.objectives, trained)
    optimizer = optimizers.make_optimizer(trained, settings.optimizer, 1e-4)
    scheduler = optimizers.SCHEDULES[settings.course.schedule](optimizer, settings.course.steps)
    batch = batch_of(0, images, labels)
    steps = [batch._replace(step=step) for step in range(settings.course.steps)]
    loop(trained, objectives, steps, optimizer, scheduler, lambda *_: None, lambda _: None, compiled=settings.compile)
    return loop.seconds


def plain(settings: Train, device: torch.device) -> float:
    """Seconds of a step of a loop without any of our care."""
    model, images, labels = in_memory(settings, device)
    model.to(memory_format=torch.contiguous_format).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False)
    images, labels = images.contiguous(), labels.long()

    def steps() -> None:
        for _ in range(min(PLAIN_STEPS, settings.course.steps)):
            optimizer.zero_grad()
            functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
        finished()

    return seconds(steps) / min(PLAIN_STEPS, settings.course.steps)


def main() -> None:
    device = devices.device_of("auto")
    cases = GPU_CASES if device.type == "cuda" else CASES
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", default=[], metavar="CASE", choices=[*cases, []])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, help="processes that make batches; as a training chooses without")
    arguments = parser.parse_args()
    loop, rows = Loop(), []
    for name in arguments.cases or cases:
        case = cases[name]
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            paths = inputs(folder, case)
            for cache in case.caches:
                settings = settings_of(case, cache, arguments.threads, device.type)
                settings = settings.model_copy(update={"workers": arguments.workers})
                turns = [
                    (*stage(loop, settings, paths, folder), bare(loop, settings, device), plain(settings, device))
                    for _ in range(1 + arguments.turns)
                ][1:]
                whole, busy, steps, others = zip(*turns, strict=True)
                pace = [f"{case.batch / median(some):.1f}" for some in (whole, steps, others)]
                kind = "cached" if cache else "not cached"
                rows.append((f"{name}, {kind}", *pace, f"{ratio(steps, whole):.2f}", f"{ratio(others, steps):.2f}"))
                if None not in busy:
                    rows[-1] += (f"{median(busy):.2f}",)
    header = ("training", "images/s of the stage", "of bare steps", "of a plain loop", "stage ÷ bare", "bare ÷ plain")
    table(header + ("GPU busy",) * (len(rows[0]) - len(header)), rows)


if __name__ == "__main__":
    main()
