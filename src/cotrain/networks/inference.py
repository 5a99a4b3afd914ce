"""From models and images to class probabilities, and from those to what predictions.h5 stores.

Two joints. `Probabilities` is what a network says of a batch of images of one size: `ensemble` joins models, `views`
scales and flips. `Maps` gives the probabilities of whole images from that: `whole` or `patches`, `weighted`.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import chain, groupby, islice

import numpy as np
import torch
from torch.nn import functional as F

from cotrain.base.seeds import seed_of
from cotrain.method.labelmaps import SCALE, VOID
from cotrain.networks.mosaics import Mosaic, Window, windows
from cotrain.networks.segmenter import Segmenter
from cotrain.settings.inference import Infer, Patches, Shard

Probabilities = Callable[[torch.Tensor], torch.Tensor]  # images (B, 3, H, W) uint8 → (B, C, H, W) float32
Images = Iterable[tuple[str, np.ndarray]]  # id and image (H, W, 3) uint8, all of one size
Maps = Callable[[Images], Iterator[torch.Tensor]]  # → (C, H, W) float32 of each image, in their order


def strategy(probabilities: Probabilities, settings: Infer, prior: np.ndarray | None = None) -> Maps:
    """The probabilities that `infer` stores: at its scales, whole or by patches, with or without a prior."""
    views_of_image = views(probabilities, settings.scales, settings.flip)
    if settings.patches.count > 0:
        maps = patches(views_of_image, settings.batch, settings.patches, settings.seed)
    else:
        maps = whole(views_of_image, settings.batch)
    if prior is None:
        return maps
    return weighted(maps, prior)


def part(count: int, batch: int, shard: Shard | None) -> range:
    """Which of `count` images a shard has: whole groups of `batch`, about as many as each other shard.

    No forward pass crosses the border of such a group, so all passes are those of an inference in one piece.
    """
    if shard is None:
        return range(count)
    groups = math.ceil(count / batch)
    first_group = groups * (shard.number - 1) // shard.count
    end_group = groups * shard.number // shard.count
    first = min(batch * first_group, count)
    end = min(batch * end_group, count)
    return range(first, end)


# ---- probabilities of a batch -----------------------------------------------------------------------------------


def ensemble(models: Sequence[Segmenter], join: str = "mean") -> Probabilities:
    """Softmax probabilities of one model, or their mean or maximum over several."""
    device = next(models[0].parameters()).device
    for model in models:
        model.eval()

    def softmax(model: Segmenter, images: torch.Tensor) -> torch.Tensor:
        return model(images).float().contiguous().softmax(dim=1)

    def probabilities(images: torch.Tensor) -> torch.Tensor:
        images = images.to(device, non_blocking=True)
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            each = (softmax(model, images) for model in models)
            if join == "max":
                return reduce(torch.maximum, each)
            total = reduce(torch.add, each)
            if len(models) == 1:
                return total
            return total / len(models)

    return probabilities


def views(probabilities: Probabilities, scales: Sequence[float], flip: bool) -> Probabilities:
    """Mean over the image at each of `scales`, and over each of these mirrored with `flip` (Zou et al. 2018, MST)."""
    if tuple(scales) == (1,) and not flip:
        return probabilities

    def at_scale(images: torch.Tensor, scale: float) -> torch.Tensor:
        """The sum over an image and its mirror image, at the size of `images`."""
        size = images.shape[-2:]
        scaled_size = [max(1, round(scale * length)) for length in size]
        scaled = _resized(images, scaled_size, antialias=True)
        p = probabilities(scaled)
        if flip:
            mirrored = probabilities(scaled.flip(-1))
            p = p + mirrored.flip(-1)
        return _resized(p, size)

    def mean(images: torch.Tensor) -> torch.Tensor:
        count = len(scales) * (1 + flip)
        total = reduce(torch.add, (at_scale(images, scale) for scale in scales))
        return total / count

    return mean


def _resized(maps: torch.Tensor, size: Sequence[int], antialias: bool = False) -> torch.Tensor:
    if list(maps.shape[-2:]) == list(size):
        return maps
    return F.interpolate(
        maps,
        size=tuple(size),
        mode="bilinear",
        align_corners=False,
        antialias=antialias,
    )


# ---- probabilities of images ------------------------------------------------------------------------------------


def whole(probabilities: Probabilities, batch: int) -> Maps:
    """Each image at once, `batch` of them in a forward pass."""

    def maps(images: Images) -> Iterator[torch.Tensor]:
        for group in _batched(images, batch):
            stacked = _stacked([image for _, image in group])
            yield from probabilities(stacked)

    return maps


def of_any_size(probabilities: Probabilities, batch: int) -> Maps:
    """As `whole`, for images of several sizes: up to `batch` of one size that follow each other in a forward pass."""

    def maps(images: Images) -> Iterator[torch.Tensor]:
        for _, of_one_size in groupby(images, key=_shape):
            yield from whole(probabilities, batch)(of_one_size)

    return maps


def _shape(named_image: tuple[str, np.ndarray]) -> tuple[int, ...]:
    _, image = named_image
    return image.shape


def patches(probabilities: Probabilities, batch: int, settings: Patches, seed: int) -> Maps:
    """SISC: mean probability over the random patches that show a pixel (Iqbal and Ali 2020, Sect. 3.2).

    `batch` patches in a forward pass, of one image or several out of a group of `batch` images (see `part`); an image
    is in memory only until its last patch is done. The patches of an image depend on `seed` and its id alone. With
    `average: frequency`, a patch has one vote for its most probable class in each pixel (Sect. 4.3) instead of
    probabilities.
    """

    def cut(images: Images) -> Iterator[tuple[Mosaic, Window]]:
        """The patches of the images, one after the other."""
        for image_id, image in images:
            places = windows(image.shape[:2], settings.height, settings.count, seed_of(seed, image_id))
            mosaic = Mosaic(image, places)
            for window in places:
                yield mosaic, window

    def maps(images: Images) -> Iterator[torch.Tensor]:
        for group in _groups(images, batch):
            for pieces in _batched(cut(group), batch):
                stacked = _stacked([mosaic.image[window] for mosaic, window in pieces])
                p = probabilities(stacked)
                if settings.average == "frequency":
                    p = votes(p)
                for (mosaic, window), patch in zip(pieces, p, strict=True):
                    mosaic.add(window, patch)
                    if mosaic.complete:
                        yield mosaic.mean()

    return maps


def votes(probabilities: torch.Tensor) -> torch.Tensor:
    """1 for the most probable class of each pixel, 0 for the others; a tie shares the vote. (B, C, H, W) → the same."""
    best = probabilities == probabilities.amax(dim=1, keepdim=True)  # argmax takes 5 times as long
    return best / best.sum(dim=1, keepdim=True)


def weighted(maps: Maps, prior: np.ndarray) -> Maps:
    """Probabilities times a spatial prior q_n(c) (C, H, W), not normalised again (Zou et al. 2018, Eq. 9)."""

    def products(images: Images) -> Iterator[torch.Tensor]:
        weights = torch.from_numpy(prior)
        for p in maps(images):
            weights = weights.to(p.device)
            yield p * weights

    return products


def _stacked(images: Sequence[np.ndarray]) -> torch.Tensor:
    """(H, W, 3) each → (B, 3, H, W), with channels last in memory as the network wants them."""
    stacked = torch.from_numpy(np.stack(images))
    return stacked.permute(0, 3, 1, 2)


def _batched(items: Iterable, count: int) -> Iterator[list]:
    """The items in lists of `count`; the last may be shorter."""
    iterator = iter(items)
    while True:
        batch = list(islice(iterator, count))
        if not batch:
            return
        yield batch


def _groups(items: Iterable, count: int) -> Iterator[Iterator]:
    """The items by `count`, none taken before it is needed; each group must be used up before the next."""
    iterator = iter(items)
    for first in iterator:
        yield chain([first], islice(iterator, count - 1))


# ---- what is stored ---------------------------------------------------------------------------------------------


def most_probable(probabilities: torch.Tensor, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The `keep` (K) most probable classes of each pixel, best first; of equally probable ones the first class.

    probabilities (C, H, W) in [0, 1] → labels (K, H, W) uint8 and confidences (K, H, W) uint16, which are
    round(p·65535).
    """
    best = _largest(_packed(probabilities), keep)
    unpacked = best.cpu().numpy()
    labels = 255 - (unpacked & 255)
    confidences = unpacked >> 8
    return labels.astype(np.uint8), confidences.astype(np.uint16)


