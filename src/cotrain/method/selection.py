"""Selection of the most confident images, and fusion with those of earlier cycles (Gómez et al. 2022, Algorithm 1)."""

from collections.abc import Sequence

import numpy as np


def ranked(positions: np.ndarray, scores: np.ndarray, image_ids: Sequence[str]) -> list[int]:
    """Positions of images in order of descending score; ties in order of image id."""
    return sorted(positions.tolist(), key=lambda i: (-scores[i], image_ids[i]))


def select(confidence: np.ndarray, image_ids: Sequence[str], count: int) -> list[int]:
    """Positions of the `count` (n) most confident images, best first (Sect. III-A).

    confidence (N,). An image without pseudo-labels, whose confidence is 0, is never selected.
    """
    labelled = np.flatnonzero(confidence > 0)
    best_first = ranked(labelled, confidence, image_ids)
    return best_first[:count]


def fuse(previous: dict[str, float], new: dict[str, float]) -> dict[str, str]:
    """Union by image id; an image in both keeps the pseudo-labels of the higher image confidence (Sect. III-A).

    Both map image id to image confidence. Returns image id to "previous" or "new", earlier images first; equal
    confidences keep the earlier pseudo-labels.
    """
    origin = dict.fromkeys(previous, "previous")
    for image_id, confidence in new.items():
        if image_id not in previous or confidence > previous[image_id]:
            origin[image_id] = "new"
    return origin
