"""Camera of toycity: a pin-hole camera above a flat ground."""

from dataclasses import dataclass

import numpy as np

HORIZON_DEPTH = 200  # greatest depth of the ground, in m
Point = tuple[float, float]


def between(start: Point, end: Point, share: float) -> Point:
    """The point at `share` of the way from `start` to `end`."""
    a, b = start
    c, d = end
    return a + share * (c - a), b + share * (d - b)


def rectangle(center: Point, half_width: float, half_height: float) -> list[Point]:
    """Corners of an upright rectangle in the image, in pixels."""
    u, v = center
    left = u - half_width
    right = u + half_width
    top = v - half_height
    bottom = v + half_height
    return [
        (left, top),
        (right, top),
        (right, bottom),
        (left, bottom),
    ]


@dataclass(frozen=True, slots=True)
class Camera:
    """Pin-hole camera above the ground plane. Lengths in m; focal, center and horizon in pixels."""

    focal: float
    center: float  # column of the vanishing point of the street
    horizon: float  # row of the horizon
    height: float
    bend: float = 0.0  # curvature of the street in 1/m
    roll: float = 0.0  # in rad, small

    def project(self, x: float, y: float, z: float) -> Point:
        """Column and row, in pixels, of the point (x, y, z) in street coordinates."""
        focal = self.focal
        roll = self.roll
        u = focal * (x / z + self.bend * z / 2)
        v = focal * (self.height - y) / z
        return self.center + u - roll * v, self.horizon + v + roll * u

    def pixels(self, metres: float, z: float) -> float:
        """How long `metres` are in the image at depth z."""
        return self.focal * metres / z

    def panel(self, start: Point, end: Point, low: float, high: float) -> list[Point]:
        """Upright rectangle above the ground points start, end = (x, z), from `low` to `high` m, in pixels."""
        left, near = start
        right, far = end
        project = self.project
        return [
            project(left, low, near),
            project(right, low, far),
            project(right, high, far),
            project(left, high, near),
        ]

    def upright(self, x: float, z: float, low: float, high: float) -> tuple[Point, Point]:
        """Ends of an upright bar above the ground point (x, z), from `low` to `high` m, in pixels."""
        foot = self.project(x, low, z)
        top = self.project(x, high, z)
        return foot, top

    def strip(self, left: float, right: float, near: float, far: float) -> list[Point]:
        """Ribbon of ground between two lateral positions and two depths, following the bend, in pixels."""
        steps = 2 if far - near < 6 else 12
        ratio = far / near
        depths = [near * ratio ** (i / (steps - 1)) for i in range(steps)]
        project = self.project
        left_edge = [project(left, 0, z) for z in depths]
        right_edge = [project(right, 0, z) for z in reversed(depths)]
        return left_edge + right_edge

    def ground(self, height: int, width: int) -> np.ndarray:
        """Ground coordinates (x, z) in m as (2, height, width) float32 of every pixel; z stops at 200 m."""
        rows = np.arange(height, dtype=np.float32)[:, None]
        columns = np.arange(width, dtype=np.float32)[None]
        columns = columns - self.center
        below_horizon = np.maximum(
            rows - self.horizon - self.roll * columns,
            self.focal * self.height / HORIZON_DEPTH,
        )
        z = self.focal * self.height / below_horizon
        x = columns * z / self.focal - self.bend * z * z / 2
        return np.stack([x, z])