def _packed(probabilities: torch.Tensor) -> torch.Tensor:
    """Confidence · 256 + 255 - class of each pixel and class, (C, H, W) int32.

    The largest of these is found 20 times as fast as by argmax, the K largest 5 times as fast as by topk.
    """
    classes = len(probabilities)
    codes = torch.arange(255, 255 - classes, -1, dtype=torch.int32, device=probabilities.device)
    confidences = probabilities * SCALE
    confidences = confidences.round_().clamp_(0, SCALE).to(torch.int32)
    return confidences.mul_(256).add_(codes[:, None, None])


def _largest(values: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` largest along the first axis, falling: (C, H, W) → (count, H, W)."""
    if count == 1:
        return values.amax(dim=0, keepdim=True)
    best = torch.full((count, *values.shape[1:]), -1, dtype=values.dtype, device=values.device)
    for value in values:
        for place in best:  # the larger stays, the smaller goes on to the next place
            smaller = torch.minimum(place, value)
            torch.maximum(place, value, out=place)
            value = smaller
    return best


def count_confidences(histogram: np.ndarray, label: np.ndarray, confidence: np.ndarray) -> None:
    """Add pixels to a histogram (C, 65536) int64: how many of each class have each confidence; void does not count.

    label uint8 and confidence uint16 of one shape.
    """
    labelled = label != VOID
    classes = label[labelled].astype(np.int64)
    bins = classes * (SCALE + 1) + confidence[labelled]
    np.add.at(histogram.reshape(-1), bins, 1)


def decided(probabilities: torch.Tensor, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Class, confidence and entropy of each pixel of one image at another size, class by class to save memory.

    probabilities (C, h, w) → labels (H, W) uint8, the probability of each pixel's class (H, W) float32, and the entropy
    of its probabilities (H, W) float32 as a share of the largest there can be, ln C.
    """
    best = torch.full(tuple(size), -1.0, device=probabilities.device)
    label = torch.zeros_like(best, dtype=torch.uint8)
    entropy = torch.zeros_like(best)
    for c, map_of_class in enumerate(probabilities):
        p = _resized(map_of_class[None, None], size)[0, 0]
        label[p > best] = c
        torch.maximum(best, p, out=best)
        entropy -= torch.xlogy(p, p)
    largest_entropy = math.log(len(probabilities))
    entropy = (entropy / largest_entropy).clamp_(0, 1)
    return label.cpu().numpy(), best.cpu().numpy(), entropy.cpu().numpy()


def resized_labels(probabilities: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Most probable class (H, W) uint8 of one image at another size. probabilities (C, h, w)."""
    (resized,) = _resized(probabilities[None], size)
    labels = resized.argmax(dim=0)
    return labels.to(torch.uint8).cpu().numpy()
