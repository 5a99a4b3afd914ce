"""Label maps and image statistics: uint8 classes with `VOID` for no label, uint16 confidences (round(p·65535))."""

from typing import NamedTuple

import numpy as np

from cotrain.method.kernels import ends_of_runs

VOID = 255
SCALE = 65535


def confidence_of(label: np.ndarray, labels: np.ndarray, confidences: np.ndarray) -> np.ndarray:
    """Confidence (H, W) uint16 of the classes `label` (H, W) among the stored (K, H, W); 0 where it is not stored."""
    return (confidences * (labels == label)).max(axis=0)


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
    ends = ends_of_runs(label)
    found = label[ends]
    sums = np.diff(np.cumsum(confidence, dtype=np.uint32)[ends], prepend=np.uint32(0))  # right, though it wraps around
    pixels = np.bincount(found, np.diff(ends, prepend=-1), 256)[:classes].astype(np.int64)
    total = np.bincount(found, sums, 256)[:classes]
    mean = np.divide(total, pixels * SCALE, out=np.full(classes, np.nan), where=pixels > 0)
    labelled = pixels.sum()
    return ImageStatistics(float(total.sum() / (labelled * SCALE)) if labelled else 0.0, mean, pixels)
