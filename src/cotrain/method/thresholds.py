"""Thresholds and assignment of pseudo-labels: MPT (Gómez et al. 2022), ST and CBST (Zou et al. 2018)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cotrain.method.kernels import void_below
from cotrain.method.labelmaps import SCALE, VOID

# ---- thresholds -------------------------------------------------------------------------------------------------


def quantile(histogram: np.ndarray, portion: float) -> np.ndarray:
    """Largest stored confidence that at least `portion` of the pixels (and at least one) reach; NaN without pixels.

    histogram (…, 65536) int: how many pixels have each uint16 confidence. Returns (…) float64, exact at storage
    resolution: of n pixels in descending order, the confidence of the ⌈portion·n⌉-th (Sect. III-A, V_c).
    """
    pixels = histogram.sum(axis=-1)
    rank = np.ceil(portion * pixels - 1e-9)  # a whole number may come out a little too large: 0.55·100
    rank = np.maximum(1, rank).astype(np.int64)
    descending = histogram[..., ::-1]
    at_least = descending.cumsum(axis=-1)  # pixels of at least the confidence SCALE, SCALE − 1, …
    reaches_rank = at_least >= rank[..., None]
    steps_down = reaches_rank.argmax(axis=-1)
    confidence = (SCALE - steps_down) / SCALE
    return np.where(pixels > 0, confidence, np.nan)


def class_thresholds(
    histogram: np.ndarray,
    portion: float,
    lower: float,
    upper: float,
) -> np.ndarray:
    """MPT: confidence that a fraction `portion` of each class's pixels reaches, clipped (Sect. III-A, C_T).

    histogram (C, 65536) int: how many pixels of each class have each uint16 confidence (V_c). `portion`, `lower` (C_m)
    and `upper` (C_M) lie in [0, 1]. Returns (C,) float64; `lower` for a class that was never predicted.
    """
    thresholds = quantile(histogram, portion)
    thresholds = np.nan_to_num(thresholds, nan=lower)
    return thresholds.clip(lower, upper)


def common_threshold(
    histogram: np.ndarray,
    portion: float,
    lower: float,
    upper: float,
) -> np.ndarray:
    """ST: the confidence that a fraction `portion` of all pixels reaches, for every class (Zou 2018, Algorithm 1).

    Arguments as for `class_thresholds`; the bounds are not read. 1 if there is no pixel at all.
    """
    classes = len(histogram)
    all_pixels = histogram.sum(axis=0)
    threshold = quantile(all_pixels, portion)
    return np.full(classes, np.nan_to_num(threshold, nan=1.0))


def balanced_thresholds(
    histogram: np.ndarray,
    portion: float,
    lower: float,
    upper: float,
) -> np.ndarray:
    """CBST: exp(−k_c), each class's own quantile, not clipped (Zou 2018, Algorithm 2).

    Arguments as for `class_thresholds`; the bounds are not read. 1 for a class that was never predicted: p/τ ≤ 1 then
    leaves it out of Eq. 8. At least 1/65535: a probability stored as 0 is no evidence for a class.
    """
    thresholds = quantile(histogram, portion)
    thresholds = np.nan_to_num(thresholds, nan=1.0)
    return thresholds.clip(1 / SCALE, 1)


def fixed_threshold(
    histogram: np.ndarray,
    portion: float,
    lower: float,
    upper: float,
) -> np.ndarray:
    """The confidence `lower` for every class, whatever was predicted.

    Arguments as for `class_thresholds`, of which `portion` and `upper` are not read.
    """
    classes = len(histogram)
    return np.full(classes, lower)


# ---- assignment -------------------------------------------------------------------------------------------------


def assign(label: np.ndarray, confidence: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Keep the labels whose confidence reaches their class's threshold; the rest becomes void (Sect. III-A).

    label (…) uint8, confidence (…) uint16, thresholds (C,) in [0, 1]. Returns (…) uint8.
    """
    classes = len(thresholds)
    steps = np.asarray(thresholds) * SCALE
    cut = np.full(256, SCALE, np.uint16)
    cut[:classes] = np.ceil(steps - 1e-6)  # a whole number may come out a little too large
    return void_below(label, confidence, cut)


