"""Vehicles of toycity: a side view drawn out to the width, seen from wherever the camera is."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin
from typing import NamedTuple

from cotrain.toycity.camera import Point
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color
from cotrain.toycity.vehicle_shapes import (
    AXLES,
    CAR_PILLARS,
    LABELS,
    LOWER_DECK,
    PILLARS,
    PROFILES,
    SIZES,
    TYRE_RADIUS,
    Corner,
    cabin_of,
)

CIRCLE = [pi * step / 5 for step in range(10)]  # angles, in rad
RED = (190, 24, 28)  # of double-deckers
DARK = (24, 24, 26)
UNDERSIDE = (26, 26, 28)
TREAD = (28, 28, 30)
TYRE = (26, 26, 28)
RIM = (200, 200, 204)
TAIL_LIGHT = (200, 30, 30)
HEAD_LIGHT = (240, 238, 215)
REAR_PLATE = (230, 200, 60)
FRONT_PLATE = (235, 235, 235)
FARTHEST_SPOKES = 14  # in m


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle on the ground with its centre at (x, z); lengths in m.

    sin_yaw, cos_yaw: of its heading, from ahead to the right. colors: of the materials body, glass and dark.
    """

    scene: Scene
    kind: str
    label: str
    x: float
    z: float
    sin_yaw: float
    cos_yaw: float
    length: float
    width: float
    height: float
    colors: dict[str, Color]

    @property
    def pillars(self) -> tuple[float, ...]:
        """Places of the pillars between the windows, along the length."""
        return CAR_PILLARS if self.label == "car" else PILLARS

    def point(self, along: float, across: float, up: float) -> Point:
        """Pixel of a place, in shares of length, half width and height; roofs of cars are narrower."""
        if up > 0.7 and self.label == "car":
            across *= 0.84
        ahead = (along - 0.5) * self.length
        aside = across * self.width / 2
        x = self.x + ahead * self.sin_yaw + aside * self.cos_yaw
        z = self.z + ahead * self.cos_yaw - aside * self.sin_yaw
        return self.scene.camera.project(x, up * self.height, z)

    def side_points(self, side: int, places: Sequence[Point]) -> list[Point]:
        """Pixels of places (along, up) on one long side."""
        return [self.point(along, side, up) for along, up in places]

    def outline(self, side: int) -> list[Point]:
        """Pixels of the side view on one long side."""
        profile = PROFILES[self.kind]
        return [self.point(corner.along, side, corner.up) for corner in profile]

    def paint(self, points: Sequence[Point], color: Color) -> None:
        """Fill a polygon that belongs to the vehicle."""
        self.scene.paint(points, color, self.label, self.z)


def is_visible(points: Sequence[Point]) -> bool:
    """Whether a face is turned to the camera: its corners then run clockwise in the image."""
    following = (*points[1:], points[0])
    edges = zip(points, following, strict=True)
    doubled_area = sum(u * next_v - next_u * v for (u, v), (next_u, next_v) in edges)
    return doubled_area > 0


def add_vehicle(scene: Scene, kinds: tuple[str, ...], x: float, z: float, yaw: float) -> None:
    """Add a vehicle of one of the kinds with its shadow; heading `yaw` in rad from ahead to the right, about."""
    kind = scene.rng.choice(kinds)
    exact_yaw = yaw + scene.rng.gauss(0, 0.04)
    scene.add(z, draw_vehicle, kind, x, z, exact_yaw)
    scene.cast_shadow(
        left=x - 1.4,
        right=x + 1.4,
        near=max(z - 2.6, 1),
        far=z + 2.6,
        strength=220,
    )


def draw_vehicle(scene: Scene, kind: str, x: float, z: float, yaw: float) -> None:
    """Side view drawn out to the width; centre at (x, z), heading `yaw` rad from ahead to the right."""
    vehicle = random_vehicle(scene, kind, x, z, yaw)
    underside = [
        vehicle.point(0.02, -1, 0),
        vehicle.point(0.02, 1, 0),
        vehicle.point(0.98, 1, 0),
        vehicle.point(0.98, -1, 0),
    ]
    scene.paint(underside, UNDERSIDE)
    draw_tyres(vehicle)
    draw_faces(vehicle)
    draw_ends(vehicle)
    for side in (-1, 1):
        outline = vehicle.outline(side)
        if is_visible(outline[::side]):
            draw_side(vehicle, side, outline)


