"""Thresholds, assignment, selection, combination, exchange and fusion of pseudo-labels: arrays in, arrays out.

Confidences are the storage's uint16 (`round(p·65535)`), so that every comparison here is exact; a class map is uint8
with `VOID` for "no label". C classes, N images of H×W pixels, K classes stored per pixel. Sections are those of Gómez
et al. 2022; Zou 2018 is CBST.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

VOID = 255
SCALE = 65535
BLOCK = 2**16  # pixels that are worked on at a time, so that they stay in a processor's cache
RUN = 2**16  # pixels at most, whose confidences add up to less than 2^32


# ---- thresholds: histogram (C, 65536), portion, lower, upper → (C,) ---------------------------------------------


def quantile(histogram: np.ndarray, portion: float) -> np.ndarray:
    """Largest stored confidence that at least `portion` of the pixels (and at least one) reach; NaN without pixels.

    histogram (…, 65536) int: how many pixels have each uint16 confidence. Returns (…) float64, exact at storage
    resolution: of n pixels in descending order, the confidence of the ⌈portion·n⌉-th.
    """
    pixels = histogram.sum(axis=-1)
    wanted = np.maximum(1, np.ceil(portion * pixels - 1e-9)).astype(np.int64)
    at_least = histogram[..., ::-1].cumsum(axis=-1)
    reached = (SCALE - (at_least >= wanted[..., None]).argmax(axis=-1)) / SCALE
    return np.where(pixels > 0, reached, np.nan)


def class_thresholds(histogram: np.ndarray, portion: float, lower: float, upper: float) -> np.ndarray:
    """MPT: confidence that a fraction `portion` of each class's pixels reaches, clipped (Sect. III-A, C_T).

    histogram (C, 65536) int: how many pixels of each class have each uint16 confidence (V_c). `portion`, `lower` (C_m)
    and `upper` (C_M) lie in [0, 1]. Returns (C,) float64; `lower` for a class that was never predicted.
    """
    return np.nan_to_num(quantile(histogram, portion), nan=lower).clip(lower, upper)


def common_threshold(histogram: np.ndarray, portion: float, lower: float, upper: float) -> np.ndarray:
    """ST: the confidence that a fraction `portion` of all pixels reaches, for every class (Zou 2018, Algorithm 1).

    Arguments as for `class_thresholds`; the bounds are not read. 1 if there is no pixel at all.
    """
    return np.full(len(histogram), np.nan_to_num(quantile(histogram.sum(axis=0), portion), nan=1.0))


def balanced_thresholds(histogram: np.ndarray, portion: float, lower: float, upper: float) -> np.ndarray:
    """CBST: exp(−k_c), each class's own quantile, not clipped (Zou 2018, Algorithm 2).

    Arguments as for `class_thresholds`; the bounds are not read. 1 for a class that was never predicted: p/τ ≤ 1 then
    leaves it out of Eq. 8. At least 1/65535: what is stored as 0 is no evidence for a class.
    """
    return np.nan_to_num(quantile(histogram, portion), nan=1.0).clip(1 / SCALE, 1)


def fixed_threshold(histogram: np.ndarray, portion: float, lower: float, upper: float) -> np.ndarray:
    """The confidence `lower` for every class, whatever was predicted."""
    return np.full(len(histogram), lower)


# ---- assignment: labels (K, H, W), confidences (K, H, W), thresholds (C,) → label and its confidence (H, W) -------


def assign(label: np.ndarray, confidence: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Keep the labels whose confidence reaches their class's threshold; the rest becomes void (Sect. III-A).

    label (…) uint8, confidence (…) uint16, thresholds (C,) in [0, 1]. Returns (…) uint8.
    """
    import cv2  # here: it takes long to import, and what else is in this module needs none of it

    cut = np.full(256, SCALE, np.uint16)
    cut[: len(thresholds)] = np.ceil(np.asarray(thresholds) * SCALE - 1e-6)
    unsure = confidence < cv2.LUT(label.reshape(-1), cut).reshape(label.shape)
    return label | np.negative(unsure.view(np.uint8))  # VOID has all bits set


