"""The two looks of toycity: palettes, scene statistics, texture noise and what a camera does to light.

`rendered` resembles a game: saturated, clean, flat light. `camera` resembles a dash-cam: duller colours, haze
that grows with depth, cast shadows, blur, exposure, white balance, vignetting and sensor noise. How strongly
the camera spoils an image is drawn per image, from hardly at all to badly.
"""

from dataclasses import dataclass
from functools import cache
from random import Random

import numpy as np
from PIL import Image, ImageFilter

Color = tuple[float, float, float]
NOISE_SIZE = 512  # side of the periodic noise fields, in pixels


@dataclass(frozen=True)
class Look:
    """Statistics of one domain. Ranges are (low, high) of uniform draws, chances are in [0, 1]."""

    palettes: dict[str, tuple[Color, ...]]
    saturation: tuple[float, float]  # factor on the distance of a colour from its grey
    ambient: tuple[float, float]  # light on everything but the sky
    sun: tuple[float, float]  # contrast between sunlit and shaded faces
    shadow: tuple[float, float]  # darkening of the ground in cast shadows
    texture: tuple[float, float]  # relative amplitude of texture noise
    character: tuple[float, float, float]  # chances of an urban, suburban and green street
    bare_tree: float
    parked: tuple[float, float]  # share of the kerb taken by parked vehicles
    traffic: tuple[int, int]  # vehicles under way
    people: tuple[int, int]
    left_hand: float  # chance of left-hand traffic
    spoils: bool  # whether haze, blur, noise and the other camera effects apply


RENDERED_PALETTES: dict[str, tuple[Color, ...]] = {
    "facade": (
        (168, 84, 62),
        (206, 172, 108),
        (178, 168, 150),
        (226, 220, 208),
        (232, 206, 158),
        (128, 130, 134),
        (96, 66, 56),
        (142, 164, 196),
        (216, 160, 148),
        (122, 92, 70),
        (158, 152, 140),
        (150, 176, 140),
        (70, 66, 66),
        (190, 120, 70),
    ),
    "roof": ((150, 70, 50), (90, 85, 85), (70, 62, 60), (120, 80, 60), (85, 95, 110)),
    "glass": ((50, 66, 86), (34, 38, 46), (96, 122, 146), (150, 176, 196), (70, 74, 70)),
    "shop": (
        (180, 40, 40),
        (30, 70, 140),
        (30, 110, 70),
        (40, 40, 44),
        (235, 230, 215),
        (230, 170, 40),
        (100, 40, 90),
    ),
    "road": ((70, 70, 74), (96, 96, 98), (122, 120, 120), (142, 140, 136), (84, 82, 92), (112, 106, 100)),
    "sidewalk": (
        (150, 148, 144),
        (176, 166, 152),
        (126, 124, 126),
        (196, 190, 182),
        (164, 138, 126),
        (140, 136, 120),
    ),
    "kerb": ((190, 188, 182), (160, 158, 156), (120, 120, 120)),
    "marking": ((240, 240, 238), (222, 222, 214), (200, 200, 196)),
    "wall": (
        (160, 92, 72),
        (170, 164, 154),
        (140, 138, 136),
        (206, 200, 190),
        (184, 160, 116),
        (104, 96, 90),
    ),
    "fence": (
        (40, 42, 44),
        (26, 27, 28),
        (34, 40, 36),
        (60, 80, 66),
        (130, 132, 136),
        (150, 112, 76),
        (220, 220, 218),
        (96, 72, 56),
    ),
    "pole": ((90, 94, 98), (150, 152, 154), (44, 46, 48), (70, 84, 76), (190, 190, 188)),
    "leaves": (
        (66, 118, 48),
        (44, 88, 44),
        (104, 136, 56),
        (84, 104, 64),
        (136, 128, 62),
        (50, 72, 50),
        (150, 106, 54),
    ),
    "bark": ((92, 72, 54), (74, 66, 60), (118, 104, 90), (54, 46, 40)),
    "grass": ((92, 138, 62), (116, 138, 76), (74, 110, 58), (146, 140, 88), (120, 104, 74)),
    "car": (
        (190, 30, 30),
        (30, 60, 150),
        (28, 28, 32),
        (60, 62, 66),
        (170, 172, 176),
        (232, 232, 230),
        (28, 90, 60),
        (120, 130, 140),
        (200, 160, 40),
        (110, 30, 40),
        (70, 110, 160),
    ),
    "cloth": (
        (30, 32, 40),
        (50, 60, 90),
        (150, 40, 44),
        (210, 208, 200),
        (90, 84, 76),
        (40, 80, 60),
        (220, 180, 60),
        (120, 120, 126),
        (70, 50, 44),
        (60, 110, 170),
        (24, 24, 26),
        (230, 110, 40),
    ),
    "skin": ((226, 180, 150), (190, 140, 110), (120, 84, 62), (90, 62, 48)),
    "sign": ((200, 30, 36), (30, 80, 170), (240, 240, 240), (240, 200, 40), (30, 120, 70)),
    "zenith": (
        (70, 130, 216),
        (110, 164, 230),
        (150, 186, 226),
        (190, 204, 220),
        (222, 226, 230),
        (160, 166, 176),
    ),
    "skyline": ((196, 220, 244), (226, 234, 242), (244, 244, 242), (240, 226, 204)),
}