def random_vehicle(scene: Scene, kind: str, x: float, z: float, yaw: float) -> Vehicle:
    """Size and colours of one vehicle."""
    rng = scene.rng
    length, width, height = [size * rng.uniform(0.93, 1.07) for size in SIZES[kind]]
    is_red = kind == "double-decker"
    body = shade(RED, rng.uniform(0.6, 1.1)) if is_red else scene.pick("car")
    glass = shade(scene.pick("glass"), 0.8)
    return Vehicle(
        scene=scene,
        kind=kind,
        label=LABELS.get(kind, "car"),
        x=x,
        z=z,
        sin_yaw=sin(yaw),
        cos_yaw=cos(yaw),
        length=length,
        width=width,
        height=height,
        colors={"body": body, "glass": glass, "dark": DARK},
    )


def draw_tyres(vehicle: Vehicle) -> None:
    """What is seen of the tyres below the body: their sides and treads."""
    for axle in AXLES:
        for side in (-1, 1):
            wheel = [tyre_point(vehicle, side, axle, angle) for angle in CIRCLE]
            vehicle.paint(wheel, TREAD)
            tread = [
                vehicle.point(axle, side, 0),
                vehicle.point(axle, side * 0.76, 0),
                vehicle.point(axle, side * 0.76, 0.2),
                vehicle.point(axle, side, 0.2),
            ]
            vehicle.paint(tread, TREAD)


def tyre_point(vehicle: Vehicle, side: int, axle: float, angle: float) -> Point:
    """Pixel at an angle on the edge of a tyre."""
    along = TYRE_RADIUS / vehicle.length * cos(angle)
    up = (TYRE_RADIUS + TYRE_RADIUS * sin(angle)) / vehicle.height
    return vehicle.point(axle + along, side, up)


class Face(NamedTuple):
    """A face that runs across a vehicle."""

    nearness: float  # in m, greater is nearer
    corners: list[Point]
    color: Color


def draw_faces(vehicle: Vehicle) -> None:
    """The faces that run across and are seen: tail, rear window, roof, windscreen, bonnet and front."""
    profile = PROFILES[vehicle.kind]
    following = (*profile[1:], profile[0])
    faces = []
    for start, end in zip(profile, following, strict=True):
        face = face_between(vehicle, start, end)
        if is_visible(face.corners):
            faces.append(face)
    faces.sort(key=lambda face: face.nearness)
    for face in faces:
        vehicle.paint(face.corners, face.color)


def face_between(vehicle: Vehicle, start: Corner, end: Corner) -> Face:
    """The face across the vehicle between two corners of its side view."""
    left_start = vehicle.point(start.along, -1, start.up)
    left_end = vehicle.point(end.along, -1, end.up)
    right_end = vehicle.point(end.along, 1, end.up)
    right_start = vehicle.point(start.along, 1, start.up)
    is_roof = start.up == end.up == 1
    light = 1.12 if is_roof else vehicle.scene.sun[2]
    middle = (start.along + end.along) / 2
    ahead = (middle - 0.5) * vehicle.length
    return Face(
        nearness=-vehicle.z - ahead * vehicle.cos_yaw,
        corners=[left_start, left_end, right_end, right_start],
        color=shade(vehicle.colors[start.material], light),
    )


def draw_ends(vehicle: Vehicle) -> None:
    """Lights and number plates of the ends that face the camera."""
    draw_end(vehicle, 0, TAIL_LIGHT, REAR_PLATE)
    draw_end(vehicle, 1, HEAD_LIGHT, FRONT_PLATE)


def draw_end(vehicle: Vehicle, along: int, light: Color, plate: Color) -> None:
    """Lights and number plate of the tail (along = 0) or the front (1), if it faces the camera."""
    face = [
        vehicle.point(along, -1, 0.2),
        vehicle.point(along, -1, 0.5),
        vehicle.point(along, 1, 0.5),
        vehicle.point(along, 1, 0.2),
    ]
    if along == 1:
        face.reverse()
    if not is_visible(face):
        return
    for side in (-1, 1):
        draw_end_board(vehicle, along, (side * 0.95, side * 0.6), (0.4, 0.52), light)
    draw_end_board(vehicle, along, (-0.25, 0.25), (0.28, 0.36), plate)


