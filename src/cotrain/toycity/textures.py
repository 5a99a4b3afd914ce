"""Noise textures of toycity: the clouds of the sky and the grain of surfaces."""

from functools import cache
from random import Random

import numpy as np

from cotrain.toycity.looks import Look, pick

NOISE_SIZE = 512  # side of the periodic noise fields, in pixels
BLOTCHES, LEAVES, GRAIN = 0, 1, 2  # the noise fields, from coarse to fine
EXPONENTS = (1.6, 0.9, 0.3)  # of their spectra
LOWEST_FREQUENCY = 0.004  # below it the spectra are flat; in cycles per pixel


@cache
def noise_bank() -> np.ndarray:
    """Periodic noise fields (3, 512, 512) float32, zero mean, unit deviation: clouds, foliage, grain.

    White noise is filtered to the spectrum 1/f^p, which is what a sum of many octaves tends to.
    """
    rng = np.random.default_rng(0)
    white = rng.standard_normal((NOISE_SIZE, NOISE_SIZE))
    spectrum = np.fft.rfft2(white)
    frequency = np.hypot(
        np.fft.fftfreq(NOISE_SIZE)[:, None],
        np.fft.rfftfreq(NOISE_SIZE)[None],
    )
    frequency[0, 0] = np.inf  # removes the mean
    fields = []
    for exponent in EXPONENTS:
        filtered = spectrum / np.maximum(frequency, LOWEST_FREQUENCY) ** exponent
        field = np.fft.irfft2(filtered)
        fields.append(field / field.std())
    return np.stack(fields).astype(np.float32)


def noise_window(rng: Random, kind: int, height: int, width: int) -> np.ndarray:
    """A random window (height, width) float32 of one field of `noise_bank`, which is periodic."""
    top = rng.randrange(NOISE_SIZE)
    left = rng.randrange(NOISE_SIZE)
    rows = (top + np.arange(height)) % NOISE_SIZE
    columns = (left + np.arange(width)) % NOISE_SIZE
    field = noise_bank()[kind]
    return field[rows[:, None], columns]


def sky(rng: Random, look: Look, height: int, width: int, horizon: float) -> np.ndarray:
    """Sky (height, width, 3) uint8: a gradient from zenith to skyline with clouds."""
    zenith = pick(rng, look, "zenith", jitter=0.08)
    skyline = pick(rng, look, "skyline", jitter=0.08)
    zenith = np.array(zenith, np.float32)
    skyline = np.array(skyline, np.float32)
    rows = np.arange(height, dtype=np.float32)
    descent = np.clip(rows / max(horizon, 1), 0, 1)
    share = descent ** rng.uniform(0.6, 2)
    clear = zenith + (skyline - zenith) * share[:, None, None]
    opacity = clouds(rng, height, width)
    brightness = rng.uniform(150, 250)
    color = clear + (brightness - clear) * opacity[..., None]
    return np.clip(color, 0, 255).astype(np.uint8)


def clouds(rng: Random, height: int, width: int) -> np.ndarray:
    """Opacity (height, width) float32 of clouds; of none in many skies."""
    noise = noise_window(rng, BLOTCHES, 2 * height, 2 * width)
    contrast = rng.uniform(0.4, 1.2)
    offset = rng.uniform(-1.5, 0.8)
    cover = noise[::2, ::2] * contrast + offset
    density = rng.uniform(0.3, 0.9)
    return np.clip(cover, 0, 1) * density


def texture(
    rng: Random,
    look: Look,
    strength: np.ndarray,
    foliage: np.ndarray,
    ground: np.ndarray,
    ground_xz: np.ndarray,
) -> np.ndarray:
    """Relative brightness (height, width) float32 of textured surfaces, near 1.

    strength: amplitude (height, width) per pixel; foliage, ground: bool masks (height, width) of leaves and of
    surfaces whose grain lies in the ground; ground_xz: (2, height, width) in m, see `Camera.ground`.
    """
    height, width = strength.shape
    blotches = noise_window(rng, BLOTCHES, height, width)
    leaves = noise_window(rng, LEAVES, height, width)
    grain = noise_window(rng, GRAIN, height, width)
    coarse = rng.uniform(0.2, 0.8) * blotches
    medium = rng.uniform(0.1, 0.6) * leaves
    fine = rng.uniform(0.1, 0.5) * grain
    crowns = 0.6 * leaves + rng.uniform(0.4, 1.1) * grain
    field = np.where(foliage, crowns, coarse + medium + fine)

    pixels_per_metre = rng.uniform(6, 16)  # of the noise field on the ground
    cell = (ground_xz * pixels_per_metre).astype(np.int32) % NOISE_SIZE
    in_plane = noise_bank()[LEAVES][cell[1], cell[0]]
    mixed = 0.55 * field + 0.45 * in_plane
    field = np.where(ground, mixed, field)
    amplitude = rng.uniform(*look.texture) * strength
    return np.clip(1 + amplitude * field, 0.4, 1.6)
