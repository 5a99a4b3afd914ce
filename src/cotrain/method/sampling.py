"""Portions of cycles, lengths of trainings, and the order in which images are drawn."""

import math
from functools import lru_cache

import numpy as np


def portion(
    start: float,
    step: float,
    maximum: float,
    k: int,
) -> float:
    """Share of pixels to pseudo-label in cycle k = 0, 1, …: min(p_m + k·Δp, p_M) (Gómez et al. 2022, Sect. III-A)."""
    return min(start + k * step, maximum)


def iterations(
    steps: int | None,
    epochs: float | None,
    images: int,
    per_step: int,
) -> int:
    """Length of a training: `steps`, or as many as show `images` images `epochs` times with `per_step` in a batch."""
    if steps:
        return steps
    batches = epochs * images / per_step
    return math.ceil(batches - 1e-9)  # a whole number may come out a little too large: 0.1·30


def shuffled(position: int, count: int, seed: int) -> int:
    """Item at `position` of the endless sequence of shuffled epochs over `count` items; no state to keep or restore."""
    epoch, offset = divmod(position, count)
    order = _permutation(count, seed, epoch)
    return int(order[offset])


@lru_cache(maxsize=8)
def _permutation(count: int, seed: int, epoch: int) -> np.ndarray:
    rng = np.random.default_rng((seed, epoch))
    return rng.permutation(count)


def balanced(
    position: int,
    class_pixels: np.ndarray,
    temperature: float,
    seed: int,
) -> int:
    """Image for one position of class-balanced sampling: a class with probability softmax((1 − f_c)/T), then an image.

    class_pixels (N, C) int64: pixels of each class in each source image; f_c is the class's share of all of them.
    Classes that no image has are never picked (Gómez et al. 2022, Sect. IV-B).
    """
    pixels = class_pixels.sum(axis=0)
    share = pixels / pixels.sum()
    score = (1 - share) / temperature
    score = np.where(pixels > 0, score, -np.inf)
    weight = np.exp(score - score.max())
    probability = weight / weight.sum()
    rng = np.random.default_rng((seed, position))
    c = rng.choice(len(pixels), p=probability)
    images = np.flatnonzero(class_pixels[:, c])
    return int(rng.choice(images))
