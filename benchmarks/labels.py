"""What the stages on label maps cost: `python benchmarks/labels.py [IMAGES …]` prints Markdown tables.

Maps of the paper's size are made by a generator: areas of classes with borders, less confident towards the borders.
Each stage is set against reading and writing the same maps through the same filters, and thresholding also against the
straightforward way, which loads all confidences and sorts those of each class.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import h5py
import numpy as np
from common import MADE_BY, interleaved, peak_of, ratio, table
from scipy import ndimage

from cotrain.base.malloc import keep_freed
from cotrain.files import hdf5, labelfiles
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.networks.inference import count_confidences
from cotrain.settings.pseudolabels import Combine, Exchange, Fuse, Threshold
from cotrain.stages import combine, exchange, fuse, threshold

CLASSES = tuple(f"class {c}" for c in range(19))
DISTINCT = 12  # maps; the others are these, moved sideways
PORTION = 0.5


def maps(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A class map (1, H, W) uint8 and confidences (1, H, W) uint16, as a network might find them.

    Networks find their scores at a quarter of the size or less, and scale them up.
    """
    rng = np.random.default_rng(seed)
    coarse = 6 * rng.normal(size=(len(CLASSES), 16, 32)) + rng.gumbel(0, 3, (len(CLASSES), 1, 1))
    quarter = size[0] // 4, size[1] // 4
    best, second, label = np.full(size, -np.inf), np.full(size, -np.inf), np.zeros(size, np.uint8)
    for c, score in enumerate(coarse):
        score = ndimage.zoom(score, (quarter[0] / 16, quarter[1] / 32), order=1) + rng.normal(0, 0.3, quarter)
        score = ndimage.zoom(score, 4, order=1)
        wins = score > best
        second = np.where(wins, best, np.maximum(second, score))
        label[wins], best[wins] = c, score[wins]
    return label[None], (SCALE / (1 + np.exp(second - best))).round().astype(np.uint16)[None]