def draw_end_board(vehicle: Vehicle, along: int, across: Point, up: Point, color: Color) -> None:
    """Rectangle on the tail or the front, between two places across and two heights."""
    start, end = across
    low, high = up
    corners = [
        vehicle.point(along, start, low),
        vehicle.point(along, end, low),
        vehicle.point(along, end, high),
        vehicle.point(along, start, high),
    ]
    vehicle.scene.paint(corners, color)


def draw_side(vehicle: Vehicle, side: int, outline: list[Point]) -> None:
    """The long side of a vehicle: body, windows and wheels; `outline` of it in pixels."""
    light = vehicle.scene.sun[side < 0]
    body = vehicle.colors["body"]
    vehicle.paint(outline, shade(body, light))
    draw_windows(vehicle, side, light)
    pillar = shade(body, light * 0.9)
    for along in vehicle.pillars:
        draw_side_board(vehicle, side, (along, along + 0.02), (0.62, 0.95), pillar)
    sill = shade(body, light * 0.55)
    draw_side_board(vehicle, side, (0.01, 0.99), (0.15, 0.27), sill)
    draw_wheels(vehicle, side, light)


def draw_windows(vehicle: Vehicle, side: int, light: float) -> None:
    """Windows of one long side."""
    glass = shade(vehicle.colors["glass"], light)
    cabin = cabin_of(vehicle.kind)
    vehicle.scene.paint(vehicle.side_points(side, cabin), glass)
    if vehicle.kind == "double-decker":
        lower_deck = vehicle.side_points(side, LOWER_DECK)
        vehicle.scene.paint(lower_deck, glass)


def draw_side_board(vehicle: Vehicle, side: int, along: Point, up: Point, color: Color) -> None:
    """Rectangle on a long side, between two places along and two heights."""
    start, end = along
    low, high = up
    corners = ((start, low), (end, low), (end, high), (start, high))
    vehicle.scene.paint(vehicle.side_points(side, corners), color)


def draw_wheels(vehicle: Vehicle, side: int, light: float) -> None:
    """Tyres and rims; near ones have spokes, which tells them from the wheels of bicycles."""
    rng = vehicle.scene.rng
    rim_radius = rng.uniform(0.17, 0.25)
    spokes = rng.choice((0, 5, 5, 6, 8))
    metal = shade(RIM, light * rng.uniform(0.45, 1.1))
    for axle in AXLES:
        wheel = Wheel(vehicle, side, axle)
        wheel.paint_disc(0.33, TYRE)
        wheel.paint_disc(rim_radius, metal)
        if vehicle.z < FARTHEST_SPOKES:
            wheel.paint_spokes(spokes, rim_radius, shade(metal, 0.35))


class Wheel(NamedTuple):
    """One wheel on a long side, of the size that it has on a vehicle of mean size."""

    vehicle: Vehicle
    side: int
    axle: float  # along the length

    def point(self, radius: float, angle: float) -> Point:
        """Pixel at a distance from the axle, in m, and an angle, in rad."""
        length, _, height = SIZES[self.vehicle.kind]
        along = self.axle + radius / length * cos(angle)
        up = (0.32 + radius * sin(angle)) / height
        return self.vehicle.point(along, self.side, up)

    def paint_disc(self, radius: float, color: Color) -> None:
        outline = [self.point(radius, angle) for angle in CIRCLE]
        self.vehicle.scene.paint(outline, color)

    def paint_spokes(self, spokes: int, rim_radius: float, gap_color: Color) -> None:
        """Paint the gaps between the spokes."""
        inner = 0.3 * rim_radius
        outer = 0.85 * rim_radius
        for step in range(spokes):
            angle = 2 * pi * step / spokes
            gap = [
                self.point(inner, angle),
                self.point(outer, angle - 2 / spokes),
                self.point(outer, angle + 2 / spokes),
            ]
            self.vehicle.scene.paint(gap, gap_color)
