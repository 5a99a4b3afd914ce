"""Spatial prior: which class is how frequent at each place of a source image (Zou et al. 2018, Sect. 4.4)."""

import numpy as np

from cotrain.method.labelmaps import VOID


def count(counts: np.ndarray, label: np.ndarray) -> None:
    """Add one label map (H, W) uint8 to the number of labels of each class at each pixel, (C, H, W) int32."""
    pixels = np.flatnonzero(label != VOID)
    counts.reshape(len(counts), -1)[label.ravel()[pixels], pixels] += 1  # each pixel occurs once


def spatial_prior(counts: np.ndarray, smoothing: float) -> np.ndarray:
    """q_n(c): share of class c among the labels at pixel n, after the counts were smoothed with a Gaussian.

    counts (C, H, W) int32 → (C, H, W) float32, of sum 1 at each pixel. `smoothing` is the width of the square kernel as
    a share of the image height (70/1024 in the paper). Where no label is in reach, all classes are alike.

    The paper scales each class to Σ_n q_n(c) = 1 instead, which weighs rare classes more.
    """
    import cv2  # here: it takes long to import, and most statistics need none of it

    width = 2 * round((smoothing * counts.shape[1] - 1) / 2) + 1  # the nearest odd number
    sigma = 0.3 * ((width - 1) / 2 - 1) + 0.8  # OpenCV's for a kernel of this width
    blurred = np.stack(
        [cv2.GaussianBlur(c.astype(np.float32), (width, width), sigma, borderType=cv2.BORDER_REFLECT) for c in counts]
    )
    total = blurred.sum(axis=0)
    return np.divide(blurred, total, out=np.full_like(blurred, 1 / len(counts)), where=total > 0)