def write_predictions(path: Path, images: int, size: tuple[int, int], seed: int) -> None:
    some = [maps(size, DISTINCT * seed + i) for i in range(DISTINCT)]
    histogram = np.zeros((len(CLASSES), SCALE + 1), np.int64)
    ids = [f"city/{i:05}" for i in range(images)]
    with labelfiles.create_predictions(path, CLASSES, ids, (1, *size), 1.0, histogram, MADE_BY) as write:
        for i in range(images):
            label, confidence = (np.roll(m, 97 * (i // DISTINCT), axis=-1) for m in some[i % DISTINCT])
            count_confidences(histogram, label, confidence)
            write(i, label, confidence)


class Cycle:
    """The files of one cycle of both models, and the stages that make them."""

    def __init__(self, folder: Path, images: int, size: tuple[int, int]):
        self.folder, self.images, self.size = folder, images, size
        self.predictions = [folder / f"predictions{m}.h5" for m in (1, 2)]
        for m, path in enumerate(self.predictions):
            write_predictions(path, images, size, m)

    def two(self, name: str) -> list[Path]:
        return [self.folder / f"1{name}", self.folder / f"2{name}"]

    def threshold(self, m: int = 0) -> None:
        settings = Threshold(portion=PORTION)
        threshold.run(settings, self.predictions[m], self.two("labels.h5")[m], self.two("t.csv")[m], MADE_BY)

    def combine(self) -> None:
        combine.run(Combine(), self.two("labels.h5"), self.predictions, self.two("combined.h5"), MADE_BY)

    def exchange(self) -> None:
        settings = Exchange(count=max(1, self.images // 5))
        exchange.run(settings, self.two("combined.h5"), self.two("t.csv"), self.two("selected.csv"), MADE_BY)

    def fuse(self) -> None:
        labels, selected = self.two("combined.h5")[0], self.two("selected.csv")[1]
        fuse.run(Fuse(), [labels], selected, self.folder / "fused.h5", MADE_BY)

    def command(self, stage: str) -> list[str]:
        """The stage as a command, with the files that its method uses."""
        flags = {
            "threshold": {
                "settings": [f'{{"portion": {PORTION}}}'],
                "predictions": self.predictions[:1],
                "out": [self.two("labels.h5")[0]],
                "table": [self.two("t.csv")[0]],
            },
            "combine": {
                "pseudolabels": self.two("labels.h5"),
                "predictions": self.predictions,
                "out": self.two("combined.h5"),
            },
            "exchange": {
                "settings": [f'{{"count": {max(1, self.images // 5)}}}'],
                "pseudolabels": self.two("combined.h5"),
                "thresholds": self.two("t.csv"),
                "out": self.two("selected.csv"),
            },
            "fuse": {
                "pseudolabels": [self.two("combined.h5")[0]],
                "selected": [self.two("selected.csv")[1]],
                "out": [self.folder / "fused.h5"],
            },
        }[stage]
        given = [word for name, values in flags.items() for word in (f"--{name}", *map(str, values))]
        return [sys.executable, "-m", "cotrain", stage, *given]

    def bare(self, read: list[Path], written: Sequence[Path]) -> Callable[[], None]:
        """Reads all maps of some files and writes the maps of others, through the same filters."""

        def run() -> None:
            with ExitStack() as stack:
                opened = [stack.enter_context(h5py.File(path)) for path in read]
                given = [file[name] for file in opened for name in ("label", "confidence") if file[name].ndim > 1]
                out = stack.enter_context(hdf5.create_hdf5(self.folder / "bare.h5", "pseudolabels", CLASSES, MADE_BY))
                made = [
                    hdf5.create_maps(out, str(n), (count, *self.size), np.uint8, hdf5.LABEL_FILTER)
                    for n in range(len(written))
                ]
                for i in range(count):
                    for maps in given:
                        maps[i]
                    for maps, label in zip(made, labels, strict=True):
                        maps[i] = label[i % len(label)]

        labels, counts = [], set()
        for path in written:
            with h5py.File(path) as file:
                labels.append(file["label"][:DISTINCT])
                counts.add(len(file["label"]))
        (count,) = counts
        return run


def straightforward(predictions: Path, out: Path) -> None:
    """All maps in memory, the confidences of each class sorted."""
    with h5py.File(predictions) as file:
        labels, confidences = file["label"][:, 0], file["confidence"][:, 0]
    kept = np.full(labels.shape, VOID, np.uint8)
    for c in range(len(CLASSES)):
        mine = labels == c
        found = np.sort(confidences[mine])[::-1]
        if len(found):
            least = found[int(np.ceil(PORTION * len(found))) - 1]
            chosen = mine & (confidences >= np.clip(least, SCALE * 0.5, SCALE * 0.9))
            kept[chosen] = c
    with hdf5.create_hdf5(out, "pseudolabels", CLASSES, MADE_BY) as file:
        maps = hdf5.create_maps(file, "label", kept.shape, np.uint8, hdf5.LABEL_FILTER)
        for i, label in enumerate(kept):
            maps[i] = label


def measure(images: int, size: tuple[int, int], turns: int, folder: Path) -> list[tuple]:
    cycle, rows = Cycle(folder, images, size), []
    for m in (1, 0):
        cycle.threshold(m)
    cycle.combine()
    cycle.exchange()
    cycle.fuse()
    labels, combined, fused = cycle.two("labels.h5"), cycle.two("combined.h5"), folder / "fused.h5"
    bare = {
        "threshold": cycle.bare(cycle.predictions[:1], labels[:1]),
        "combine": cycle.bare([*labels, *cycle.predictions], combined),
        "exchange": None,
        "fuse": cycle.bare([combined[0]], [fused]),
    }
    for name, alone in bare.items():
        took = interleaved({"stage": getattr(cycle, name)} | ({"bare": alone} if alone else {}), turns)
        memory = peak_of(cycle.command(name))[1]
        beside = [f"{median(took['bare']):.2f} s", f"{ratio(took['stage'], took['bare']):.2f}"] if alone else ["", ""]
        rows.append((name, images, f"{median(took['stage']):.2f} s", *beside, f"{memory:.0f} MB"))
    sizes = [(path.name, path.stat().st_size / 1e6) for path in (cycle.predictions[0], labels[0])]
    rows.append((f"(files: {', '.join(f'{name} {size:.0f} MB' for name, size in sizes)})", images, "", "", "", ""))
    return rows


def against_straightforward(images: int, size: tuple[int, int], folder: Path) -> list[tuple]:
    cycle = Cycle(folder, images, size)
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; import labels; "
    )
    script += f"labels.straightforward(Path({str(cycle.predictions[0])!r}), Path({str(folder / 'plain.h5')!r}))"
    ours, plain = peak_of(cycle.command("threshold")), peak_of([sys.executable, "-c", script])
    with h5py.File(folder / "plain.h5") as a, h5py.File(cycle.two("labels.h5")[0]) as b:
        differ = sum(int((a["label"][i] != b["label"][i]).sum()) for i in range(images))
    return [
        ("ours", images, f"{ours[0]:.1f} s", f"{ours[1]:.0f} MB", differ),
        ("all in memory, sorted", images, f"{plain[0]:.1f} s", f"{plain[1]:.0f} MB", ""),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", type=int, default=[125, 250, 500, 1000])
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048), metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--turns", type=int, default=3)
    arguments = parser.parse_args()
    keep_freed()  # as the command does
    rows, size = [], tuple(arguments.size)
    for images in arguments.images:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            rows += measure(images, size, arguments.turns if images <= 500 else 1, Path(folder))
    table(("stage", "images", "time", "reading and writing alone", "ratio", "peak memory"), rows)
    print()
    with tempfile.TemporaryDirectory(dir=".") as folder:
        plain = against_straightforward(min(arguments.images[0], 60), size, Path(folder))
    table(("threshold", "images", "start to end", "peak memory", "pixels that differ"), plain)


if __name__ == "__main__":
    main()
