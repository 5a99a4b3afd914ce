"""Camera and canvas of toycity: a pin-hole camera above a flat ground and what is painted through it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from random import Random

import numpy as np
from PIL import Image, ImageDraw

from cotrain.toycity.looks import Color, Look, pick, sky

CLASSES: tuple[str, ...] = (
    "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation",
    "terrain", "sky", "person", "rider", "car", "truck", "bus", "bicycle",
)  # fmt: skip
ID = {name: value for value, name in enumerate(CLASSES)}
TEXTURE = {  # least and greatest amplitude, percent; some façades are as rough as leaves
    "vegetation": (10, 32), "terrain": (8, 26), "building": (3, 24), "wall": (4, 22), "road": (3, 10),
    "sidewalk": (3, 10),
}  # fmt: skip
Point = tuple[float, float]


@dataclass(frozen=True)
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
        u = self.focal * (x / z + self.bend * z / 2)
        v = self.focal * (self.height - y) / z
        return self.center + u - self.roll * v, self.horizon + v + self.roll * u

    def ground(self, height: int, width: int) -> np.ndarray:
        """Ground coordinates (x, z) in m as (2, height, width) float32 of every pixel; z stops at 200 m."""
        rows = np.arange(height, dtype=np.float32)[:, None]
        columns = np.arange(width, dtype=np.float32)[None] - self.center
        below = np.maximum(rows - self.horizon - self.roll * columns, self.focal * self.height / 200)
        z = self.focal * self.height / below
        return np.stack([columns * z / self.focal - self.bend * z * z / 2, z])


@dataclass
class Scene:
    """Canvas, camera and dice of one image. `paint` draws now, `add` waits for its turn from far to near."""

    rng: Random
    look: Look
    camera: Camera
    height: int
    width: int
    sun: tuple[float, float, float] = (1, 1, 1)  # light on faces left of, right of and across the street
    items: list[tuple[float, Callable, tuple]] = field(default_factory=list)

    def __post_init__(self) -> None:
        backdrop = sky(self.rng, self.look, self.height, self.width, self.camera.horizon)
        self.image = Image.fromarray(backdrop).resize((self.width * 2, self.height * 2), Image.Resampling.NEAREST)
        self.surface = Image.new("I", (self.width, self.height), ID["sky"])
        self.shadow = Image.new("L", (self.width, self.height), 0)
        self.pen, self.marker = ImageDraw.Draw(self.image), ImageDraw.Draw(self.surface)
        self.shadow_pen = ImageDraw.Draw(self.shadow)
        self.ambient = self.rng.uniform(*self.look.ambient)
        self.left_hand = self.rng.random() < self.look.left_hand

    def pick(self, kind: str, jitter: float = 0.18) -> Color:
        """A random colour of the palette `kind`."""
        return pick(self.rng, self.look, kind, jitter)

    def ink(self, color: Color) -> tuple[int, int, int]:
        """`color` under the scene's light, as Pillow takes it."""
        red, green, blue = color
        light = self.ambient
        return min(255, int(red * light)), min(255, int(green * light)), min(255, int(blue * light))

    def code(self, label: str, depth: float) -> int:
        """Label, texture and depth in one integer, so that one drawing call records all three."""
        least, greatest = TEXTURE.get(label, (2, 5))
        amplitude = least + (greatest - least) * self.rng.random()
        return ID[label] | int(amplitude) << 8 | int(20 * log(max(depth, 1.1))) << 16

    def paint(self, points: Sequence[Point], color: Color | None, label: str | None = None, depth: float = 1) -> None:
        """Fill a polygon given in pixels; without a colour only the label, without a label only the image."""
        if color is not None:
            self.pen.polygon([(2 * u + 0.5, 2 * v + 0.5) for u, v in points], self.ink(color))
        if label is not None:
            self.marker.polygon(points, self.code(label, depth))

    def blob(
        self, center: Point, radii: Point, color: Color | None, label: str | None = None, depth: float = 1
    ) -> None:
        """Fill an ellipse given in pixels, like `paint`."""
        (u, v), (a, b) = center, radii
        if color is not None:
            self.pen.ellipse((2 * (u - a), 2 * (v - b), 2 * (u + a), 2 * (v + b)), self.ink(color))
        if label is not None:
            self.marker.ellipse((u - a, v - b, u + a, v + b), self.code(label, depth))

    def stroke(self, ends: Sequence[Point], metres: float, z: float, color: Color, label: str | None = None) -> None:
        """Draw a bar of a thickness in metres at depth z, at least a pixel wide."""
        thickness = self.camera.focal * metres / z
        doubled = [(2 * u + 0.5, 2 * v + 0.5) for u, v in ends]
        self.pen.line(doubled, self.ink(color), max(1, round(2 * thickness)))
        if label is not None:
            self.marker.line(list(ends), self.code(label, z), max(1, round(thickness)))

    def add(self, z: float, draw: Callable, *args: object) -> None:
        """Draw `draw(self, *args)` when everything farther than z has been drawn."""
        self.items.append((z, draw, args))

    def draw(self) -> None:
        """Draw everything that was added, the farthest first."""
        for _, draw, arguments in sorted(self.items, key=lambda item: -item[0]):
            draw(self, *arguments)

    def panel(self, a: Point, b: Point, low: float, high: float) -> list[Point]:
        """Upright rectangle above the ground points a, b = (x, z), from `low` to `high` m, in pixels."""
        project = self.camera.project
        return [
            project(a[0], low, a[1]),
            project(b[0], low, b[1]),
            project(b[0], high, b[1]),
            project(a[0], high, a[1]),
        ]

    def strip(self, left: float, right: float, near: float, far: float) -> list[Point]:
        """Ribbon of ground between two lateral positions and two depths, following the bend, in pixels."""
        steps = 2 if far - near < 6 else 12
        depths = [near * (far / near) ** (i / (steps - 1)) for i in range(steps)]
        project = self.camera.project
        return [project(left, 0, z) for z in depths] + [project(right, 0, z) for z in reversed(depths)]
