"""What the air, the lens and the sensor of a dash-cam do to the light of a scene."""

from random import Random

import numpy as np
from PIL import Image, ImageFilter

# What all pictures of this camera have in common, as those of real cameras do: a cool cast and a flat tone curve.
COLOR_CAST = np.array([0.78, 0.94, 1.12], np.float32)
BLACK, WHITE = 22.0, 190.0
DARKEST, BRIGHTEST = 55, 200  # mean brightness that the automatic exposure still accepts
HAZE_DEPTH = 200  # in m; haze grows no further behind it


def photograph(rng: Random, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Degrade `light` (height, width, 3) float32 in 0..255 as the camera does.

    depth: (height, width) float32 in m, infinite in the sky. Returns an array like `light`, clipped.
    """
    severity = rng.random() ** 1.5  # most pictures are fair, a few are poor
    light = add_haze(rng, light, depth, severity)
    light = expose(rng, light, severity)
    light = blur(rng, light, severity)
    return add_noise(rng, light, severity)


def add_haze(rng: Random, light: np.ndarray, depth: np.ndarray, severity: float) -> np.ndarray:
    """Mix the colour of the haze in, the more the farther a pixel is."""
    red_tint = 1 + rng.uniform(-0.06, 0.04)
    blue_tint = 1 + rng.uniform(-0.04, 0.08)
    haze = np.array(
        [
            rng.uniform(150, 225) * red_tint,
            rng.uniform(150, 225),
            rng.uniform(150, 225) * blue_tint,
        ],
        np.float32,
    )
    density = rng.uniform(0.005, 0.025)
    limited = np.minimum(depth, HAZE_DEPTH)
    clearness = np.exp(-limited * severity * density)
    clearness[np.isinf(depth)] = 1 - 0.3 * severity
    return haze + (light - haze) * clearness[..., None]


def expose(rng: Random, light: np.ndarray, severity: float) -> np.ndarray:
    """White balance, exposure, vignette and tone curve."""
    balance = random_balance(rng, severity)
    stops = rng.uniform(-0.8, 0.6) * (0.35 + 0.65 * severity)
    gain = balance * COLOR_CAST * 2**stops
    light = light * gain * random_vignette(rng, light)
    gamma = 1 + severity * rng.uniform(-0.25, 0.35)

    light = np.clip(light, 0, 255)
    mean = light.mean()
    automatic = min(max(mean, DARKEST), BRIGHTEST)
    light *= automatic / mean
    contrast = WHITE - BLACK
    light = BLACK + light * contrast / 255
    light = np.clip(light, 0, 255)
    return 255 * (light / 255) ** gamma


def random_balance(rng: Random, severity: float) -> np.ndarray:
    """Gain (3) float32 of red, green and blue."""
    red = 1 + severity * rng.uniform(-0.14, 0.14)
    blue = 1 + severity * rng.uniform(-0.14, 0.14)
    return np.array([red, 1, blue], np.float32)


def random_vignette(rng: Random, light: np.ndarray) -> np.ndarray:
    """Share of the light (height, width, 1) float32 that passes the lens: less towards the corners."""
    height, width, _ = light.shape
    rows, columns = np.ogrid[
        -1 : 1 : height * 1j,
        -1 : 1 : width * 1j,
    ]
    strength = rng.uniform(0, 0.3)
    squared_radius = rows**2 + columns**2
    vignette = 1 - strength * squared_radius / 2
    return vignette[..., None].astype(np.float32)


def blur(rng: Random, light: np.ndarray, severity: float) -> np.ndarray:
    """Lens blur, relative to the height of the picture."""
    height = light.shape[0]
    share = 0.25 + severity * rng.uniform(0, 1.3)
    radius = share * height / 128
    sharp = Image.fromarray(light.astype(np.uint8))
    blurred = sharp.filter(ImageFilter.GaussianBlur(radius))
    return np.asarray(blurred, np.float32)


def add_noise(rng: Random, light: np.ndarray, severity: float) -> np.ndarray:
    """Noise of the sensor."""
    sensor = np.random.default_rng(rng.getrandbits(32))
    noise = sensor.standard_normal(light.shape, np.float32)
    deviation = 1 + 8 * severity * rng.random()
    return np.clip(light + noise * deviation, 0, 255)
