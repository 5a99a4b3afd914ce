"""Sets of labelled images that a training draws from."""

from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.data import indexing
from cotrain.data.images import read_image
from cotrain.data.labels import read_label
from cotrain.files import hdf5, tables
from cotrain.method import color
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.settings.datasets import Labels

Pair = tuple[np.ndarray, np.ndarray]  # image (H, W, 3) uint8, label (H, W) uint8


class Images(Protocol):
    """A set of images with labels, at their working size."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> Pair:
        """Image i and its label. Threads may call it at the same time."""


class LabelledImages:
    """Images of an index table with their label images; aligned to target colours if a colour table is given."""

    def __init__(self, index: Path, labels: Labels, size: tuple[int, int], colors: Path | None = None):
        rows = tables.read_table(index, "index")
        indexing.check_labelled(rows, index)
        self.ids = rows["image_id"].tolist()
        self.images = rows["image"].tolist()
        self.label_images = rows["label"].tolist()
        self.labels = labels
        self.size = size
        self.moments = self._moments(colors) if colors else None

    def _moments(self, colors: Path) -> np.ndarray:
        """(N, 12): mean and standard deviation of each CIELAB channel, of the source image and of its target image."""
        rows = indexing.by_id(tables.read_table(colors, "color"), self.ids, colors)
        return rows.filter(regex="_(mean|std)_").to_numpy(float)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, i: int) -> Pair:
        image = read_image(self.images[i], self.size)
        if self.moments is not None:
            image = color.align(image, self.moments[i, :6], self.moments[i, 6:])
        coding = self.labels.coding(self.ids[i])
        return image, read_label(self.label_images[i], coding, self.size)


class PseudolabelledImages:
    """Target images with the pseudo-labels of an HDF5 file; images without any labelled pixel are left out."""

    def __init__(self, pseudolabels_file: Path, index: Path):
        with hdf5.open_hdf5(pseudolabels_file, "pseudolabels") as file:
            self.positions = np.flatnonzero(file["confidence"][:] > 0)
            ids = hdf5.image_ids(file)
            self.class_pixels = file["class_pixels"][:][self.positions]
            self.size = tuple(file["label"].shape[1:])
        if not len(self.positions):
            raise BadInput(
                f"{pseudolabels_file}: no image has a pseudo-label; lower confidence_min or raise portion_start "
                "(in the config, thresholds of selftrain or cotrain), or train the source longer (training.source)"
            )
        labelled = [ids[i] for i in self.positions]
        rows = indexing.by_id(tables.read_table(index, "index"), labelled, index)
        self.images = rows["image"].tolist()
        self.file = pseudolabels_file
        self.maps = None  # opened by the process that reads, and then kept open
        self.stay_open = ExitStack()
        self.lock = Lock()

    def __len__(self) -> int:
        return len(self.images)

    def load(self, i: int) -> Pair:
        with self.lock:
            if self.maps is None:
                self.maps = self.stay_open.enter_context(hdf5.open_hdf5(self.file))["label"]
            label = self.maps[int(self.positions[i])]
        return read_image(self.images[i], self.size), label


class Cached:
    """Keeps decoded pairs in memory until `megabytes` are used; what does not fit is decoded each time."""

    def __init__(self, images: Images, megabytes: int):
        self.images = images
        self.free_bytes = megabytes * 1_000_000
        self.pairs: dict[int, Pair] = {}
        self.lock = Lock()

    def __len__(self) -> int:
        return len(self.images)

    def load(self, i: int) -> Pair:
        if i in self.pairs:
            return self.pairs[i]
        pair = self.images.load(i)
        with self.lock:
            if i not in self.pairs:  # another thread may have been faster
                self._keep(i, pair)
        return pair

    def _keep(self, i: int, pair: Pair) -> None:
        image, label = pair
        self.free_bytes -= image.nbytes + label.nbytes
        if self.free_bytes >= 0:
            self.pairs[i] = pair
