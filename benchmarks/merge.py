"""What joining the shards of an inference costs: `python benchmarks/merge.py [IMAGES …]` prints a table.

The maps are synthetic, 512×1024 of 19 classes: labels of large areas, confidences that hardly compress.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from cotrain.files import labelfiles
from cotrain.settings.inference import Infer

SIZE = (512, 1024)
CLASSES = tuple(f"class {i}" for i in range(19))
SHARDS = 4


def write_shard(path: Path, number: int, images: int) -> None:
    """A shard as `infer` writes it; the same few maps over and over."""
    rng = np.random.default_rng(number)
    areas = rng.integers(0, len(CLASSES), (8, 1, 16, 32)).astype(np.uint8)
    labels = areas.repeat(SIZE[0] // 16, axis=2).repeat(SIZE[1] // 32, axis=3)
    confidences = (65535 - rng.gamma(1, 4000, labels.shape).clip(0, 65535)).astype(np.uint16)
    settings = Infer(classes=CLASSES, size=SIZE, shard={"number": number, "count": SHARDS}).model_dump(mode="json")
    made_by = {"stage": "infer", "settings": settings, "inputs": {}, "code": "", "definitions": {}}
    ids, histogram = [f"{number}/{i}" for i in range(images)], np.zeros((len(CLASSES), 65536), np.int64)
    with labelfiles.create_predictions(path, CLASSES, ids, (1, *SIZE), 1.0, histogram, made_by) as write:
        for i in range(images):
            write(i, labels[i % 8], confidences[i % 8])


def main() -> None:
    print("| images | file | merge | per image | peak memory |\n|--:|--:|--:|--:|--:|")
    for images in [int(count) for count in sys.argv[1:]] or [64, 256, 1024]:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            shards, merged = [Path(folder) / f"{n}.h5" for n in range(1, SHARDS + 1)], Path(folder) / "merged.h5"
            for number, shard in enumerate(shards, start=1):
                write_shard(shard, number, images // SHARDS)
            command = [sys.executable, "-m", "cotrain", "merge", "--out", str(merged), "--predictions"]
            start = time.perf_counter()
            subprocess.run([*command, *map(str, shards)], check=True, stderr=subprocess.DEVNULL)
            seconds = time.perf_counter() - start
            size = merged.stat().st_size
        # The peak of all children so far: as the counts grow, that of the last one, or it has not grown.
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        each = f"{1000 * seconds / images:.0f} ms"
        print(f"| {images:,} | {size / 1e6:,.0f} MB | {seconds:.1f} s | {each} | {peak / 1e6:.0f} MB |", flush=True)


if __name__ == "__main__":
    main()
