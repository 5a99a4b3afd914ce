"""Mini-batches: samplers, augmentation, MixBatch and the ClassMix collage (Gómez et al. 2022, Sect. III-A).

An image of a batch is a function of seed, step and its place, so that restarts and processes agree without any state.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cotrain.base.errors import BadInput, in_short
from cotrain.data import datasets
from cotrain.files import store
from cotrain.method import color, pseudolabels
from cotrain.method.sampling import seed_of, shuffled
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.settings.stages import Augmentation, Labels
from cotrain.training.teams import ALONE, Team

Pair = tuple[np.ndarray, np.ndarray]  # image (H, W, 3) uint8, label (H, W) uint8


# ---- sets of labelled images ------------------------------------------------------------------------------------


class Images(Protocol):
    """A set of images with labels at their working size."""

    def __len__(self) -> int: ...

    def load(self, i: int) -> Pair:
        """Several threads may ask at a time."""


class LabelledImages:
    """Images of an index table with their label images; aligned to target colours if a colour table is given."""

    def __init__(self, index: Path, labels: Labels, size: tuple[int, int], colors: Path | None = None):
        rows = store.read_table(index, "index")
        datasets.check_labelled(rows, index)
        self.ids, self.images, self.label_images = (rows[name].tolist() for name in ("image_id", "image", "label"))
        self.labels, self.size = labels, size
        self.colors = None
        if colors:
            moments = datasets.by_id(store.read_table(colors, "color"), self.ids, colors).filter(regex="_(mean|std)_")
            self.colors = moments.to_numpy(float)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, i: int) -> Pair:
        image = datasets.read_image(self.images[i], self.size)
        if self.colors is not None:
            image = color.align(image, self.colors[i, :6], self.colors[i, 6:])
        return image, datasets.read_label(self.label_images[i], self.labels.coding(self.ids[i]), self.size)


class PseudolabelledImages:
    """Target images with the pseudo-labels of an HDF5 file; images without any labelled pixel are left out."""

    def __init__(self, pseudolabels_file: Path, index: Path):
        with store.open_hdf5(pseudolabels_file, "pseudolabels") as file:
            used = np.flatnonzero(file["confidence"][:] > 0)
            ids = store.image_ids(file)
            self.class_pixels = file["class_pixels"][:][used]
            self.size = tuple(file["label"].shape[1:])
        if not len(used):
            raise BadInput(
                f"{pseudolabels_file}: no image has a pseudo-label; lower confidence_min or raise portion_start "
                "(in the config, thresholds of selftrain or cotrain), or train the source longer (training.source)"
            )
        rows = datasets.by_id(store.read_table(index, "index"), [ids[i] for i in used], index)
        self.images, self.positions, self.file = rows["image"].tolist(), used, pseudolabels_file
        self.maps, self.stay_open, self.lock = None, ExitStack(), Lock()  # opened by the process that reads

    def __len__(self) -> int:
        return len(self.images)

    def load(self, i: int) -> Pair:
        with self.lock:
            if self.maps is None:
                self.maps = self.stay_open.enter_context(store.open_hdf5(self.file))["label"]
            label = self.maps[int(self.positions[i])]
        return datasets.read_image(self.images[i], self.size), label


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


# ---- batches ----------------------------------------------------------------------------------------------------


class Collage:
    """Pastes the least confident classes of a source crop over a target crop: order and share of `collage_classes`."""

    def __init__(self, order: np.ndarray, share: float):
        self.order, self.share = order, share

    def __call__(self, target: tuple, source: tuple) -> tuple[torch.Tensor, torch.Tensor]:
        """Two pairs of image (3, h, w) uint8 and label (h, w) uint8, on any device → the pasted pair."""
        mask = self.mask(source[1])
        return torch.where(mask, source[0], target[0]), torch.where(mask, source[1], target[1])

    def mask(self, label: torch.Tensor) -> torch.Tensor:
        """Pixels of a source crop that are pasted: (h, w) uint8 → (h, w) bool."""
        pixels = torch.bincount(label.ravel(), minlength=256).cpu().numpy()  # the last is of void
        classes = pseudolabels.collage_classes(pixels, self.order, self.share)
        return torch.isin(label, torch.as_tensor(classes, dtype=torch.uint8).to(label.device))


class RareCrops:
    """Which target crops are centred on a rare class (Zou et al. 2018, Sect. 5)."""

    def __init__(self, class_pixels: np.ndarray, rare: Sequence[int], probability: float):
        """class_pixels (N, C): pseudo-labelled pixels of each class in each image; `rare` are classes."""
        images = {int(c): np.flatnonzero(class_pixels[:, c]) for c in rare}
        self.images = [(c, found) for c, found in images.items() if len(found)]
        self.probability = probability if self.images else 0

    def pick(self, i: int, rng: np.random.Generator) -> tuple[int, int | None]:
        """Image i as it is; or, with the probability asked for, an image that has a rare class, and that class."""
        if rng.random() >= self.probability:
            return i, None
        c, images = self.images[rng.integers(len(self.images))]
        return int(rng.choice(images)), c


def augmentation(settings: Augmentation, size: tuple[int, int]):
    """Random zoom about the working size, crop (void beyond the image), flip and colour jitter, from torchvision."""
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    void = {tv_tensors.Image: 0, tv_tensors.Mask: pseudolabels.VOID}
    zoom = v2.ScaleJitter(size[::-1], settings.zoom)  # it takes width, height
    steps = [
        v2.RandomCrop(settings.crop, pad_if_needed=True, fill=void),
        v2.RandomHorizontalFlip(settings.flip),
    ]
    if settings.jitter:
        steps.append(v2.ColorJitter(settings.jitter, settings.jitter, settings.jitter))
    rest = v2.Compose(steps)

    def augment(pair: Pair, centre: tuple[int, int] | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """`centre` (row, column) is where the crop should have its middle; None: anywhere."""
        image = tv_tensors.Image(torch.as_tensor(pair[0]).permute(2, 0, 1))
        image, label = zoom(image, tv_tensors.Mask(torch.as_tensor(pair[1])))
        if centre is not None:  # cut to the crop's size before, the random crop has no choice left
            window = _window(centre, pair[1].shape, label.shape, settings.crop)
            image, label = (v2.functional.crop(x, *window) for x in (image, label))
        image, label = rest(image, label)
        return image.as_subclass(torch.Tensor), label.as_subclass(torch.Tensor)

    return augment


def _window(centre: Sequence[int], size: Sequence[int], zoomed: Sequence[int], crop: Sequence[int]) -> tuple[int, ...]:
    """top, left, height, width of a crop within an image of size `zoomed` about what was at `centre` of `size`."""
    shape = [min(pair) for pair in zip(crop, zoomed, strict=True)]
    corner = []
    for place, old, new, length in zip(centre, size, zoomed, shape, strict=True):
        start = math.floor((place + 0.5) * new / old - length / 2)
        corner.append(min(max(start, 0), new - length))
    return *corner, *shape


def target_count(share: float, batch: int) -> int:
    """Target images in a mini-batch: p_MB·N_MB."""
    return round(share * batch)


class _Picked(NamedTuple):
    """What a place of a batch is made of: positions in the sets of images."""

    source: int | None  # of a target image: what its collage pastes
    target: int | None = None
    rare: int | None = None  # class that the target crop is centred on
    rng: np.random.Generator | None = None  # which draws one of its pixels


class _Read(NamedTuple):
    """Images and labels for a place of a batch, as tensors that can be sent to another device."""

    source: tuple[torch.Tensor, torch.Tensor] | None
    target: tuple[torch.Tensor, torch.Tensor] | None
    centre: tuple[int, int] | None  # of the target crop, if it is centred on a rare class

    def to(self, device: torch.device) -> "_Read":
        pairs = (pair and tuple(x.to(device, non_blocking=True) for x in pair) for pair in self[:2])
        return _Read(*pairs, self.centre)


class Batches(Dataset):
    """The batch of each step: `target_count` target images with a collage, the rest source images."""

    def __init__(
        self,
        source: Images,
        target: Images | None,
        augment: Sequence,
        *,
        steps: int,
        batch: int,
        target_share: float,
        collage: Collage | None,
        seed: int,
        rare_crops: RareCrops | None = None,
        pick_source: Callable[[int, int, int], int] = shuffled,
        team: Team = ALONE,
        threads: int = 1,
    ):
        """`pick_source(position, count, seed)` names the source image for a position of a stream.

        Of each batch there is the part of this process of `team`; `threads` read its images.
        """
        self.source, self.target, self.collage, self.pick_source = source, target, collage, pick_source
        self.augment_source, self.augment_target = augment
        self.steps, self.seed, self.rare_crops, self.threads = steps, seed, rare_crops, threads
        self.target_count = target_count(target_share, batch) if target else 0
        self.source_count = batch - self.target_count
        self.places = team.share(range(batch))

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """images (B, 3, h, w) uint8 and labels (B, h, w) uint8 of one step."""
        return self.made(step, self.read(step))

    def read(self, step: int) -> Iterator[_Read]:
        """What each place of a step's batch is made of, in order."""
        with ThreadPoolExecutor(self.threads) as readers:
            yield from readers.map(self._read, [self._pick(step, place) for place in self.places])

    def made(self, step: int, read: Iterable[_Read]) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of a step from what was read for it, on the device that this is on."""
        made = []
        with torch.random.fork_rng(devices=[]):
            for place, one in zip(self.places, read, strict=True):
                torch.default_generator.manual_seed(seed_of(self.seed, "augment", step, place))  # not that of GPUs
                made.append(self._made(one))
        images, labels = zip(*made, strict=True)
        return torch.stack(images), torch.stack(labels)

    def _pick(self, step: int, place: int) -> _Picked:
        """What stands at a place of the batch: source images first, then target images."""
        if place < self.source_count:
            return _Picked(self._pick_source("source", step, place, self.source_count))
        j = place - self.source_count
        position, rare, rng = step * self.target_count + j, None, None
        i = shuffled(position, len(self.target), seed_of(self.seed, "target"))
        if self.rare_crops:
            rng = np.random.default_rng((seed_of(self.seed, "rare"), position))
            i, rare = self.rare_crops.pick(i, rng)
        pasted = self._pick_source("collage", step, j, self.target_count) if self.collage else None
        return _Picked(pasted, i, rare, rng)

    def _pick_source(self, stream: str, step: int, j: int, count: int) -> int:
        return self.pick_source(step * count + j, len(self.source), seed_of(self.seed, stream))

    def _read(self, picked: _Picked) -> _Read:
        source = None if picked.source is None else self.source.load(picked.source)
        target = None if picked.target is None else self.target.load(picked.target)
        rare = None if picked.rare is None else picked.rng.choice(np.argwhere(target[1] == picked.rare))
        pairs = (pair and tuple(map(torch.from_numpy, pair)) for pair in (source, target))
        return _Read(*pairs, rare if rare is None else (int(rare[0]), int(rare[1])))

    def _made(self, read: _Read) -> tuple[torch.Tensor, torch.Tensor]:
        if read.target is None:
            return self.augment_source(read.source)
        pair = self.augment_target(read.target, read.centre)
        return self.collage(pair, self.augment_source(read.source)) if self.collage else pair


class _Told(Dataset):
    """Batches, or what they are made of; or the BadInput that came up: DataLoader would pass on a traceback."""

    def __init__(self, batches: Batches, made: bool):
        self.batches, self.made = batches, made

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor] | list[_Read] | BadInput:
        try:
            return self.batches[step] if self.made else list(self.batches.read(step))
        except BadInput as fault:
            return fault


def ahead(
    batches: Batches, first: int, workers: int, pinned: bool, device: torch.device | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches from step `first` on, read by `workers` processes ahead of the steps, or by this one with 0.

    They are augmented there too, or on `device` if one is given. `pinned` puts what was read or made in memory that a
    GPU copies from while it computes. BadInput if a process was killed.
    """
    steps = range(first, len(batches))
    told = _Told(batches, made=device is None)
    loader = DataLoader(told, batch_size=None, sampler=steps, num_workers=workers, pin_memory=pinned)
    given = _whole(iter(loader))  # draws a number of torch's generator here, not when the first batch is asked for
    if device is None:
        return given
    return (batches.made(step, [read.to(device) for read in places]) for step, places in zip(steps, given, strict=True))


def _whole(loader: Iterator) -> Iterator:
    try:
        for batch in loader:
            if isinstance(batch, BadInput):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise BadInput(
            f"training.workers: a process that makes mini-batches ended ({in_short(error)}); if memory was short, "
            "lower it or training.cache_mb"
        ) from None
