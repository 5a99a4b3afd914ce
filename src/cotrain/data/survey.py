"""What there is in a dataset: every image and label decoded once, measured, counted and compared by content."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.base.progress import progress
from cotrain.data import indexing
from cotrain.data.images import read_image
from cotrain.data.labels import read_values
from cotrain.settings.datasets import Coding, Layout


class Pair(NamedTuple):
    """What one image and its label turned out to be; None where a file is missing or cannot be read."""

    image_id: str
    size: tuple[int, int] | None = None  # height, width
    digest: bytes | None = None  # of the pixels
    label_size: tuple[int, int] | None = None
    values: dict[int, int] | None = None  # label value → pixels
    faults: tuple[str, ...] = ()


@dataclass
class Survey:
    """All pairs of a dataset, and what does not pair."""

    pairs: list[Pair]
    unlabelled: list[str] = field(default_factory=list)  # images without a label
    extra: list[str] = field(default_factory=list)  # labels without an image

    @property
    def sizes(self) -> Counter:
        """(height, width) → images."""
        return Counter(pair.size for pair in self.pairs if pair.size)

    @property
    def unreadable(self) -> list[str]:
        return [fault for pair in self.pairs for fault in pair.faults]

    @property
    def mismatched(self) -> list[str]:
        """Images whose label has another size."""
        return [pair.image_id for pair in self.pairs if pair.label_size and pair.size and pair.label_size != pair.size]

    @property
    def pixels(self) -> Counter:
        """Label value → pixels."""
        return sum((Counter(pair.values) for pair in self.pairs if pair.values), Counter())

    def with_any(self, values: Iterable[int]) -> list[str]:
        """Images whose label has a pixel of one of `values`."""
        wanted = set(values)
        return [pair.image_id for pair in self.pairs if pair.values and not wanted.isdisjoint(pair.values)]

    def unknown(self, coding: Coding) -> list[int]:
        """Label values that `coding` does not know."""
        return sorted(value for value in self.pixels if value not in coding.values)

    @property
    def digests(self) -> dict[bytes, list[str]]:
        """Content → the images that have it."""
        found: dict[bytes, list[str]] = {}
        for pair in self.pairs:
            if pair.digest:
                found.setdefault(pair.digest, []).append(pair.image_id)
        return found


def survey(root: Path, layout: Layout, threads: int, name: str) -> Survey:
    """Read what a layout is about, `threads` images at a time; `name` is shown in the progress."""
    images = indexing.find(root, layout)
    if not images:
        raise BadInput(f"{root}: no image matches {layout.images}; check the folder and the dataset's pattern")
    labels = {i: root / path for i, path in matching(root, layout.labels)} if layout.labels else {}
    with ThreadPoolExecutor(threads) as pool:
        tasks = pool.map(lambda image: _read(*image, labels.get(image[0]), layout.encoding), images)
        pairs = list(progress(tasks, f"check {name}", "image", len(images)))
    if not layout.labels:
        return Survey(pairs)
    every = {image_id for image_id, _ in matching(root, layout.images)}
    unlabelled = [image_id for image_id, _ in images if image_id not in labels]
    return Survey(pairs, unlabelled, sorted(labels.keys() - every))


def _read(image_id: str, image: Path, label: Path | None, encoding: str) -> Pair:
    found, faults = {}, []
    try:
        pixels = read_image(image)
        text = np.array(pixels.shape).tobytes() + pixels.tobytes()
        found |= {"size": pixels.shape[:2], "digest": hashlib.blake2b(text, digest_size=16).digest()}
    except BadInput as error:
        faults.append(str(error))
    try:
        if label:
            raw = read_values(label, encoding)
            found |= {"label_size": raw.shape, "values": _count(raw)}
    except BadInput as error:
        faults.append(str(error))
    return Pair(image_id, **found, faults=tuple(faults))


def _count(raw: np.ndarray) -> dict[int, int]:
    """Value → pixels."""
    if raw.dtype.itemsize == 1:  # sorting takes 20 times as long
        counts = np.bincount(raw.ravel())
        return {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    values, counts = np.unique(raw, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))
