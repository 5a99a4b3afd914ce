"""What the ways of inference cost beside the forward passes they need, as a Markdown table.

    python benchmarks/inference.py

Runs the stage `infer` (reading, network, prior, K best classes, writing) and the bare passes of the network, on the
same images and batches, in turns; each ratio is the median over the turns. The model is the demo's, untrained.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from common import scenes
from PIL import Image

from cotrain.files import hdf5, tables
from cotrain.networks import build, checkpoint, devices, inference, segmenter
from cotrain.settings.inference import Infer
from cotrain.settings.model import Model
from cotrain.settings.strict import parse
from cotrain.stages import infer

CLASSES = tuple(f"class {c}" for c in range(11))
VARIANTS = {  # name: settings, and whether with a prior
    "whole image, K = 1": ({}, False),
    "whole image, K = 3": ({"keep_classes": 3}, False),
    "prior, K = 1": ({}, True),
    "prior, K = 3": ({"keep_classes": 3}, True),
    "prior, K = 7": ({"keep_classes": 7}, True),
    "scales 0.5, 0.75, 1": ({"scales": [0.5, 0.75, 1.0]}, False),
    "scales 0.5, 0.75, 1 and flip": ({"scales": [0.5, 0.75, 1.0], "flip": True}, False),
    "50 patches (SISC)": ({"patches": {"count": 50}}, False),
    "50 patches, prior, K = 7": ({"patches": {"count": 50}, "keep_classes": 7}, True),
    "50 patches, frequency": ({"patches": {"count": 50, "average": "frequency"}}, False),
}


def seconds(function: Callable) -> float:
    """Of the processor, not of the clock: other programs may run meanwhile."""
    start = time.process_time()
    function()
    return time.process_time() - start


def some_prior(path: Path, size: tuple[int, int]) -> Path:
    with hdf5.create_hdf5(path, "statistics", CLASSES, {}) as file:
        hdf5.write_strings(file, "image_id", ["0"])
        file["class_pixels"] = np.ones((1, len(CLASSES)), np.int64)
        file["prior"] = np.random.default_rng(0).dirichlet(np.ones(len(CLASSES)), size).transpose(2, 0, 1).astype("f4")
    return path


def passes(network: Callable, settings: Infer, index: Path) -> list[torch.Tensor]:
    """The batches that the network is shown, as the strategy shows them."""
    seen = []

    def recorded(images: torch.Tensor) -> torch.Tensor:
        seen.append(images.clone())
        return network(images)

    rows = tables.read_table(index, "index")
    images = ((row.image_id, np.array(Image.open(row.image))) for row in rows.itertuples())
    for _ in inference.strategy(recorded, settings)(images):
        pass
    return seen


def bare(model: segmenter.Segmenter, batches: list[torch.Tensor]) -> None:
    with torch.inference_mode():
        for images in batches:
            model(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, nargs=2, default=(128, 176), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument(
        "--ways", nargs="*", default=list(VARIANTS), choices=VARIANTS, help="rows; the last column is against the first"
    )
    arguments = parser.parse_args()
    devices.prepare(threads=1)
    torch.manual_seed(0)
    model = build.build(Model(architecture="FPN"), CLASSES).eval()
    checkpoint.load = lambda *_: model  # loading is not what is measured
    times = {name: [] for name in arguments.ways}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = scenes(folder, "camera", arguments.images, arguments.size)
        prior = some_prior(folder / "s.h5", arguments.size)
        every = {
            name: parse(Infer, {"classes": CLASSES, "size": arguments.size, "device": "cpu"} | VARIANTS[name][0], name)
            for name in arguments.ways
        }
        shown = {name: passes(inference.ensemble([model]), settings, index) for name, settings in every.items()}
        for _ in range(arguments.repeats):
            for name, settings in every.items():
                statistics = prior if VARIANTS[name][1] else None
                whole = seconds(lambda: infer.run(settings, [folder], index, folder / "p.h5", {}, statistics))  # noqa: B023
                times[name].append((whole, seconds(lambda: bare(model, shown[name]))))  # noqa: B023
    plain = [t for t, _ in times[arguments.ways[0]]]
    print(f"| infer | ms per image | of them bare passes | infer ÷ passes | infer ÷ {arguments.ways[0]} |")
    print("|---|--:|--:|--:|--:|")
    for name, pairs in times.items():
        per_image = [1000 * median(column) / arguments.images for column in zip(*pairs, strict=True)]
        ratio = median(t / b for t, b in pairs)
        beside = median(t / p for (t, _), p in zip(pairs, plain, strict=True))
        print(f"| {name} | {per_image[0]:.1f} | {per_image[1]:.1f} | {ratio:.2f} | {beside:.2f} |")


if __name__ == "__main__":
    main()
