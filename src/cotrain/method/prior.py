"""Spatial prior: how frequent each class is at each place of a source image (Zou et al. 2018, Sect. 4.4)."""

import numpy as np

from cotrain.method.labelmaps import VOID


def count(counts: np.ndarray, label: np.ndarray) -> None:
    """Add one label map (H, W) uint8 to the number of labels of each class at each pixel, (C, H, W) int32.

    Changes `counts`, which must be contiguous, in place. Sect. 4.4.
    """
    label = label.ravel()
    labelled = np.flatnonzero(label != VOID)
    class_of_pixel = label[labelled]
    counts_of_pixels = counts.reshape(len(counts), -1)
    counts_of_pixels[class_of_pixel, labelled] += 1  # each pixel occurs once


def spatial_prior(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """q_n(c): share of class c among the labels at pixel n, after the counts were smoothed with a Gaussian (Eq. 9).

    counts (C, H, W) int32 → (C, H, W) float32, of sum 1 at each pixel. `smoothing` is the width of the square kernel as
    a share of the image height (70/1024 in the paper). Where no label is in reach, all classes are alike.

    The paper scales each class to Σ_n q_n(c) = 1 instead, which weighs rare classes more.
    """
    import cv2  # here: it takes long to import, and most statistics need none of it

    classes, height, _ = counts.shape
    radius = round((smoothing * height - 1) / 2)
    width = 2 * radius + 1  # the nearest odd number
    sigma = 0.3 * (radius - 1) + 0.8  # OpenCV's for a kernel of this width
    blurred = np.empty(counts.shape, np.float32)
    for c in range(classes):
        blurred[c] = cv2.GaussianBlur(
            counts[c].astype(np.float32),
            ksize=(width, width),
            sigmaX=sigma,
            borderType=cv2.BORDER_REFLECT,
        )
    total = blurred.sum(axis=0)
    prior = np.full_like(blurred, 1 / classes)
    np.divide(blurred, total, out=prior, where=total > 0)
    return prior
