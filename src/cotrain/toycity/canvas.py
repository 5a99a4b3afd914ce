"""Canvas of toycity: image, labels and shadows, painted through a camera."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import log
from random import Random

from PIL import Image, ImageDraw

from cotrain.toycity import looks, textures
from cotrain.toycity.camera import Camera, Point
from cotrain.toycity.looks import Look
from cotrain.toycity.palettes import Color

CLASSES: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "bicycle",
)
ID = {name: value for value, name in enumerate(CLASSES)}
TEXTURE = {  # least and greatest amplitude, percent; some façades are as rough as leaves
    "vegetation": (10, 32),
    "terrain": (8, 26),
    "building": (3, 24),
    "wall": (4, 22),
    "road": (3, 10),
    "sidewalk": (3, 10),
}
SMOOTH = (2, 5)  # the same of all other classes


@dataclass
class Scene:
    """Canvas, camera and random numbers of one image. `paint` draws now, `add` draws later, from far to near.

    `image` has twice the size of the scene, so that its edges are smooth. `surface` holds label, texture and depth of
    each pixel, see `code`. `shadow` is the shadow that houses, trees and vehicles cast on the ground.
    """

    rng: Random
    look: Look
    camera: Camera
    height: int
    width: int
    sun: tuple[float, float, float] = (1, 1, 1)  # light on faces left of, right of and across the street
    items: list[tuple[float, Callable, tuple]] = field(default_factory=list)

    def __post_init__(self) -> None:
        backdrop = textures.sky(
            self.rng,
            self.look,
            self.height,
            self.width,
            self.camera.horizon,
        )
        size = (self.width, self.height)
        doubled = (2 * self.width, 2 * self.height)
        self.image = Image.fromarray(backdrop).resize(doubled, Image.Resampling.NEAREST)
        self.surface = Image.new("I", size, ID["sky"])
        self.shadow = Image.new("L", size, 0)
        self.image_pen = ImageDraw.Draw(self.image)
        self.surface_pen = ImageDraw.Draw(self.surface)
        self.shadow_pen = ImageDraw.Draw(self.shadow)
        self.ambient = self.rng.uniform(*self.look.ambient)
        self.left_hand = self.rng.random() < self.look.left_hand

    def pick(self, kind: str, jitter: float = 0.18) -> Color:
        """A random colour of the palette `kind`."""
        return looks.pick(self.rng, self.look, kind, jitter)

    def ink(self, color: Color) -> tuple[int, int, int]:
        """`color` under the scene's light, as Pillow takes it."""
        red, green, blue = color
        light = self.ambient
        return (
            min(255, int(red * light)),
            min(255, int(green * light)),
            min(255, int(blue * light)),
        )

    def code(self, label: str, depth: float) -> int:
        """Label, texture and depth in one integer, so that one drawing call records all three."""
        least, greatest = TEXTURE.get(label, SMOOTH)
        amplitude = least + (greatest - least) * self.rng.random()
        log_depth = 20 * log(max(depth, 1.1))
        return ID[label] | int(amplitude) << 8 | int(log_depth) << 16

    def paint(
        self,
        points: Sequence[Point],
        color: Color | None,
        label: str | None = None,
        depth: float = 1,
    ) -> None:
        """Fill a polygon given in pixels; without a colour only the label, without a label only the image."""
        if color is not None:
            doubled = [(2 * u + 0.5, 2 * v + 0.5) for u, v in points]
            self.image_pen.polygon(doubled, self.ink(color))
        if label is not None:
            self.surface_pen.polygon(points, self.code(label, depth))

    def paint_strip(
        self,
        left: float,
        right: float,
        near: float,
        far: float,
        color: Color,
        label: str | None = None,
    ) -> None:
        """Fill a ribbon of ground, see `Camera.strip`."""
        self.paint(self.camera.strip(left, right, near, far), color, label)

    def paint_panel(
        self,
        start: Point,
        end: Point,
        low: float,
        high: float,
        color: Color | None,
        label: str | None = None,
    ) -> None:
        """Fill an upright rectangle above two ground points, see `Camera.panel`."""
        depth = (start[1] + end[1]) / 2
        self.paint(self.camera.panel(start, end, low, high), color, label, depth)

    def blob(
        self,
        center: Point,
        radii: Point,
        color: Color | None,
        label: str | None = None,
        depth: float = 1,
    ) -> None:
        """Fill an ellipse given in pixels, like `paint`."""
        u, v = center
        a, b = radii
        left = u - a
        top = v - b
        right = u + a
        bottom = v + b
        if color is not None:
            doubled = (2 * left, 2 * top, 2 * right, 2 * bottom)
            self.image_pen.ellipse(doubled, self.ink(color))
        if label is not None:
            self.surface_pen.ellipse(
                (left, top, right, bottom),
                self.code(label, depth),
            )

    def stroke(
        self,
        ends: Sequence[Point],
        metres: float,
        z: float,
        color: Color,
        label: str | None = None,
    ) -> None:
        """Draw a bar of a thickness in metres at depth z, at least a pixel wide."""
        thickness = self.camera.focal * metres / z
        doubled = [(2 * u + 0.5, 2 * v + 0.5) for u, v in ends]
        self.image_pen.line(
            doubled,
            self.ink(color),
            max(1, round(2 * thickness)),
        )
        if label is not None:
            self.surface_pen.line(
                ends,
                self.code(label, z),
                max(1, round(thickness)),
            )

    def ring(self, center: Point, radius: float, thickness: float, color: Color) -> None:
        """Draw a circle given in pixels, without a label; its line is at least half a pixel wide."""
        left = center[0] - radius
        top = center[1] - radius
        right = center[0] + radius
        bottom = center[1] + radius
        self.image_pen.ellipse(
            (2 * left, 2 * top, 2 * right, 2 * bottom),
            outline=self.ink(color),
            width=max(1, round(2 * thickness)),
        )

    def cast_shadow(self, left: float, right: float, near: float, far: float, strength: int) -> None:
        """Darken a ribbon of ground, see `Camera.strip`; the strength is at most 255."""
        outline = self.camera.strip(left, right, near, far)
        self.shadow_pen.polygon(outline, fill=strength)

    def add(self, z: float, draw: Callable, *args: object) -> None:
        """Draw `draw(self, *args)` when everything farther than z has been drawn."""
        self.items.append((z, draw, args))

    def draw(self) -> None:
        """Draw everything that was added, the farthest first."""
        farthest_first = sorted(self.items, key=lambda item: -item[0])
        for _, draw, arguments in farthest_first:
            draw(self, *arguments)

    def light_on(self, start: Point, end: Point) -> float:
        """Light on the upright face above two ground points: faces along the street differ from faces across it."""
        left, right, across = self.sun
        if abs(end[0] - start[0]) > abs(end[1] - start[1]):
            return across
        if start[0] > 0:
            return right
        return left