def assign_most_probable(
    labels: np.ndarray,
    confidences: np.ndarray,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The most probable class of each pixel where it reaches its threshold, and its confidence (MPT, ST).

    labels (K, H, W) uint8 and confidences (K, H, W) uint16, best first; thresholds (C,) in [0, 1].
    Returns (H, W) uint8 with VOID, and (H, W) uint16. Gómez et al. 2022, Sect. III-A; Zou 2018, Eq. 5.
    """
    label = assign(labels[0], confidences[0], thresholds)
    return label, confidences[0]


def assign_balanced(
    labels: np.ndarray,
    confidences: np.ndarray,
    thresholds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """The class of the largest p_c/τ_c among the stored ones, where that is at least 1 (Zou 2018, Eq. 8).

    Arguments and result as for `assign_most_probable`. A class that is not the most probable can win; of equal ratios
    the more probable class does. Eq. 8 asks for more than 1; here the pixel at the threshold is kept, as in MPT.
    """
    ratios = _ratios(labels, confidences, thresholds)
    best = ratios.argmax(axis=0)
    label = _choose(labels, best)
    confidence = _choose(confidences, best)
    reaches = _choose(ratios, best) >= 1
    return np.where(reaches, label, np.uint8(VOID)), confidence


def undecided_balanced(
    labels: np.ndarray,
    confidences: np.ndarray,
    thresholds: np.ndarray,
    total: float,
) -> int:
    """Pixels where a class that was not stored could have won Eq. 8: 0 means that K was large enough.

    labels and confidences (K, H, W) with K stored classes, thresholds (C,), `total` the largest sum of a pixel's
    probabilities. A class not stored is at most as probable as the last one stored and as what the stored ones leave.
    """
    keep = len(labels)
    if keep >= len(thresholds):
        return 0
    stored = confidences.sum(axis=0, dtype=np.int64)
    rounding = (keep + 1) // 2 + 1  # each stored value was rounded by up to a half
    left = total * SCALE - stored + rounding
    bound = np.minimum(confidences[-1], left)
    best = _ratios(labels, confidences, thresholds).max(axis=0)
    to_exceed = np.maximum(best, np.nextafter(1, 0))  # a ratio of 1 wins, too, where no stored class reaches it

    units = _units(thresholds)
    possible = bound / units.min() > to_exceed  # elsewhere not even the class of the lowest threshold can win
    lowest = np.argsort(units, kind="stable")[: keep + 1]
    lowest_absent = _first_absent(lowest, labels[:, possible])  # there is one, as only K of the K + 1 are stored
    ratio = bound[possible] / units[lowest_absent]
    wins = ratio > to_exceed[possible]
    return int(wins.sum())


def _first_absent(classes: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """The first of `classes` (M,) that is not among the stored classes (K, n) of each pixel, (n,)."""
    differs = classes[:, None, None] != stored[None]
    is_absent = differs.all(axis=1)
    return classes[is_absent.argmax(axis=0)]


def none_undecided(
    labels: np.ndarray,
    confidences: np.ndarray,
    thresholds: np.ndarray,
    total: float,
) -> int:
    """0: a policy that reads the most probable class alone is right for any K. Arguments: `undecided_balanced`."""
    return 0


def _choose(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """values[position] of each pixel: values (K, H, W), position (H, W) in [0, K) → (H, W)."""
    return np.take_along_axis(values, position[None], axis=0)[0]


def _ratios(labels: np.ndarray, confidences: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """p_c/τ_c of the stored classes, 0 for VOID (Zou 2018, Eq. 8).

    Both are whole numbers of 1/65535. Quotients of integers below 2^16 differ by at least 2^-32 or are equal, so
    comparing them as float64 is exact.
    """
    classes = len(thresholds)
    unit = np.full(256, np.inf)
    unit[:classes] = _units(thresholds)
    unit_of_label = unit[labels]
    return confidences / unit_of_label


def _units(thresholds: np.ndarray) -> np.ndarray:
    """Thresholds in [0, 1] as whole numbers of 1/65535."""
    steps = np.asarray(thresholds) * SCALE
    return np.rint(steps)


# ---- policies ---------------------------------------------------------------------------------------------------


class Policy(NamedTuple):
    """How predictions become pseudo-labels; all policies' functions have the arguments of `mpt`'s and `cbst`'s."""

    thresholds: Callable[[np.ndarray, float, float, float], np.ndarray]
    assign: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]] = assign_most_probable
    undecided: Callable[[np.ndarray, np.ndarray, np.ndarray, float], int] = none_undecided


POLICIES = {
    "mpt": Policy(class_thresholds),
    "st": Policy(common_threshold),
    "cbst": Policy(balanced_thresholds, assign_balanced, undecided_balanced),
    "fixed": Policy(fixed_threshold),
}
