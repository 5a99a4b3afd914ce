"""What architectures cost on a CPU, as a Markdown table: parameters, a training step and an inference.

    python benchmarks/models.py [NAME …]

The pairs are those of benchmarks/models.yaml (or those whose architecture or encoder is a NAME), with random weights,
which cost as much as pretrained ones. One thread; median of three turns, after one that does not count.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
import yaml

from cotrain.networks import build, devices
from cotrain.networks.heads import HeadedSegmenter
from cotrain.settings.model import Model
from cotrain.settings.training import Optimizer, Train
from cotrain.training import loop, optimizers
from cotrain.training.batches import batch_of
from cotrain.training.objectives import Objectives

PAIRS = Path(__file__).with_suffix(".yaml")
CLASSES = tuple(f"class {c}" for c in range(19))


def seconds(function: Callable, turns: int) -> float:
    """Of the processor, not of the clock: other programs may run meanwhile."""
    times = []
    for _ in range(1 + turns):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return median(times[1:])


def costs(pair: dict, size: tuple[int, int], batch: int, turns: int) -> tuple[float, float, float]:
    """Million parameters; seconds of a training step on `batch` images; seconds of inference for one."""
    torch.manual_seed(0)
    model = build.build(Model(**pair | {"weights": None}), CLASSES)
    trained = HeadedSegmenter(model)
    objectives = Objectives(Train.model_fields["objectives"].default, trained)
    images = torch.randint(0, 256, (batch, 3, *size), dtype=torch.uint8)
    labels = torch.randint(0, len(CLASSES), (batch, *size), dtype=torch.uint8)
    optimizer = optimizers.make_optimizer(trained, Optimizer(), 1e-4)
    scheduler = optimizers.SCHEDULES["constant"](optimizer, 1 + turns)

    def step() -> None:
        batch = batch_of(0, images, labels)
        loop.train(trained, objectives, [batch], optimizer, scheduler, lambda *_: None, lambda done: None)

    def infer() -> None:
        with torch.inference_mode():
            model(images[:1])

    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    training_step = seconds(step, turns)
    model.eval()
    return parameters, training_step, seconds(infer, turns)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 256), metavar=("HEIGHT", "WIDTH"))
    arguments = parser.parse_args()
    devices.prepare(threads=1)
    print("| architecture | encoder | further keys | parameters, millions | training step, s | inference, s |")
    print("|---|---|---|--:|--:|--:|")
    for pair in yaml.safe_load(PAIRS.read_text(encoding="utf-8")):
        if not arguments.names or {pair["architecture"], pair["encoder"]} & {*arguments.names}:
            numbers = costs(pair, tuple(arguments.size), arguments.batch, arguments.repeats)
            more = ", ".join(f"`{key}: {value}`".replace("'", "") for key, value in list(pair.items())[2:])
            encoder = f"`{pair['encoder']}`" if pair["encoder"] else "its own"
            cells = " | ".join(f"{number:.{digits}f}" for number, digits in zip(numbers, (1, 2, 2), strict=True))
            print(f"| `{pair['architecture']}` | {encoder} | {more} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
