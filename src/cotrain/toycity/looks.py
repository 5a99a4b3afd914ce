"""The two looks of toycity: palettes and statistics of their scenes.

`rendered` resembles a game: saturated, clean, flat light. `camera` resembles a dash-cam: duller colours, haze
that grows with depth, cast shadows, blur, exposure, white balance, vignetting and sensor noise. How strongly
the camera degrades an image is drawn per image, from hardly at all to badly.
"""

from dataclasses import dataclass
from random import Random

from cotrain.toycity import palettes
from cotrain.toycity.palettes import Color

Range = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """Statistics of one domain. Ranges are (low, high) of uniform draws, chances are in [0, 1]."""

    palettes: dict[str, tuple[Color, ...]]
    saturation: Range  # factor on the distance of a colour from its grey
    ambient: Range  # light on everything but the sky
    sun: Range  # contrast between sunlit and shaded faces
    shadow: Range  # darkening of the ground in cast shadows
    texture: Range  # relative amplitude of texture noise
    character: tuple[float, float, float]  # chances of an urban, suburban and green street
    bare_tree: float  # chance that a tree has no leaves
    parked: Range  # share of the kerb taken by parked vehicles
    traffic: tuple[int, int]  # number of moving vehicles
    people: tuple[int, int]  # number of pedestrians or groups of them
    left_hand: float  # chance of left-hand traffic
    has_optics: bool  # whether haze, blur, noise and the other effects of a camera apply


LOOKS = {
    "rendered": Look(
        palettes=palettes.RENDERED,
        saturation=(0.7, 1.35),
        ambient=(0.4, 1.1),
        sun=(0.05, 0.45),
        shadow=(0.0, 0.45),
        texture=(0.2, 1.2),
        character=(0.55, 0.25, 0.2),
        bare_tree=0.4,
        parked=(0.0, 0.85),
        traffic=(1, 5),
        people=(0, 7),
        left_hand=0.5,
        has_optics=False,
    ),
    "camera": Look(
        palettes=palettes.CAMERA,
        saturation=(0.45, 0.95),
        ambient=(0.45, 1.05),
        sun=(0.15, 0.6),
        shadow=(0.2, 0.6),
        texture=(0.7, 2.0),
        character=(0.5, 0.3, 0.2),
        bare_tree=0.45,
        parked=(0.15, 0.8),
        traffic=(1, 6),
        people=(0, 9),
        left_hand=0.2,
        has_optics=True,
    ),
}


def pick(rng: Random, look: Look, kind: str, jitter: float = 0.18) -> Color:
    """A colour of the palette `kind`, with random brightness, tint and the look's saturation."""
    color = rng.choice(look.palettes[kind])
    light = 1 + rng.uniform(-jitter, jitter)
    lit = [channel * light * (0.95 + 0.1 * rng.random()) for channel in color]
    grey = sum(lit) / 3
    saturation = rng.uniform(*look.saturation)
    red, green, blue = lit
    return (
        max(0.0, grey + saturation * (red - grey)),
        max(0.0, grey + saturation * (green - grey)),
        max(0.0, grey + saturation * (blue - grey)),
    )


def shade(color: Color, factor: float) -> Color:
    """`color` under `factor` times the light."""
    return color[0] * factor, color[1] * factor, color[2] * factor
