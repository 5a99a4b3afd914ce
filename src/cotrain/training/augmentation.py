"""Random zoom, crop, flip and jitter; the ClassMix collage; rare-class crops."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from cotrain.method import labelmaps
from cotrain.method.collage import collage_classes
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.settings.training import Augmentation
from cotrain.training.sources import Pair


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
        classes = collage_classes(pixels, self.order, self.share)
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

    void = {tv_tensors.Image: 0, tv_tensors.Mask: labelmaps.VOID}
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
