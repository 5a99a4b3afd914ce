"""The figures of docs/concepts.md, drawn from the files of a finished run.

`python docs/figures.py results/demo` writes docs/concepts/*.webp, or into a folder given after the run. The run needs
two or more cycles of self-training, one of co-training, the last training and scores.
"""

import json
import sys
from pathlib import Path

import numpy as np
import yaml
from matplotlib import pyplot as plt

from cotrain.data.images import read_image
from cotrain.data.labels import read_label
from cotrain.files import hdf5
from cotrain.files.origins import read_provenance
from cotrain.files.tables import read_table
from cotrain.method.collage import collage_order
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.report.figures import colorize, overlay
from cotrain.settings.training import Train
from cotrain.training import augmentation, batches, sources

DOCS = Path(__file__).parent
WIDTH = 9.6  # inches of a figure
FIRST, SECOND, PAIR = "selftrain/01", "selftrain/02", "cotrain/01"


class Run:
    """A finished run: its files, and the classes with their colours."""

    def __init__(self, folder: Path):
        self.folder = folder
        made_by = read_provenance(folder / f"{PAIR}/1/model.pt")
        self.train = Train.model_validate(made_by["settings"])
        self.classes = self.train.source.classes
        sets = [
            yaml.safe_load(path.read_text()) for path in sorted((DOCS.parent / "workflow/labelsets").glob("*.yaml"))
        ]
        self.colors = next(list(one["classes"].values()) for one in sets if tuple(one["classes"]) == self.classes)

    def table(self, path: str, kind: str):
        return read_table(self.folder / path, kind)

    def maps(self, path: str, name: str = "label") -> dict[str, np.ndarray]:
        """Image id → map (H, W) of a file of predictions (of them the first class) or pseudo-labels."""
        with hdf5.open_hdf5(self.folder / path) as file:
            found = dict(zip(hdf5.image_ids(file), file[name][:], strict=True))
        return {i: values[0] if values.ndim == 3 else values for i, values in found.items()}

    def photographs(self, table: str) -> dict[str, np.ndarray]:
        rows = self.table(f"data/{table}.csv", "index")
        return {row.image_id: read_image(row.image, self.train.source_size) for row in rows.itertuples()}

    def over(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
        return overlay(image, label, self.colors, 0.75)

    def json(self, path: str) -> dict:
        return json.loads((self.folder / path).read_text())


def grid(name: Path, rows: list[list[tuple[str, np.ndarray]]]) -> None:
    """Rows of titled pictures; maps of confidence (H, W) float are drawn in grey."""
    height, width = rows[0][0][1].shape[:2]
    columns = max(map(len, rows))
    shape = (WIDTH, len(rows) * (WIDTH / columns * height / width + 0.28))
    figure, axes = plt.subplots(len(rows), columns, figsize=shape, squeeze=False, layout="constrained")
    for line, pictures in zip(axes, rows, strict=True):
        pictures_and_gaps(line, pictures)
    save(figure, name)


def pictures_and_gaps(axes, pictures: list[tuple[str, np.ndarray]]) -> None:
    for axis in axes:
        axis.axis("off")
    for axis, (title, picture) in zip(axes, pictures, strict=False):
        axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axis.set_title(title, fontsize=8)


def save(figure, name: Path) -> None:
    figure.savefig(name.with_suffix(".webp"), dpi=100, pil_kwargs={"quality": 80, "method": 6})
    plt.close(figure)


# ---- one figure for each stage ----------------------------------------------------------------------------------


def domains(run: Run, out: Path) -> None:
    source, target = (list(run.photographs(table).items())[:4] for table in ("source", "target"))
    rows = run.table("data/source.csv", "index")
    labels = [read_label(path, run.train.source, run.train.source_size) for path in rows["label"][:4]]
    shown = [("label", colorize(label, run.colors)) for label in labels]
    grid(out / "domains", [[("source", p) for i, p in source], shown, [("target", p) for i, p in target]])


def color(run: Run, out: Path) -> None:
    plain = sources.LabelledImages(run.folder / "data/source.csv", run.train.source, run.train.source_size)
    table = run.folder / "data/color.csv"
    aligned = sources.LabelledImages(run.folder / "data/source.csv", run.train.source, run.train.source_size, table)
    target, drawn = run.photographs("target"), run.table("data/color.csv", "color")["target_id"]
    columns = [(plain.load(i)[0], target[drawn[i]], aligned.load(i)[0]) for i in range(4)]
    titles = ("source", "target drawn for it", "source, aligned")
    grid(out / "color", [[(title, column[k]) for column in columns] for k, title in enumerate(titles)])


def infer(run: Run, out: Path) -> None:
    images = run.photographs("target")
    label, confidence = (run.maps(f"{FIRST}/predictions.h5", name) for name in ("label", "confidence"))
    titles = ("photograph", "most probable class", "confidence: black 0, white 1")
    rows = [(images[i], colorize(label[i], run.colors), confidence[i] / SCALE) for i in list(label)[:3]]
    grid(out / "infer", [list(zip(titles, row, strict=True)) for row in rows])


def threshold(run: Run, out: Path) -> None:
    table = run.table(f"{FIRST}/thresholds.csv", "thresholds")
    with hdf5.open_hdf5(run.folder / f"{FIRST}/predictions.h5") as file:
        histogram, first = file["histogram"][:], hdf5.image_ids(file)[0]
    figure = plt.figure(figsize=(WIDTH, 4.4), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 1.5))
    predicted = run.maps(f"{FIRST}/predictions.h5")[first]
    confidence = run.maps(f"{FIRST}/predictions.h5", "confidence")[first] / SCALE
    labelled = run.maps(f"{FIRST}/pseudolabels.h5")[first]
    pictures = [("most probable class", colorize(predicted, run.colors)), ("confidence", confidence)]
    pictures_and_gaps(above.subplots(1, 3), [*pictures, ("pseudo-label (black: void)", colorize(labelled, run.colors))])
    columns = -(-len(run.classes) // 2)
    axes = below.subplots(2, columns, sharex=True)
    for axis in axes.flat[len(run.classes) :]:
        axis.axis("off")
    for c, (axis, row) in enumerate(zip(axes.flat, table.itertuples(), strict=False)):
        pixels = histogram[c].reshape(64, -1).sum(axis=1)
        axis.bar(np.arange(64) / 64, pixels, 1 / 64, align="edge", color=np.array(run.colors[c]) / 255)
        axis.axvline(row.threshold, color="black")
        axis.set(yticks=[], xlim=(0, 1))
        axis.set_title(f"{row.name}: {row.threshold:.2f}", fontsize=8)
    save(figure, out / "threshold")


def select(run: Run, out: Path) -> None:
    images, labels = run.photographs("target"), run.maps(f"{FIRST}/pseudolabels.h5")
    with hdf5.open_hdf5(run.folder / f"{FIRST}/pseudolabels.h5") as file:
        confidence = dict(zip(hdf5.image_ids(file), file["confidence"][:], strict=True))
    order = sorted(confidence, key=confidence.get, reverse=True)
    rows = [(order[:4], "most confident"), (order[-4:], "least confident")]
    grid(
        out / "select",
        [[(f"{what}: {confidence[i]:.3f}", run.over(images[i], labels[i])) for i in ids] for ids, what in rows],
    )


def fuse(run: Run, out: Path) -> None:
    rounds = [FIRST, SECOND, f"{PAIR}/1", f"{PAIR}/2"]
    figure, axis = plt.subplots(figsize=(WIDTH * 0.7, 1.9), layout="constrained")
    for place, one in enumerate(rounds):
        with hdf5.open_hdf5(run.folder / one / "labels.h5") as file:
            origins, counts = np.unique(file["round"].asstr()[:].astype(str), return_counts=True)
        left = 0
        for origin, count in zip(origins, counts, strict=True):
            axis.barh(place, count, left=left, color=f"C{rounds.index(origin) if origin in rounds else 7}")
            axis.text(left + count / 2, place, f"{count} of {origin}", ha="center", va="center", fontsize=7)
            left += count
    axis.set_yticks(range(len(rounds)), rounds, fontsize=8)
    axis.invert_yaxis()
    axis.set_xlabel("images that the round trains on, and the round that their pseudo-labels are of", fontsize=8)
    save(figure, out / "fuse")


def batch(run: Run, out: Path) -> None:
    train, round_ = run.train, f"{PAIR}/1"
    size, color_table = train.source_size, run.folder / "data/color.csv"
    source = sources.LabelledImages(run.folder / "data/source.csv", train.source, size, color_table)
    target = sources.PseudolabelledImages(run.folder / round_ / "labels.h5", run.folder / "data/target.csv")
    table = run.table(f"{round_}/thresholds.csv", "thresholds")
    order = collage_order(table["threshold"].to_numpy(), table["pixels"].to_numpy())
    made = batches.Batches(
        source,
        target,
        [augmentation.augmentation(train.augmentation, one) for one in (size, train.target_size)],
        steps=1,
        batch=train.batch,
        target_share=train.target_share,
        collage=augmentation.Collage(order, train.collage_share),
        seed=train.seed,
    )
    shown = made[0]
    pictures = [image.permute(1, 2, 0).numpy() for image in shown.images]
    maps = [colorize(label.numpy(), run.colors) for label in shown.labels]
    titles = ["source"] * made.source_count + ["target, with a collage"] * made.target_count
    rows = []
    for start in range(0, len(titles), 4):
        part = slice(start, start + 4)
        rows += [list(zip(titles[part], pictures[part], strict=True)), [("label", one) for one in maps[part]]]
    grid(out / "batch", rows)


def finetune(run: Run, out: Path) -> None:
    rounds = {"source_only": "source only", "source": "W_0", FIRST: "self-training 1", SECOND: "self-training 2"}
    rounds |= {f"{PAIR}/1": "co-training, model 1", f"{PAIR}/2": "model 2", "final": "last training"}
    photographs = run.photographs("validation")
    with hdf5.open_hdf5(run.folder / "evaluation/final.h5") as file:
        chosen = hdf5.image_ids(file)[2]
        truth = file[f"truth/{chosen}"][:]
    shown = [("photograph", photographs[chosen]), ("truth", colorize(truth, run.colors))]
    for one, title in rounds.items():
        with hdf5.open_hdf5(run.folder / f"evaluation/{one}.h5") as file:
            shown.append((title, colorize(file[f"prediction/{chosen}"][:], run.colors)))
    grid(out / "finetune", [shown[i : i + 3] for i in range(0, len(shown), 3)])


def combine(run: Run, out: Path) -> None:
    images = run.photographs("target")
    files = (f"{PAIR}/1/pseudolabels.h5", f"{PAIR}/2/pseudolabels.h5", f"{PAIR}/1/combined.h5")
    own, other, both = map(run.maps, files)
    adopted = {i: ((own[i] == VOID) & (both[i] != VOID)).mean() for i in own}
    rows = []
    for i in sorted(adopted, key=adopted.get, reverse=True)[:2]:
        titles = ("photograph", "model 1", "model 2", f"model 1, {adopted[i]:.0%} of it adopted")
        maps = [colorize(labels[i], run.colors) for labels in (own, other, both)]
        rows.append(list(zip(titles, [images[i], *maps], strict=True)))
    grid(out / "combine", rows)


def exchange(run: Run, out: Path) -> None:
    tables = [run.table(f"{PAIR}/{m}/thresholds.csv", "thresholds") for m in (1, 2)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(WIDTH, 2.8), layout="constrained", sharey=True)
    places = np.arange(len(run.classes))
    for m, table in enumerate(tables):
        left.barh(places + 0.4 * m, table["threshold"], 0.4, label=f"model {m + 1}")
        reasons = run.table(f"{PAIR}/{2 - m}/selected.csv", "selected")["reason"].value_counts()
        right.barh(places + 0.4 * m, [reasons.get(c, 0) for c in run.classes], 0.4, label=f"model {m + 1} sends")
    low = min(table["threshold"].min() for table in tables)
    left.set(yticks=places + 0.2, yticklabels=run.classes, xlim=(low - 0.02, None), xlabel="threshold C_T")
    right.set_xlabel("images, by the class they were taken for")
    left.invert_yaxis()
    for axis in (left, right):
        axis.legend(fontsize=8)
    save(figure, out / "exchange")


def final(run: Run, out: Path) -> None:
    images, joint = run.photographs("target"), run.maps("final/predictions.h5")
    single = [run.maps(f"{PAIR}/{m}/predictions.h5") for m in (1, 2)]
    shared = [i for i in joint if i in single[0]]
    ids = sorted(shared, key=lambda i: (single[0][i] != single[1][i]).mean(), reverse=True)[:2]
    titles = ("photograph", "before co-training, model 1", "model 2", "after, both: mean of softmaxes")
    maps = {i: [colorize(labels[i], run.colors) for labels in (*single, joint)] for i in ids}
    grid(out / "final", [list(zip(titles, [images[i], *maps[i]], strict=True)) for i in ids])


def evaluate(run: Run, out: Path) -> None:
    rounds = {"source_only": "source only", SECOND: "self-training 2", f"{PAIR}/both": "co-training, both"}
    rounds |= {"final": "last training", "upper_bound": "upper bound"}
    figure, axis = plt.subplots(figsize=(WIDTH, 2.8), layout="constrained")
    there = [one for one in rounds if (run.folder / f"evaluation/{one}.json").exists()]
    places = np.arange(len(run.classes))
    for k, one in enumerate(there):
        score = run.json(f"evaluation/{one}.json")
        iou = 100 * np.array(score["iou"], float)
        axis.bar(places + k * 0.16, iou, 0.16, label=f"{rounds[one]}, mIoU {100 * score['miou']:.1f}")
    axis.set(xticks=places + 0.08 * (len(there) - 1), xticklabels=run.classes, ylabel="IoU, %")
    figure.legend(fontsize=8, loc="outside upper center", ncols=3, frameon=False)
    save(figure, out / "evaluate")


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python docs/figures.py results/demo [FOLDER]")
    run, out = Run(Path(sys.argv[1])), Path(sys.argv[2]) if sys.argv[2:] else DOCS / "concepts"
    out.mkdir(exist_ok=True)
    for draw in (domains, color, infer, threshold, select, fuse, batch, finetune, combine, exchange, final, evaluate):
        draw(run, out)


if __name__ == "__main__":
    main()
