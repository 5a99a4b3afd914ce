"""Thresholds and assignment of pseudo-labels: MPT (Gómez et al. 2022), ST and CBST (Zou et al. 2018)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cotrain.method.labelmaps import SCALE, VOID


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
