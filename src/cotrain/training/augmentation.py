"""Random zoom, crop, flip and jitter; the ClassMix collage; rare-class crops."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from cotrain.method import labelmaps
from cotrain.method.collage import collage_classes
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.settings.training import Augmentation
from cotrain.training.sources import Pair

Crop = tuple[torch.Tensor, torch.Tensor]  # image (3, h, w) and label (h, w), both uint8
Augment = Callable[..., Crop]  # of an image with its label, and where the crop is centred


class Collage:
    """Pastes the least confident classes of a source crop over a target crop: order and share of `collage_classes`."""

    def __init__(self, order: np.ndarray, share: float):
        self.order = order
        self.share = share

    def __call__(self, target: Crop, source: Crop) -> Crop:
        """Two crops on any device → the target crop with classes of the source crop over it."""
        target_image, target_label = target
        source_image, source_label = source
        mask = self.mask(source_label)
        image = torch.where(mask, source_image, target_image)
        label = torch.where(mask, source_label, target_label)
        return image, label

    def mask(self, label: torch.Tensor) -> torch.Tensor:
        """Pixels of a source crop that are pasted: (h, w) uint8 → (h, w) bool."""
        pixels = torch.bincount(label.ravel(), minlength=256).cpu().numpy()  # the last is of void
        classes = collage_classes(pixels, self.order, self.share)
        pasted = torch.as_tensor(classes, dtype=torch.uint8).to(label.device)
        return torch.isin(label, pasted)


class RareCrops:
    """Chooses target crops that are centred on a rare class (Zou et al. 2018, Sect. 5)."""

    def __init__(self, class_pixels: np.ndarray, rare: Sequence[int], probability: float):
        """class_pixels (N, C): pseudo-labelled pixels of each class in each image; `rare` are classes."""
        self.images_of_class: list[tuple[int, np.ndarray]] = []
        for c in rare:
            images = np.flatnonzero(class_pixels[:, c])
            if len(images):
                self.images_of_class.append((int(c), images))
        self.probability = probability if self.images_of_class else 0

    def pick(self, image: int, rng: np.random.Generator) -> tuple[int, int | None]:
        """With `probability`, an image that has a rare class, and that class; else `image` and None."""
        if rng.random() >= self.probability:
            return image, None
        chosen = rng.integers(len(self.images_of_class))
        c, images = self.images_of_class[chosen]
        return int(rng.choice(images)), c


def augmentation(settings: Augmentation, size: tuple[int, int]) -> Augment:
    """Random zoom about the working size, crop (void beyond the image), flip and colour jitter, from torchvision."""
    from torchvision import tv_tensors
    from torchvision.transforms import v2

    width_and_height = size[::-1]
    zoom = v2.ScaleJitter(width_and_height, settings.zoom)
    void = {tv_tensors.Image: 0, tv_tensors.Mask: labelmaps.VOID}
    steps = [
        v2.RandomCrop(settings.crop, pad_if_needed=True, fill=void),
        v2.RandomHorizontalFlip(settings.flip),
    ]
    if settings.jitter:
        steps.append(v2.ColorJitter(settings.jitter, settings.jitter, settings.jitter))
    crop_and_change = v2.Compose(steps)

    def augment(pair: Pair | Crop, centre: tuple[int, int] | None = None) -> Crop:
        """Image (H, W, 3) and label (H, W) → a crop about `centre` (row, column); None: anywhere."""
        pixels, classes = torch.as_tensor(pair[0]), torch.as_tensor(pair[1])
        image = tv_tensors.Image(pixels.permute(2, 0, 1))
        label = tv_tensors.Mask(classes)
        image, label = zoom(image, label)
        if centre is not None:  # cut to the crop's size before, the random crop has no choice left
            window = _window(centre, classes.shape, label.shape, settings.crop)
            image = v2.functional.crop(image, *window)
            label = v2.functional.crop(label, *window)
        image, label = crop_and_change(image, label)
        return image.as_subclass(torch.Tensor), label.as_subclass(torch.Tensor)

    return augment


def _window(centre: Sequence[int], size: Sequence[int], zoomed: Sequence[int], crop: Sequence[int]) -> tuple[int, ...]:
    """top, left, height, width of a crop of an image of size `zoomed`, about what was at `centre` at size `size`."""
    corner = []
    shape = []
    for place, old, new, side in zip(centre, size, zoomed, crop, strict=True):
        length = min(side, new)
        zoomed_place = (place + 0.5) * new / old
        start = math.floor(zoomed_place - length / 2)
        corner.append(min(max(start, 0), new - length))
        shape.append(length)
    return *corner, *shape
