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
    """CIELAB (H, W, 3) float32 → sRGB uint8; what lies outside the gamut is clipped."""
    import cv2

    rgb = cv2.cvtColor(lab.astype(np.float32), cv2.COLOR_Lab2RGB)
    np.clip(rgb, 0, 1, out=rgb)
    rgb *= 255
    return np.rint(rgb, out=rgb).astype(np.uint8)


def lab_statistics(image: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of each CIELAB channel of an sRGB image (H, W, 3) uint8: (6,) float64."""
    lab = to_lab(image).reshape(-1, 3).astype(float)
    return np.concatenate([lab.mean(axis=0), lab.std(axis=0)])


def align(image: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Give an sRGB image (H, W, 3) uint8 the target's CIELAB statistics: x' = (x − μ_s)/σ_s·σ_t + μ_t per channel.

    `source` and `target` are (6,) as from `lab_statistics`. A constant channel (σ_s = 0) moves to μ_t.
    """
    gain = np.where(source[3:] > MIN_DEVIATION, target[3:] / np.maximum(source[3:], MIN_DEVIATION), 0)
    lab = to_lab(image)
    mean, gain, shift = (np.tile(values, lab.shape[1]) for values in (source[:3], gain, target[:3]))
    aligned = lab.reshape(len(lab), -1) - mean  # a row at a time, as NumPy is slow on three values at a time
    aligned *= gain
    aligned += shift
    return to_rgb(aligned.reshape(lab.shape))
