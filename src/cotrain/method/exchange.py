"""Exchange of pseudo-labelled images between models (Gómez et al. 2022, Algorithm 2)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cotrain.method.selection import ranked


class Sent(NamedTuple):
    """One image of an exchange: its position among the sender's images, and the class it was taken for."""

    position: int
    reason: int


def exchange(
    image_ids: Sequence[str],
    confidence: np.ndarray,
    class_confidence: np.ndarray,
    class_fraction: np.ndarray,
    sender_thresholds: np.ndarray,
    receiver_thresholds: np.ndarray,
    *,
    count: int,
    balance: float,
    rank_by: str,
    min_class_fraction: float,
) -> list[Sent]:
    """The sender's images that the receiver will train on (Algorithm 2, one direction).

    confidence (N,), class_confidence (N, C) with NaN where absent, class_fraction (N, C) share of an image's pixels,
    thresholds (C,). Classes are visited from the one in which the sender is most ahead; of the images with that class
    those whose score reaches λ·max + (1−λ)·min (`balance` is λ) are taken, best first, until `count` (n).
    `rank_by`: "image" scores an image by its mean confidence, "class" by its mean confidence on the visited class.
    """
    taken: dict[int, Sent] = {}
    for c in np.argsort(receiver_thresholds - sender_thresholds, kind="stable"):
        scores = class_confidence[:, c] if rank_by == "class" else confidence
        present = (class_fraction[:, c] > 0) & (class_fraction[:, c] >= min_class_fraction)
        if not present.any():
            continue
        best, worst = scores[present].max(), scores[present].min()
        cut = min(best, balance * best + (1 - balance) * worst)  # rounding must not lift it above the best image
        for i in ranked(np.where(present, scores, -1), image_ids):
            if len(taken) == count:
                return list(taken.values())
            if present[i] and scores[i] >= cut and i not in taken:
                taken[i] = Sent(i, int(c))
    return list(taken.values())
