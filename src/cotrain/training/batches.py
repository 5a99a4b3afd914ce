"""Mini-batches: samplers, augmentation, MixBatch and the ClassMix collage (Gómez et al. 2022, Sect. III-A).

An image of a batch is a function of seed, step and its place, so that restarts and processes agree without any state.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from cotrain.base.seeds import seed_of
from cotrain.method.sampling import shuffled
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.training.augmentation import Collage, RareCrops
from cotrain.training.sources import Images
from cotrain.training.teams import ALONE, Team

# ---- sets of labelled images ------------------------------------------------------------------------------------


# ---- batches ----------------------------------------------------------------------------------------------------


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
