"""What there is in a dataset: every image and label decoded once, measured, counted and compared by content."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.base.progress import progress
from cotrain.data import indexing
from cotrain.data.decoding import Size
from cotrain.data.images import read_image
from cotrain.data.labels import read_values
from cotrain.settings.datasets import Coding, Layout


@dataclass
class Pair:
    """One image and its label; None for what is missing or cannot be read."""

    image_id: str
    size: Size | None = None
    digest: bytes | None = None  # of the pixels
    label_size: Size | None = None
    values: dict[int, int] | None = None  # label value → pixels
    faults: list[str] = field(default_factory=list)


@dataclass
class Survey:
    """All pairs of a dataset, and what has no partner."""

    pairs: list[Pair]
    unlabelled: list[str] = field(default_factory=list)  # images without a label
    extra: list[str] = field(default_factory=list)  # labels without an image

    @property
    def sizes(self) -> Counter:
        """(height, width) → images."""
        return Counter(pair.size for pair in self.pairs if pair.size)

    @property
    def unreadable(self) -> list[str]:
        """Faults of images and labels, one line each."""
        return [fault for pair in self.pairs for fault in pair.faults]

    @property
    def mismatched(self) -> list[str]:
        """Images whose label has another size."""
        names = []
        for pair in self.pairs:
            if pair.size and pair.label_size and pair.size != pair.label_size:
                names.append(pair.image_id)
        return names

    @property
    def pixels(self) -> Counter:
        """Label value → pixels."""
        pixels = Counter()
        for pair in self.pairs:
            pixels.update(pair.values or {})
        return pixels

    def with_any(self, values: Iterable[int]) -> list[str]:
        """Images whose label has a pixel of one of `values`."""
        values = set(values)
        names = []
        for pair in self.pairs:
            if not values.isdisjoint(pair.values or {}):
                names.append(pair.image_id)
        return names

    def unknown(self, coding: Coding) -> list[int]:
        """Label values that `coding` does not know, in ascending order."""
        return sorted(value for value in self.pixels if value not in coding.values)

    @property
    def digests(self) -> dict[bytes, list[str]]:
        """Content → the images that have it."""
        images: dict[bytes, list[str]] = {}
        for pair in self.pairs:
            if pair.digest:
                images.setdefault(pair.digest, []).append(pair.image_id)
        return images


def survey(root: Path, layout: Layout, threads: int, name: str) -> Survey:
    """Read the images and labels of a layout, `threads` images at a time; `name` is shown in the progress.

    Raises BadInput if there is no image; what is wrong with one is kept in its `Pair`.
    """
    images = indexing.find(root, layout)
    if not images:
        raise BadInput(f"{root}: no image matches {layout.images}; check the folder and the dataset's pattern")
    labels = dict(matching(root, layout.labels)) if layout.labels else {}

    def read(image: tuple[str, Path]) -> Pair:
        image_id, path = image
        label = root / labels[image_id] if image_id in labels else None
        return _read(image_id, path, label, layout.encoding)

    with ThreadPoolExecutor(threads) as pool:
        reading = pool.map(read, images)
        pairs = list(progress(reading, f"check {name}", "image", len(images)))
    if not layout.labels:
        return Survey(pairs)
    all_ids = dict(matching(root, layout.images)).keys()
    unlabelled = [image_id for image_id, _ in images if image_id not in labels]
    extra = sorted(labels.keys() - all_ids)
    return Survey(pairs, unlabelled, extra)


def _read(image_id: str, image: Path, label: Path | None, encoding: str) -> Pair:
    pair = Pair(image_id)
    try:
        pixels = read_image(image)
        pair.size = pixels.shape[:2]
        pair.digest = _digest(pixels)
    except BadInput as error:
        pair.faults.append(str(error))
    if label is None:
        return pair
    try:
        values = read_values(label, encoding)
        pair.label_size = values.shape
        pair.values = _count(values)
    except BadInput as error:
        pair.faults.append(str(error))
    return pair


def _digest(pixels: np.ndarray) -> bytes:
    """A hash by which images of the same size and pixels are known."""
    content = np.array(pixels.shape).tobytes() + pixels.tobytes()
    return hashlib.blake2b(content, digest_size=16).digest()


def _count(values: np.ndarray) -> dict[int, int]:
    """Value → pixels."""
    if values.dtype.itemsize == 1:  # sorting takes 20 times as long
        counts = np.bincount(values.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    distinct, counts = np.unique(values, return_counts=True)
    return dict(zip(distinct.tolist(), counts.tolist(), strict=True))