CAMERA_PALETTES: dict[str, tuple[Color, ...]] = RENDERED_PALETTES | {
    "facade": (
        (134, 92, 78),
        (178, 160, 122),
        (150, 144, 134),
        (204, 200, 194),
        (84, 80, 76),
        (60, 58, 58),
        (168, 148, 118),
        (112, 110, 106),
        (120, 96, 74),
    ),
    "road": ((58, 60, 64), (84, 86, 88), (104, 104, 104), (120, 118, 114), (132, 126, 116)),
    "sidewalk": ((122, 120, 116), (148, 142, 134), (110, 106, 104), (160, 150, 140), (136, 122, 112)),
    "leaves": (
        (70, 84, 44),
        (54, 66, 44),
        (96, 98, 58),
        (112, 96, 62),
        (60, 58, 44),
        (124, 92, 56),
        (84, 98, 52),
    ),
    "grass": ((98, 112, 66), (120, 118, 78), (84, 92, 58), (132, 120, 86)),
    "car": (
        (26, 27, 30),
        (50, 52, 56),
        (150, 152, 156),
        (206, 207, 208),
        (110, 116, 124),
        (120, 34, 36),
        (36, 54, 96),
        (34, 62, 52),
        (88, 84, 76),
    ),
    "zenith": (
        (120, 150, 190),
        (170, 184, 200),
        (206, 210, 214),
        (226, 226, 224),
        (236, 236, 236),
        (150, 156, 164),
    ),
    "skyline": ((214, 220, 226), (236, 236, 234), (246, 244, 240), (238, 226, 208)),
}

LOOKS = {
    "rendered": Look(
        RENDERED_PALETTES, (0.7, 1.35), (0.4, 1.1), (0.05, 0.45), (0.0, 0.45), (0.2, 1.2), (0.55, 0.25, 0.2),
        0.4, (0.0, 0.85), (1, 5), (0, 7), 0.5, False,
    ),
    "camera": Look(
        CAMERA_PALETTES, (0.45, 0.95), (0.45, 1.05), (0.15, 0.6), (0.2, 0.6), (0.7, 2.0), (0.5, 0.3, 0.2),
        0.45, (0.15, 0.8), (1, 6), (0, 9), 0.2, True,
    ),
}  # fmt: skip


# What every picture of the camera has in common, as real cameras do: a cool cast and a flat tone curve.
CAMERA_CAST = np.array([0.78, 0.94, 1.12], np.float32)
CAMERA_BLACK, CAMERA_WHITE = 22.0, 190.0


@cache
def noise_bank() -> np.ndarray:
    """Periodic noise fields (3, 512, 512) float32, zero mean, unit deviation: clouds, foliage, grain.

    White noise is filtered to the spectrum 1/f^p, which is what a sum of many octaves tends to.
    """
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft2(rng.standard_normal((NOISE_SIZE, NOISE_SIZE)))
    frequency = np.hypot(np.fft.fftfreq(NOISE_SIZE)[:, None], np.fft.rfftfreq(NOISE_SIZE)[None])
    frequency[0, 0] = np.inf
    fields = [np.fft.irfft2(spectrum / np.maximum(frequency, 0.004) ** power) for power in (1.6, 0.9, 0.3)]
    return np.stack([field / field.std() for field in fields]).astype(np.float32)


def noise_crop(rng: Random, kind: int, height: int, width: int) -> np.ndarray:
    """A random window (height, width) float32 of one field of `noise_bank`, which is periodic."""
    rows = (np.arange(height) + rng.randrange(NOISE_SIZE)) % NOISE_SIZE
    columns = (np.arange(width) + rng.randrange(NOISE_SIZE)) % NOISE_SIZE
    return noise_bank()[kind][rows[:, None], columns]


