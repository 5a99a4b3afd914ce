"""Colour alignment of source images to target images in CIELAB (Gómez et al. 2022, Sect. IV)."""

import numpy as np

MIN_DEVIATION = 0.1  # of a channel that varies; OpenCV's a and b of a grey image vary by about 0.02


def to_lab(image: np.ndarray) -> np.ndarray:
    """sRGB (H, W, 3) uint8 → CIELAB under D65, float32: L in [0, 100], a and b about [-128, 127]."""
    import cv2  # here and below: it takes long to import, and who reads images need not align them

    scaled = image.astype(np.float32)
    scaled /= 255
    return cv2.cvtColor(scaled, cv2.COLOR_RGB2Lab)


def to_rgb(lab: np.ndarray) -> np.ndarray:
    """CIELAB (H, W, 3) float32 → sRGB uint8; colours outside the gamut are clipped."""
    import cv2

    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    np.clip(rgb, 0, 1, out=rgb)
    rgb *= 255
    np.rint(rgb, out=rgb)
    return rgb.astype(np.uint8)


def lab_statistics(image: np.ndarray) -> np.ndarray:
    """Moments of the CIELAB channels of an sRGB image (H, W, 3) uint8: mean (3,), then standard deviation (3,).

    Returns (6,) float64. Sect. IV.
    """
    lab = to_lab(image)
    lab = lab.reshape(-1, 3).astype(float)
    mean = lab.mean(axis=0)
    deviation = lab.std(axis=0)
    return np.concatenate([mean, deviation])


def align(image: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give an sRGB image (H, W, 3) uint8 the target's CIELAB statistics: x' = (x − μ_s)/σ_s·σ_t + μ_t per channel.

    `source` and `target` are (6,) as from `lab_statistics`. A constant channel (σ_s = 0) moves to μ_t. Sect. IV.
    """
    source_mean, source_deviation = np.split(source, 2)
    target_mean, target_deviation = np.split(target, 2)
    gain = target_deviation / np.maximum(source_deviation, MIN_DEVIATION)
    gain = np.where(source_deviation > MIN_DEVIATION, gain, 0)
    lab = to_lab(image)
    height, width, _ = lab.shape
    rows = lab.reshape(height, -1)  # channels repeated along a row, as NumPy is slow on three values at a time
    aligned = rows - np.tile(source_mean, width)
    aligned *= np.tile(gain, width)
    aligned += np.tile(target_mean, width)
    return to_rgb(aligned.reshape(lab.shape))
