"""Shapes of the vehicles of toycity: side views, sizes and windows."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from cotrain.toycity.camera import Point


class Corner(NamedTuple):
    """A corner of a side view, in shares of length and height, with the material of the face to the next corner."""

    along: float  # from the tail
    up: float
    material: str


# Side views, clockwise from the tail.
PROFILES = {
    "saloon": (
        Corner(0, 0.15, "body"),
        Corner(0, 0.6, "body"),
        Corner(0.15, 0.65, "glass"),
        Corner(0.28, 1, "body"),
        Corner(0.56, 1, "glass"),
        Corner(0.73, 0.64, "body"),
        Corner(0.97, 0.52, "body"),
        Corner(1, 0.15, "dark"),
    ),
    "hatchback": (
        Corner(0, 0.15, "body"),
        Corner(0, 0.6, "glass"),
        Corner(0.1, 0.97, "body"),
        Corner(0.5, 1, "glass"),
        Corner(0.7, 0.64, "body"),
        Corner(0.97, 0.52, "body"),
        Corner(1, 0.15, "dark"),
    ),
    "van": (
        Corner(0, 0.12, "body"),
        Corner(0, 0.58, "glass"),
        Corner(0.03, 0.98, "body"),
        Corner(0.68, 1, "glass"),
        Corner(0.84, 0.56, "body"),
        Corner(0.99, 0.44, "body"),
        Corner(1, 0.12, "dark"),
    ),
    "bus": (
        Corner(0, 0.1, "body"),
        Corner(0, 0.5, "glass"),
        Corner(0, 0.85, "body"),
        Corner(0, 1, "body"),
        Corner(1, 1, "body"),
        Corner(1, 0.88, "glass"),
        Corner(1, 0.38, "body"),
        Corner(1, 0.1, "dark"),
    ),
    "double-decker": (
        Corner(0, 0.08, "body"),
        Corner(0, 0.3, "glass"),
        Corner(0, 0.45, "body"),
        Corner(0, 0.62, "glass"),
        Corner(0, 0.86, "body"),
        Corner(0, 1, "body"),
        Corner(1, 1, "body"),
        Corner(1, 0.88, "glass"),
        Corner(1, 0.6, "body"),
        Corner(1, 0.46, "glass"),
        Corner(1, 0.2, "body"),
        Corner(1, 0.08, "dark"),
    ),
    "truck": (
        Corner(0, 0.15, "body"),
        Corner(0, 1, "body"),
        Corner(1, 1, "body"),
        Corner(1, 0.85, "glass"),
        Corner(1, 0.5, "body"),
        Corner(1, 0.15, "dark"),
    ),
}
SIZES = {  # mean length, width, height in m
    "saloon": (4.5, 1.75, 1.45),
    "hatchback": (3.9, 1.7, 1.5),
    "van": (4.9, 1.95, 2.1),
    "bus": (10.5, 2.5, 3.2),
    "double-decker": (10.2, 2.5, 4.35),
    "truck": (7.5, 2.4, 3.3),
}
LABELS = {"bus": "bus", "double-decker": "bus", "truck": "truck"}  # all others are cars
CABINS = {  # corners of the window on the long side, (along, up), of those whose window is not below a sloping roof
    "double-decker": ((0.02, 0.64), (0.02, 0.86), (0.98, 0.86), (0.98, 0.62)),
    "bus": ((0.02, 0.5), (0.02, 0.85), (0.98, 0.85), (0.98, 0.45)),
    "truck": ((0.83, 0.55), (0.83, 0.85), (0.96, 0.85), (0.98, 0.55)),
}
LOWER_DECK = ((0.02, 0.3), (0.02, 0.45), (0.98, 0.45), (0.98, 0.28))
CAR_PILLARS = (0.41,)  # along the length
PILLARS = (0.25, 0.5, 0.75)
AXLES = (0.18, 0.8)
TYRE_RADIUS = 0.31  # in m


@cache
def cabin_of(kind: str) -> Sequence[Point]:
    """Corners (along, up) of the window on the long side; a car's follows its roof."""
    if kind in CABINS:
        return CABINS[kind]
    roof = [corner for corner in PROFILES[kind] if is_of_roof(corner)]
    middle = sum(corner.along for corner in roof) / len(roof)
    cabin = []
    for corner in roof:
        along = middle + (corner.along - middle) * 0.86
        up = 0.66 if corner.up < 0.9 else 0.93
        cabin.append((along, up))
    return cabin


def is_of_roof(corner: Corner) -> bool:
    """Whether a corner of a car's side view lies above its bonnet and boot."""
    return corner.up > 0.57 and corner.along < 0.85
