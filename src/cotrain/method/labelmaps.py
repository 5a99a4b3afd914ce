"""Label maps and image statistics: uint8 classes with `VOID` for no label, uint16 confidences (round(p·65535))."""

from typing import NamedTuple

import numpy as np

from cotrain.method.kernels import class_sums

VOID = 255
SCALE = 65535


def confidence_of(label: np.ndarray, labels: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Confidence (H, W) uint16 of the classes `label` (H, W) among the stored (K, H, W); 0 where it is not stored."""
    is_label = labels == label
    return (confidences * is_label).max(axis=0)


class ImageStatistics(NamedTuple):
    """What selection and exchange need to know of one pseudo-labelled image."""

    confidence: float  # mean confidence of the labelled pixels, 0 where there is none
    class_confidence: np.ndarray  # (C,) float64, NaN for an absent class
    class_pixels: np.ndarray  # (C,) int64


def image_statistics(label: np.ndarray, confidence: np.ndarray, classes: int) -> ImageStatistics:
    """Mean confidences of an image's pseudo-labels, over all pixels and per class (Gómez et al. 2022, Sect. III-A).

    label (H, W) uint8, confidence (H, W) uint16, number of classes C.
    """
    pixels, sums = class_sums(label, confidence)
    class_pixels = pixels[:classes]  # void comes after all classes
    class_sum = sums[:classes]
    class_confidence = np.full(classes, np.nan)
    np.divide(class_sum, class_pixels * SCALE, out=class_confidence, where=class_pixels > 0)
    labelled = class_pixels.sum()
    if not labelled:
        return ImageStatistics(0.0, class_confidence, class_pixels)
    mean = float(class_sum.sum() / (labelled * SCALE))
    return ImageStatistics(mean, class_confidence, class_pixels)