def assign_most_probable(
    labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable class of each pixel where it reaches its threshold, and its confidence (MPT, ST).

    labels (K, H, W) uint8 and confidences (K, H, W) uint16, best first; thresholds (C,) in [0, 1].
    Returns (H, W) uint8 with VOID, and (H, W) uint16.
    """
    return assign(labels[0], confidences[0], thresholds), confidences[0]


def assign_balanced(
    labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The class of the largest p_c/τ_c among the stored ones, where that is at least 1 (Zou 2018, Eq. 8).

    Arguments and result as for `assign_most_probable`. A class that is not the most probable can win; of equal ratios
    the more probable class does. Eq. 8 asks for more than 1; here the pixel at the threshold is kept, as in MPT.
    """
    ratios = _ratios(labels, confidences, thresholds)
    best = ratios.argmax(axis=0)[None]
    label, confidence, ratio = (np.take_along_axis(array, best, axis=0)[0] for array in (labels, confidences, ratios))
    return np.where(ratio >= 1, label, np.uint8(VOID)), confidence


def _ratios(labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """p_c/τ_c of the stored classes, 0 for VOID.

    Both are whole numbers of 1/65535. Quotients of integers below 2^16 differ by at least 2^-32 or are equal, so
    comparing them as float64 is exact.
    """
    unit = np.full(256, np.inf)
    unit[: len(thresholds)] = _units(thresholds)
    return confidences / unit[labels]


def _blocks(*maps: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Parts of maps of one shape, `BLOCK` pixels in each; of a contiguous map they are views."""
    flat = [each.reshape(-1) for each in maps]
    for start in range(0, len(flat[0]), BLOCK):
        yield [each[start : start + BLOCK] for each in flat]


def _units(thresholds: np.ndarray) -> np.ndarray:
    return np.rint(np.asarray(thresholds) * SCALE)


def undecided_balanced(labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray, total: float) -> int:
    """Pixels where a class that was not stored could have won Eq. 8: 0 means that K was large enough.

    labels and confidences (K, H, W) with K stored classes, thresholds (C,), `total` the largest sum of a pixel's
    probabilities. A class not stored is at most as probable as the last one stored and as what the stored ones leave.
    """
    keep = len(labels)
    if keep >= len(thresholds):
        return 0
    units, best = _units(thresholds), _ratios(labels, confidences, thresholds).max(axis=0)
    left = total * SCALE - confidences.sum(axis=0, dtype=np.int64) + (keep + 1) // 2 + 1  # each was rounded to a half
    bound = np.minimum(confidences[-1], left)
    wanted = np.maximum(best, np.nextafter(1, 0))  # to be exceeded
    near = bound / units.min() > wanted
    lowest = np.argsort(units, kind="stable")[: keep + 1]
    absent = (lowest[:, None, None] != labels[None, :, near]).all(axis=1)  # at least one of K + 1 classes is not stored
    return int((bound[near] / units[lowest[absent.argmax(axis=0)]] > wanted[near]).sum())


def confidence_of(label: np.ndarray, labels: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Confidence (H, W) uint16 of the classes `label` (H, W) among the stored (K, H, W); 0 where it is not stored."""
    return (confidences * (labels == label)).max(axis=0)


# ---- policies -----------------------------------------------------------------------------------------------------


class Policy(NamedTuple):
    """How predictions become pseudo-labels."""

    thresholds: Callable[[np.ndarray, float, float, float], np.ndarray]
    assign: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] = assign_most_probable
    undecided: Callable[[np.ndarray, np.ndarray, np.ndarray, float], int] = lambda *_: 0  # one class is enough


POLICIES = {
    "mpt": Policy(class_thresholds),
    "st": Policy(common_threshold),
    "cbst": Policy(balanced_thresholds, assign_balanced, undecided_balanced),
    "fixed": Policy(fixed_threshold),
}


# ---- selection, combination, exchange, fusion ---------------------------------------------------------------------


class ImageStatistics(NamedTuple):
    """What selection and exchange need to know of one pseudo-labelled image."""

    confidence: float  # mean confidence of the labelled pixels, 0 where there is none
    class_confidence: np.ndarray  # (C,) float64, NaN for an absent class
    class_pixels: np.ndarray  # (C,) int64


def image_statistics(label: np.ndarray, confidence: np.ndarray, classes: int) -> ImageStatistics:
    """Mean confidences of an image's pseudo-labels, over all and per class (the image confidence of Sect. III-A).

    label (H, W) uint8, confidence (H, W) uint16.
    """
    label, confidence = label.ravel(), confidence.ravel()
    ends = _ends_of_runs(label)
    found = label[ends]
    sums = np.diff(np.cumsum(confidence, dtype=np.uint32)[ends], prepend=np.uint32(0))  # right, though it wraps around
    pixels = np.bincount(found, np.diff(ends, prepend=-1), 256)[:classes].astype(np.int64)
    total = np.bincount(found, sums, 256)[:classes]
    mean = np.divide(total, pixels * SCALE, out=np.full(classes, np.nan), where=pixels > 0)
    labelled = pixels.sum()
    return ImageStatistics(float(total.sum() / (labelled * SCALE)) if labelled else 0.0, mean, pixels)


def _ends_of_runs(label: np.ndarray) -> np.ndarray:
    """Positions of the last pixels of runs of one class, of `RUN` pixels at most. label (n,) uint8, n > 0."""
    last = np.zeros(-len(label) // 8 * -8, bool)
    np.not_equal(label[1:], label[:-1], out=last[: len(label) - 1])
    last[RUN - 1 : len(label) : RUN] = True
    last[len(label) - 1] = True
    eights = last.view(np.uint64)  # most have no end: only the others are looked into
    some = np.flatnonzero(eights != 0)
    inside = np.flatnonzero(eights[some].view(bool))
    return 8 * some[inside // 8] + inside % 8


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

    Class maps (H, W) uint8, confidences (H, W) uint16. Returns the combined map and its confidences. The bits of masks
    are combined, which is several times as fast as `np.where`.
    """
    combined, sure = np.empty(label.shape, label.dtype), np.empty(label.shape, confidence.dtype)
    maps = label, other_label, combined, confidence, other_confidence, sure
    for own, other, joined, own_sure, other_sure, joined_sure in _blocks(*maps):
        adopt = np.negative(((own == VOID) & (other != VOID)).view(np.int8))  # all bits where it is so
        np.bitwise_and(own, other | ~adopt.view(np.uint8), out=joined)  # VOID has all bits, too
        np.bitwise_xor(own_sure, (own_sure ^ other_sure) & adopt.astype(np.int16).view(np.uint16), out=joined_sure)
    return combined, sure


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


def rare_classes(pixels: np.ndarray, share: float) -> np.ndarray:
    """Classes that make up less than `share` of the predicted pixels (Zou 2018, Sect. 5). pixels (C,) int."""
    return np.flatnonzero(pixels < share * pixels.sum())


def collage_order(thresholds: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """All classes from the least to the most confident: by ascending threshold C_T (Sect. III-A).

    Bounds and common thresholds make many of them equal; of those the class comes first that was predicted for fewer
    pixels, and of equally many the one of the lower number. thresholds (C,), predicted pixels (C,). Returns (C,).
    """
    return np.lexsort((predicted, thresholds))


def collage_classes(pixels: np.ndarray, order: np.ndarray, share: float) -> np.ndarray:
    """Classes of a source crop whose pixels are pasted over a target image (ClassMix-inspired collage, Sect. III-A).

    Of the m classes present, the `max(1, floor(share·m))` least confident ones. pixels (C,) of each class in the crop,
    order (C,) of `collage_order`, share is p_CM. Returns (n,) classes.
    """
    present = order[pixels[order] > 0]
    return present[: max(1, int(share * len(present)))]
