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
from cotrain.method.labelmaps import VOID
from cotrain.method.sampling import shuffled
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.training.augmentation import Augment, Collage, Crop, RareCrops
from cotrain.training.sources import Images, Pair
from cotrain.training.teams import ALONE, Team


class Batch(NamedTuple):
    """A mini-batch of one step; where several processes share a training, the part that is this one's."""

    step: int
    images: torch.Tensor  # (B, 3, h, w) uint8, sRGB
    labels: torch.Tensor  # (B, h, w) uint8 classes, void 255
    from_target: torch.Tensor  # (B,) bool: images of the target domain
    image_count: int  # of all parts
    labelled_pixels: float  # of this part; of all parts in what objectives read

    def to(self, device: torch.device) -> "Batch":
        return self._replace(
            images=self.images.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
            from_target=self.from_target.to(device, non_blocking=True),
        )


def batch_of(
    step: int,
    images: torch.Tensor,
    labels: torch.Tensor,
    from_target: Sequence[bool] | None = None,
    image_count: int | None = None,
) -> Batch:
    """A batch of images (B, 3, h, w) and labels (B, h, w), both uint8; by default whole, and of source images alone."""
    return Batch(
        step=step,
        images=images,
        labels=labels,
        from_target=torch.tensor(from_target or [False] * len(images)),
        image_count=image_count or len(images),
        labelled_pixels=int((labels != VOID).sum()),
    )


def target_count(share: float, batch: int) -> int:
    """Target images in a mini-batch: p_MB·N_MB."""
    return round(share * batch)


class _Choice(NamedTuple):
    """The images for a place of a batch, by their positions in the sets."""

    source: int | None  # of a target image: whose classes are pasted over it
    target: int | None = None
    rare: int | None = None  # class that the target crop is centred on
    rng: np.random.Generator | None = None  # draws the pixel of that class


TensorPair = tuple[torch.Tensor, torch.Tensor]  # image (H, W, 3) and label (H, W), both uint8


class Decoded(NamedTuple):
    """The images for a place of a batch with their labels, as tensors that can be sent to another device."""

    source: TensorPair | None
    target: TensorPair | None
    centre: tuple[int, int] | None  # row and column of the target image that its crop is centred on

    def to(self, device: torch.device) -> "Decoded":
        return self._replace(source=_sent(self.source, device), target=_sent(self.target, device))


class Batches(Dataset):
    """The batch of each step: `target_count` target images with a collage, the rest source images."""

    def __init__(
        self,
        source: Images,
        target: Images | None,
        augment: Sequence[Augment],
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
        """`augment` has the augmentations of source and of target images.

        `pick_source(position, count, seed)` names the source image for a position of a stream. Each batch is the part
        of this process of `team`; `threads` read its images.
        """
        self.source = source
        self.target = target
        self.augment_source, self.augment_target = augment
        self.steps = steps
        self.batch = batch
        self.target_count = target_count(target_share, batch) if target else 0
        self.source_count = batch - self.target_count
        self.collage = collage
        self.rare_crops = rare_crops
        self.pick_source = pick_source
        self.seed = seed
        self.places = team.share(range(batch))  # source images come first, then target images
        self.threads = threads

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Batch:
        return self.assembled(step, self.decoded(step))

    def decoded(self, step: int) -> Iterator[Decoded]:
        """The images for each place of a step's batch, in order."""
        choices = [self._choose(step, place) for place in self.places]
        with ThreadPoolExecutor(self.threads) as readers:
            yield from readers.map(self._decode, choices)

    def assembled(self, step: int, decoded: Iterable[Decoded]) -> Batch:
        """The batch of a step, augmented on the device that the decoded images are on."""
        crops = []
        with torch.random.fork_rng(devices=[]):
            for place, images in zip(self.places, decoded, strict=True):
                torch.default_generator.manual_seed(seed_of(self.seed, "augment", step, place))  # not that of GPUs
                crops.append(self._augmented(images))
        images, labels = zip(*crops, strict=True)
        from_target = [place >= self.source_count for place in self.places]
        return batch_of(step, torch.stack(images), torch.stack(labels), from_target, self.batch)

    def _choose(self, step: int, place: int) -> _Choice:
        if place < self.source_count:
            return _Choice(source=self._choose_source("source", step, place, self.source_count))
        return self._choose_target(step, place - self.source_count)

    def _choose_source(self, stream: str, step: int, place: int, count: int) -> int:
        """The source image for a place of `count` that are drawn from a stream in each step."""
        position = step * count + place
        return self.pick_source(position, len(self.source), seed_of(self.seed, stream))

    def _choose_target(self, step: int, place: int) -> _Choice:
        position = step * self.target_count + place
        image = shuffled(position, len(self.target), seed_of(self.seed, "target"))
        rare = rng = pasted = None
        if self.rare_crops:
            rng = np.random.default_rng((seed_of(self.seed, "rare"), position))
            image, rare = self.rare_crops.pick(image, rng)
        if self.collage:
            pasted = self._choose_source("collage", step, place, self.target_count)
        return _Choice(pasted, image, rare, rng)

    def _decode(self, choice: _Choice) -> Decoded:
        source = target = centre = None
        if choice.source is not None:
            source = self.source.load(choice.source)
        if choice.target is not None:
            target = self.target.load(choice.target)
        if choice.rare is not None:
            label = target[1]
            row, column = choice.rng.choice(np.argwhere(label == choice.rare))
            centre = int(row), int(column)
        return Decoded(_tensors(source), _tensors(target), centre)

    def _augmented(self, images: Decoded) -> Crop:
        """The crop for a place of the batch: of a source image, or of a target image with its collage."""
        if images.target is None:
            return self.augment_source(images.source)
        crop = self.augment_target(images.target, images.centre)
        if self.collage is None:
            return crop
        return self.collage(crop, self.augment_source(images.source))


def _tensors(pair: Pair | None) -> TensorPair | None:
    if pair is None:
        return None
    image, label = pair
    return torch.from_numpy(image), torch.from_numpy(label)


def _sent(pair: TensorPair | None, device: torch.device) -> TensorPair | None:
    if pair is None:
        return None
    image, label = pair
    return image.to(device, non_blocking=True), label.to(device, non_blocking=True)
