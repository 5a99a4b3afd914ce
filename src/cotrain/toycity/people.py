"""People and bicycles of toycity."""

from dataclasses import dataclass

from cotrain.toycity.camera import Point
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

TYRE = (30, 30, 32)
WHEEL_RADIUS = 0.34  # of a bicycle, in m
HALF_WHEELBASE = 0.52


@dataclass(frozen=True)
class Figure:
    """A person at (x, z), its feet at `low`; lengths in m. `label` is its class."""

    scene: Scene
    x: float
    z: float
    height: float
    low: float
    label: str

    def point(self, across: float, up: float) -> Point:
        """Pixel at a place of the body, in shares of its height."""
        x = self.x + across * self.height
        y = self.low + up * self.height
        return self.scene.camera.project(x, y, self.z)

    def paint(self, outline: list[Point], color: Color) -> None:
        self.scene.paint(outline, color, self.label, self.z)

    def paint_leg(self, side: int, stride: float, lift: float, color: Color) -> None:
        foot = max(side * lift, 0)
        outline = [
            self.point(side * 0.09, 0.5),
            self.point(side * stride + 0.045, foot),
            self.point(side * stride - 0.045, foot),
            self.point(-side * 0.01, 0.5),
        ]
        self.paint(outline, color)

    def paint_arm(self, side: int, shoulder: float, color: Color) -> None:
        outline = [
            self.point(side * shoulder, 0.82),
            self.point(side * (shoulder + 0.05), 0.45),
            self.point(side * (shoulder - 0.02), 0.45),
        ]
        self.paint(outline, color)

    def paint_torso(self, shoulder: float, hips: float, color: Color) -> None:
        outline = [
            self.point(-shoulder, 0.8),
            self.point(-0.05, 0.86),
            self.point(0.05, 0.86),
            self.point(shoulder, 0.8),
            self.point(0.1, hips),
            self.point(-0.1, hips),
        ]
        self.paint(outline, color)

    def paint_head(self, skin: Color) -> None:
        """Paint a head, most with hair, which has no label of its own."""
        scene = self.scene
        height = scene.camera.pixels(self.height, self.z)
        breadth = 0.055 * height
        center = self.point(0, 0.925)
        scene.blob(center, (breadth, 0.075 * height), skin, self.label, self.z)
        if scene.rng.random() < 0.8:
            crown = self.point(0, 0.96)
            scene.blob(crown, (breadth, 0.045 * height), scene.pick("bark"))


def draw_person(scene: Scene, x: float, z: float, high: float, label: str = "person", low: float = 0.0) -> None:
    """Standing or walking figure of `high` m above `low`; riders sit, so their legs are short."""
    rng = scene.rng
    figure = Figure(scene, x, z, high, low, label)
    coat = scene.pick("cloth")
    sleeve = shade(coat, 0.85)
    trousers = shade(scene.pick("cloth"), 0.8)
    skin = scene.pick("skin")
    stride = rng.uniform(0.02, 0.16)
    shoulder = rng.uniform(0.1, 0.14)
    lift = rng.choice((-0.12, 0.12)) if label == "rider" else 0
    for side in (-1, 1):
        figure.paint_leg(side, stride, lift, trousers)
        figure.paint_arm(side, shoulder, sleeve)
    hips = rng.uniform(0.38, 0.5)
    figure.paint_torso(shoulder, hips, coat)
    figure.paint_head(skin)


def draw_bicycle(scene: Scene, x: float, z: float, sideways: bool, ridden: bool) -> None:
    """Bicycle seen from behind or from the side, with or without its rider."""
    color = scene.pick("car")
    if sideways:
        draw_bicycle_side(scene, x, z, color)
    else:
        draw_bicycle_end(scene, x, z, color)
    if ridden:
        height = scene.rng.uniform(1.4, 1.6)
        draw_person(scene, x, z, height, label="rider", low=0.28)


def draw_bicycle_side(scene: Scene, x: float, z: float, color: Color) -> None:
    """Two wheels and a frame; the label covers the wheels between their spokes."""
    project = scene.camera.project
    draw_wheel(scene, x - HALF_WHEELBASE, z)
    draw_wheel(scene, x + HALF_WHEELBASE, z)
    frame = [
        project(x - HALF_WHEELBASE, WHEEL_RADIUS, z),
        project(x - 0.15, 0.85, z),
        project(x + 0.4, 0.9, z),
        project(x, 0.3, z),
        project(x - 0.15, 0.85, z),
    ]
    scene.stroke(frame, 0.06, z, color, "bicycle")
    fork = (
        project(x + HALF_WHEELBASE, WHEEL_RADIUS, z),
        project(x + 0.4, 1.05, z),
    )
    scene.stroke(fork, 0.06, z, color, "bicycle")


def draw_wheel(scene: Scene, x: float, z: float) -> None:
    """Wheel of a bicycle from the side."""
    center = scene.camera.project(x, WHEEL_RADIUS, z)
    metre = scene.camera.pixels(1, z)
    radius = WHEEL_RADIUS * metre
    scene.blob(center, (radius, radius), None, "bicycle", z)
    scene.ring(center, radius, 0.05 * metre, TYRE)


def draw_bicycle_end(scene: Scene, x: float, z: float, color: Color) -> None:
    """A wheel seen from behind and the handlebar."""
    project = scene.camera.project
    wheel = scene.camera.upright(x, z, 0, 0.95)
    thickness = scene.rng.uniform(0.08, 0.14)
    scene.stroke(wheel, thickness, z, TYRE, "bicycle")
    left = project(x - 0.27, 0.98, z)
    right = project(x + 0.27, 0.98, z)
    scene.stroke((left, right), 0.06, z, color, "bicycle")
