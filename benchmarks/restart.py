"""What restart files cost: `python benchmarks/restart.py` prints a table.

The file of each model is written as a training writes it, some times over, and the median is set against the interval
of the default config. A write holds the training up, so this is the share of training time.
"""

import statistics
import tempfile
import time
from pathlib import Path

import torch

from cotrain.networks import build
from cotrain.networks.heads import HeadedSegmenter
from cotrain.settings.config import Training
from cotrain.settings.model import Model
from cotrain.settings.training import Optimizer, Train
from cotrain.training import loop, optimizers, restarts
from cotrain.training.batches import batch_of
from cotrain.training.objectives import Objectives
from cotrain.training.teams import ALONE

WRITES = 9
CLASSES = tuple(f"class {i}" for i in range(19))
MINUTES = Training().restart_minutes
CASES = {
    "the demo's: FPN, EfficientNet-Lite0": (Model(architecture="FPN", weights=None), Optimizer(name="adamw")),
    "the paper's: DeepLabV3+, ResNet-101": (Model(encoder="resnet101", weights=None), Optimizer(name="sgd")),
    "the same with AdamW": (Model(encoder="resnet101", weights=None), Optimizer(name="adamw")),
}


def written(settings: Model, optimizer_settings: Optimizer, path: Path) -> list[float]:
    """Seconds of each write, after one step of training."""
    torch.manual_seed(0)
    model = HeadedSegmenter(build.build(settings, CLASSES))
    objectives = Objectives(Train.model_fields["objectives"].default, model)
    optimizer = optimizers.make_optimizer(model, optimizer_settings, 0.001)
    scheduler = optimizers.SCHEDULES["poly"](optimizer, 100)
    images, labels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8), torch.zeros(2, 64, 64, dtype=torch.uint8)
    batch = batch_of(0, images, labels)
    loop.train(model, objectives, [batch], optimizer, scheduler, report=lambda *_: None, after_step=lambda done: None)
    made_by = {"settings": {}, "inputs": {}, "code": "", "definitions": {}}
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "objectives": objectives}
    restart = restarts.Restart(path, 1e-9, "", made_by, ALONE, **parts)
    seconds = []
    for done in range(WRITES):
        start = time.perf_counter()
        restart.after_step(done)
        seconds.append(time.perf_counter() - start)
    return seconds


def main() -> None:
    share = f"share of training time, every {MINUTES:g} min"
    print(f"| model | restart file | one write, median of {WRITES} | slowest | {share} |")
    print("|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory(dir=".") as folder:
        path = Path(folder) / "restart.pt"
        for name, (model, optimizer) in CASES.items():
            seconds = written(model, optimizer, path)
            median, share = statistics.median(seconds), statistics.median(seconds) / (60 * MINUTES)
            size = f"{path.stat().st_size / 1e6:.0f} MB"
            print(f"| {name} | {size} | {median:.2f} s | {max(seconds):.2f} s | {share:.3%} |")


if __name__ == "__main__":
    main()
