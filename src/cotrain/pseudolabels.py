"""Thresholds, assignment, selection, combination, exchange and fusion of pseudo-labels: arrays in, arrays out.

Confidences are the storage's uint16 (`round(p·65535)`), so that every comparison here is exact; a class map is uint8
with `VOID` for "no label". C classes, N images of H×W pixels. Sections are those of Gómez et al. 2022.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

VOID = 255
SCALE = 65535


def class_thresholds(histogram: np.ndarray, portion: float, lower: float, upper: float) -> np.ndarray:
    """Confidence above which a fraction `portion` of each class's pixels lies, clipped (Sect. III-A, C_T).

    histogram (C, 65536) int: how many pixels of each class have each uint16 confidence (V_c). `portion`, `lower` (C_m)
    and `upper` (C_M) lie in [0, 1]. Returns (C,) float64: the largest stored confidence that at least `portion` of
    V_c (and at least one pixel) reaches; `lower` for a class that was never predicted. Exact at storage resolution.
    """
    pixels = histogram.sum(axis=1)
    wanted = np.maximum(1, np.ceil(portion * pixels - 1e-9)).astype(np.int64)
    at_least = histogram[:, ::-1].cumsum(axis=1)
    thresholds = (SCALE - (at_least >= wanted[:, None]).argmax(axis=1)) / SCALE
    thresholds[pixels == 0] = lower
    return thresholds.clip(lower, upper)


# Thresholding policies by name: (histogram, portion, lower, upper) → threshold of each class.
POLICIES = {"mpt": class_thresholds}


def assign(label: np.ndarray, confidence: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Keep the labels whose confidence reaches their class's threshold; the rest becomes void (Sect. III-A).

    label (…) uint8, confidence (…) uint16, thresholds (C,) in [0, 1]. Returns (…) uint8.
    """
    cut = np.full(256, SCALE + 1, np.int32)
    cut[: len(thresholds)] = np.ceil(np.asarray(thresholds) * SCALE - 1e-6)
    return np.where(confidence >= cut[label], label, np.uint8(VOID))


class ImageStatistics(NamedTuple):
    """What selection and exchange need to know of one pseudo-labelled image."""

    confidence: float  # mean confidence of the labelled pixels, 0 where there is none
    class_confidence: np.ndarray  # (C,) float64, NaN for an absent class
    class_pixels: np.ndarray  # (C,) int64


def image_statistics(label: np.ndarray, confidence: np.ndarray, classes: int) -> ImageStatistics:
    """Mean confidences of an image's pseudo-labels, over all and per class (the image confidence of Sect. III-A).

    label (H, W) uint8, confidence (H, W) uint16.
    """
    pixels = np.bincount(label.ravel(), minlength=256)[:classes]
    total = np.bincount(label.ravel(), weights=confidence.ravel(), minlength=256)[:classes]
    mean = np.divide(total, pixels * SCALE, out=np.full(classes, np.nan), where=pixels > 0)
    labelled = pixels.sum()
    return ImageStatistics(float(total.sum() / (labelled * SCALE)) if labelled else 0.0, mean, pixels)


def ranked(scores: np.ndarray, image_ids: Sequence[str]) -> list[int]:
    """Positions in order of descending score; ties in order of image id."""
    return sorted(range(len(image_ids)), key=lambda i: (-scores[i], image_ids[i]))


def select(confidence: np.ndarray, image_ids: Sequence[str], count: int) -> list[int]:
    """Positions of the `count` (n) most confident images, best first; an image without labels is never taken."""
    return [i for i in ranked(confidence, image_ids) if confidence[i] > 0][:count]


def combine(
    label: np.ndarray, confidence: np.ndarray, other_label: np.ndarray, other_confidence: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fill this model's void pixels with the other model's labels; disagreements stay (Sect. III-B, Combination).

    Class maps (H, W) uint8, confidences (H, W) uint16. Returns the combined map and its confidences.
    """
    adopt = (label == VOID) & (other_label != VOID)
    return np.where(adopt, other_label, label), np.where(adopt, other_confidence, confidence)


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


def fuse(previous: dict[str, float], new: dict[str, float]) -> dict[str, str]:
    """Union by image id; an image in both keeps the pseudo-labels of the higher image confidence (Sect. III-A).

    Both map image id to image confidence. Returns image id to "previous" or "new", earlier images first; equal
    confidences keep the earlier pseudo-labels.
    """
    origin = dict.fromkeys(previous, "previous")
    return origin | {i: "new" for i, c in new.items() if i not in previous or c > previous[i]}


def collage_mask(source_label: np.ndarray, thresholds: np.ndarray, share: float) -> np.ndarray:
    """Pixels of a source crop to paste over a target image (ClassMix-inspired collage, Sect. III-A).

    Of the m classes present (void is none), the `max(1, floor(share·m))` least confident ones, by ascending threshold
    C_T (ties by class). source_label (H, W) uint8, thresholds (C,), share is p_CM. Returns (H, W) bool.
    """
    present = np.flatnonzero(np.bincount(source_label.ravel(), minlength=256)[: len(thresholds)])
    order = present[np.argsort(thresholds[present], kind="stable")]
    return np.isin(source_label, order[: max(1, int(share * len(present)))])
