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
    """A set of images with labels at their working size."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> Pair:
        """Several threads may ask at a time."""


class LabelledImages:
    """Images of an index table with their label images; aligned to target colours if a colour table is given."""

    def __init__(self, index: Path, labels: Labels, size: tuple[int, int], colors: Path | None = None):
        rows = tables.read_table(index, "index")
        indexing.check_labelled(rows, index)
        self.ids, self.images, self.label_images = (rows[name].tolist() for name in ("image_id", "image", "label"))
        self.labels, self.size = labels, size
        self.colors = None
        if colors:
            moments = indexing.by_id(tables.read_table(colors, "color"), self.ids, colors).filter(regex="_(mean|std)_")
            self.colors = moments.to_numpy(float)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, i: int) -> Pair:
        image = read_image(self.images[i], self.size)
        if self.colors is not None:
            image = color.align(image, self.colors[i, :6], self.colors[i, 6:])
        return image, read_label(self.label_images[i], self.labels.coding(self.ids[i]), self.size)


class PseudolabelledImages:
    """Target images with the pseudo-labels of an HDF5 file; images without any labelled pixel are left out."""

    def __init__(self, pseudolabels_file: Path, index: Path):
        with hdf5.open_hdf5(pseudolabels_file, "pseudolabels") as file:
            used = np.flatnonzero(file["confidence"][:] > 0)
            ids = hdf5.image_ids(file)
            self.class_pixels = file["class_pixels"][:][used]
            self.size = tuple(file["label"].shape[1:])
        if not len(used):
            raise BadInput(
                f"{pseudolabels_file}: no image has a pseudo-label; lower confidence_min or raise portion_start "
                "(in the config, thresholds of selftrain or cotrain), or train the source longer (training.source)"
            )
        rows = indexing.by_id(tables.read_table(index, "index"), [ids[i] for i in used], index)
        self.images, self.positions, self.file = rows["image"].tolist(), used, pseudolabels_file
        self.maps, self.stay_open, self.lock = None, ExitStack(), Lock()  # opened by the process that reads

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
        self.images, self.room, self.kept, self.lock = images, megabytes * 1_000_000, {}, Lock()

    def __len__(self) -> int:
        return len(self.images)

    def load(self, i: int) -> Pair:
        if i in self.kept:
            return self.kept[i]
        pair = self.images.load(i)
        with self.lock:
            if i not in self.kept:  # by another thread
                self.room -= sum(array.nbytes for array in pair)
                if self.room >= 0:
                    self.kept[i] = pair
        return pair