def pick(rng: Random, look: Look, kind: str, jitter: float = 0.18) -> Color:
    """A colour of the palette `kind`, with random brightness, tint and the look's saturation."""
    color = rng.choice(look.palettes[kind])
    light = 1 + rng.uniform(-jitter, jitter)
    color = [channel * light * (0.95 + 0.1 * rng.random()) for channel in color]
    grey = sum(color) / 3
    saturation = rng.uniform(*look.saturation)
    return tuple(max(0.0, grey + saturation * (channel - grey)) for channel in color)


def shade(color: Color, factor: float) -> Color:
    """`color` under `factor` times the light."""
    return color[0] * factor, color[1] * factor, color[2] * factor


def sky(rng: Random, look: Look, height: int, width: int, horizon: float) -> np.ndarray:
    """Sky (height, width, 3) uint8: a gradient from zenith to skyline with clouds."""
    zenith, skyline = (np.array(pick(rng, look, kind, 0.08), np.float32) for kind in ("zenith", "skyline"))
    rise = np.clip(np.arange(height, dtype=np.float32) / max(horizon, 1), 0, 1)[:, None, None]
    color = zenith + (skyline - zenith) * rise ** rng.uniform(0.6, 2)
    clouds = noise_crop(rng, 0, 2 * height, 2 * width)[::2, ::2] * rng.uniform(0.4, 1.2) + rng.uniform(-1.5, 0.8)
    opacity = np.clip(clouds, 0, 1)[..., None] * rng.uniform(0.3, 0.9)
    cloud = rng.uniform(150, 250)
    return np.clip(color + (cloud - color) * opacity, 0, 255).astype(np.uint8)


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
    blotches, leaves, grain = (noise_crop(rng, kind, height, width) for kind in range(3))
    field = rng.uniform(0.2, 0.8) * blotches + rng.uniform(0.1, 0.6) * leaves + rng.uniform(0.1, 0.5) * grain
    field = np.where(foliage, 0.6 * leaves + rng.uniform(0.4, 1.1) * grain, field)
    scale = rng.uniform(6, 16)  # pixels of the noise field per metre of ground
    cell = (ground_xz * scale).astype(np.int32) % NOISE_SIZE
    in_plane = noise_bank()[1][cell[1], cell[0]]
    field = np.where(ground, 0.55 * field + 0.45 * in_plane, field)
    return np.clip(1 + rng.uniform(*look.texture) * strength * field, 0.4, 1.6)


def spoil(rng: Random, light: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """What haze, lens and sensor of a camera make of `light` (height, width, 3) float32 in 0..255.

    depth: (height, width) float32 in m, infinite in the sky. Returns an array like `light`, clipped.
    """
    height, width = depth.shape
    severity = rng.random() ** 1.5  # most pictures are fair, a few are poor
    haze = np.array(
        [rng.uniform(150, 225) * tint for tint in (1 + rng.uniform(-0.06, 0.04), 1, 1 + rng.uniform(-0.04, 0.08))],
        np.float32,
    )
    clear = np.exp(-np.minimum(depth, 200) * severity * rng.uniform(0.005, 0.025))[..., None]
    clear[np.isinf(depth)] = 1 - 0.3 * severity
    light = haze + (light - haze) * clear
    balance = np.array(
        [1 + severity * rng.uniform(-0.14, 0.14), 1, 1 + severity * rng.uniform(-0.14, 0.14)], np.float32
    )
    balance = balance * CAMERA_CAST
    exposure = 2 ** (rng.uniform(-0.8, 0.6) * (0.35 + 0.65 * severity))
    rows, columns = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    vignette = 1 - rng.uniform(0, 0.3) * (rows**2 + columns**2) / 2
    light = light * (balance * exposure) * vignette[..., None].astype(np.float32)
    gamma = 1 + severity * rng.uniform(-0.25, 0.35)
    light = np.clip(light, 0, 255)
    mean = light.mean()
    light *= min(max(mean, 55), 200) / mean  # automatic exposure prevents the worst
    light = CAMERA_BLACK + light * (CAMERA_WHITE - CAMERA_BLACK) / 255
    light = 255 * (light.clip(0, 255) / 255) ** gamma
    blur = (0.25 + severity * rng.uniform(0, 1.3)) * height / 128
    picture = Image.fromarray(light.astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
    light = np.asarray(picture, np.float32)
    sensor = np.random.default_rng(rng.getrandbits(32))
    grain = sensor.standard_normal((height, width, 3), np.float32) * (1 + 8 * severity * rng.random())
    return np.clip(light + grain, 0, 255)
