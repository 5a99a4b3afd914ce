"""Selection of the most confident images, and fusion with those of earlier cycles (Gómez et al. 2022, Algorithm 1)."""

from collections.abc import Sequence

import numpy as np


def ranked(scores: np.ndarray, image_ids: Sequence[str]) -> list[int]:
    """Positions in order of descending score; ties in order of image id."""
    return sorted(range(len(image_ids)), key=lambda i: (-scores[i], image_ids[i]))


def select(confidence: np.ndarray, image_ids: Sequence[str], count: int) -> list[int]:
    """Positions of the `count` (n) most confident images, best first; an image without labels is never taken."""
    return [i for i in ranked(confidence, image_ids) if confidence[i] > 0][:count]


def fuse(previous: dict[str, float], new: dict[str, float]) -> dict[str, str]:
    """Union by image id; an image in both keeps the pseudo-labels of the higher image confidence (Sect. III-A).

    Both map image id to image confidence. Returns image id to "previous" or "new", earlier images first; equal
    confidences keep the earlier pseudo-labels.
    """
    origin = dict.fromkeys(previous, "previous")
    return origin | {i: "new" for i, c in new.items() if i not in previous or c > previous[i]}
