"""Exchange of pseudo-labelled images between models (Gómez et al. 2022, Algorithm 2)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cotrain.method.selection import ranked


class Candidates(NamedTuple):
    """One model's view of a cycle's N candidate images, which are the same for all models."""

    confidence: np.ndarray  # (N,) image confidence
    class_confidence: np.ndarray  # (N, C), NaN where the class is absent
    class_fraction: np.ndarray  # (N, C) share of the image's pixels
    thresholds: np.ndarray  # (C,) C_T


class Received(NamedTuple):
    """One image that a model receives."""

    position: int  # among the candidates
    sender: int  # position of the model whose pseudo-labels come with it
    reason: int  # class for which it was taken


def exchange(
    image_ids: Sequence[str],
    models: Sequence[Candidates],
    receiver: int,
    *,
    count: int,
    lambda_: float,
    rank_by: str,
    min_class_fraction: float,
) -> list[Received]:
    """Images that one of N ≥ 2 models receives from the others, at most `count` (n) (Algorithm 2, one direction).

    Pairs of a sender and a class are visited in `visiting_order`. Each pair sends its `qualifying` images, best first,
    but for those that an earlier pair has sent. With two models this is Algorithm 2 as printed in the paper.
    """
    taken: dict[int, Received] = {}
    for sender, c in visiting_order(models, receiver):
        positions = qualifying(
            image_ids,
            models[sender],
            c,
            lambda_=lambda_,
            rank_by=rank_by,
            min_class_fraction=min_class_fraction,
        )
        for position in positions:
            if len(taken) == count:
                return list(taken.values())
            if position not in taken:
                taken[position] = Received(position, sender, c)
    return list(taken.values())


def visiting_order(models: Sequence[Candidates], receiver: int) -> list[tuple[int, int]]:
    """Pairs (sender, class) by C_T^sender − C_T^receiver, descending (Algorithm 2, ClassSort).

    The sender is most ahead of the receiver in the first. Of equal pairs the lower sender comes first, then the lower
    class.
    """
    pairs = []
    for sender, model in enumerate(models):
        if sender == receiver:
            continue
        lead = model.thresholds - models[receiver].thresholds
        for c in range(len(lead)):
            pairs.append((-lead[c], sender, c))
    pairs.sort()
    return [(sender, c) for _, sender, c in pairs]


def qualifying(
    image_ids: Sequence[str],
    sender: Candidates,
    c: int,
    *,
    lambda_: float,
    rank_by: str,
    min_class_fraction: float,
) -> list[int]:
    """Positions of the images that a model may send for class c, best first (Algorithm 2, ClassImageList and cut).

    Of the images that contain the class (S), those whose score reaches t = λ·max(S) + (1 − λ)·min(S). `rank_by`:
    "image" scores an image by its mean confidence, "class" by its mean confidence on class c.
    """
    fraction = sender.class_fraction[:, c]
    contains = (fraction > 0) & (fraction >= min_class_fraction)
    if not contains.any():
        return []
    scores = sender.class_confidence[:, c] if rank_by == "class" else sender.confidence
    best = scores[contains].max()
    worst = scores[contains].min()
    cut = min(best, lambda_ * best + (1 - lambda_) * worst)  # rounding must not lift it above the best image
    reaching = np.flatnonzero(contains & (scores >= cut))
    return ranked(reaching, scores, image_ids)
