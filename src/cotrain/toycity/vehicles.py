"""Vehicles of toycity: a side view drawn out to the width, seen from wherever the camera is."""

from collections.abc import Callable, Sequence
from math import cos, pi, sin

from cotrain.toycity.canvas import Point, Scene
from cotrain.toycity.looks import Color, shade

# Side views: (place along the length from the tail, height, material of the face to the next corner).
PROFILES = {
    "saloon": (
        (0, 0.15, "body"), (0, 0.6, "body"), (0.15, 0.65, "glass"), (0.28, 1, "body"), (0.56, 1, "glass"),
        (0.73, 0.64, "body"), (0.97, 0.52, "body"), (1, 0.15, "dark"),
    ),
    "hatchback": (
        (0, 0.15, "body"), (0, 0.6, "glass"), (0.1, 0.97, "body"), (0.5, 1, "glass"), (0.7, 0.64, "body"),
        (0.97, 0.52, "body"), (1, 0.15, "dark"),
    ),
    "van": (
        (0, 0.12, "body"), (0, 0.58, "glass"), (0.03, 0.98, "body"), (0.68, 1, "glass"), (0.84, 0.56, "body"),
        (0.99, 0.44, "body"), (1, 0.12, "dark"),
    ),
    "bus": (
        (0, 0.1, "body"), (0, 0.5, "glass"), (0, 0.85, "body"), (0, 1, "body"), (1, 1, "body"),
        (1, 0.88, "glass"), (1, 0.38, "body"), (1, 0.1, "dark"),
    ),
    "double-decker": (
        (0, 0.08, "body"), (0, 0.3, "glass"), (0, 0.45, "body"), (0, 0.62, "glass"), (0, 0.86, "body"), (0, 1, "body"),
        (1, 1, "body"), (1, 0.88, "glass"), (1, 0.6, "body"), (1, 0.46, "glass"), (1, 0.2, "body"), (1, 0.08, "dark"),
    ),
    "truck": (
        (0, 0.15, "body"), (0, 1, "body"), (1, 1, "body"), (1, 0.85, "glass"), (1, 0.5, "body"),
        (1, 0.15, "dark"),
    ),
}  # fmt: skip
SIZES = {  # length, width, height in m
    "saloon": (4.5, 1.75, 1.45), "hatchback": (3.9, 1.7, 1.5), "van": (4.9, 1.95, 2.1),
    "bus": (10.5, 2.5, 3.2), "double-decker": (10.2, 2.5, 4.35), "truck": (7.5, 2.4, 3.3),
}  # fmt: skip
WHEEL = [pi * step / 5 for step in range(10)]


def visible(points: Sequence[Point]) -> bool:
    """Whether a face turned to the camera: its corners then run clockwise in the image."""
    return sum(u * q - p * v for (u, v), (p, q) in zip(points, (*points[1:], points[0]), strict=True)) > 0


def draw_vehicle(scene: Scene, kind: str, x: float, z: float, yaw: float) -> None:
    """Side view drawn out to the width; centre at (x, z), heading `yaw` rad from ahead to the right."""
    rng, project = scene.rng, scene.camera.project
    label = {"bus": "bus", "double-decker": "bus", "truck": "truck"}.get(kind, "car")
    length, width, high = (size * rng.uniform(0.93, 1.07) for size in SIZES[kind])
    body = shade((190, 24, 28), rng.uniform(0.6, 1.1)) if kind == "double-decker" else scene.pick("car")
    colors = {"body": body, "glass": shade(scene.pick("glass"), 0.8), "dark": (24, 24, 26)}

    def at(along: float, across: float, up: float) -> Point:
        tuck = 0.84 if up > 0.7 and label == "car" else 1
        dl, dw = (along - 0.5) * length, across * tuck * width / 2
        return project(x + dl * sin(yaw) + dw * cos(yaw), up * high, z + dl * cos(yaw) - dw * sin(yaw))

    scene.paint([at(0.02, -1, 0), at(0.02, 1, 0), at(0.98, 1, 0), at(0.98, -1, 0)], (26, 26, 28))
    profile = PROFILES[kind]
    for wheel in (0.18, 0.8):
        for side in (-1, 1):
            drawn = [at(wheel + 0.31 / length * cos(t), side, (0.31 + 0.31 * sin(t)) / high) for t in WHEEL]
            scene.paint(drawn, (28, 28, 30), label, z)
            tread = [at(wheel, side * a, h) for a, h in ((1, 0), (0.76, 0), (0.76, 0.2), (1, 0.2))]
            scene.paint(tread, (28, 28, 30), label, z)
    faces = []
    for (l0, h0, material), (l1, h1, _) in zip(profile, (*profile[1:], profile[0]), strict=True):
        corners = [at(l0, -1, h0), at(l1, -1, h1), at(l1, 1, h1), at(l0, 1, h0)]
        if visible(corners):
            tone = 1.12 if h0 == h1 == 1 else scene.sun[2]
            faces.append((-z - ((l0 + l1) / 2 - 0.5) * length * cos(yaw), corners, shade(colors[material], tone)))
    for _, corners, color in sorted(faces, key=lambda face: face[0]):
        scene.paint(corners, color, label, z)
    draw_lights(scene, at)
    for side in (-1, 1):
        outline = [at(along, side, up) for along, up, _ in profile][::side]
        if visible(outline):
            draw_vehicle_side(scene, kind, at, side, colors, label, z)


def draw_lights(scene: Scene, at: Callable) -> None:
    """Tail lights, head lights and number plates on the ends that face the camera."""
    for end, color, plate in ((0, (200, 30, 30), (230, 200, 60)), (1, (240, 238, 215), (235, 235, 235))):
        if visible([at(end, -1, 0.2), at(end, -1, 0.5), at(end, 1, 0.5), at(end, 1, 0.2)][:: 1 - 2 * end]):
            for side in (-1, 1):
                lamp = [at(end, side * a, h) for a, h in ((0.95, 0.4), (0.6, 0.4), (0.6, 0.52), (0.95, 0.52))]
                scene.paint(lamp, color)
            scene.paint([at(end, a, h) for a, h in ((-0.25, 0.28), (0.25, 0.28), (0.25, 0.36), (-0.25, 0.36))], plate)


def draw_vehicle_side(
    scene: Scene, kind: str, at: Callable, side: int, colors: dict[str, Color], label: str, z: float
) -> None:
    """The long side of a vehicle: body, windows and wheels."""
    profile = PROFILES[kind]
    tone = scene.sun[side < 0]
    scene.paint([at(along, side, up) for along, up, _ in profile], shade(colors["body"], tone), label, z)
    if kind == "double-decker":
        cabin = [(0.02, 0.64), (0.02, 0.86), (0.98, 0.86), (0.98, 0.62)]
    elif kind == "bus":
        cabin = [(0.02, 0.5), (0.02, 0.85), (0.98, 0.85), (0.98, 0.45)]
    elif kind == "truck":
        cabin = [(0.83, 0.55), (0.83, 0.85), (0.96, 0.85), (0.98, 0.55)]
    else:
        roof = [(along, up) for along, up, _ in profile if up > 0.57 and along < 0.85]
        middle = sum(along for along, _ in roof) / len(roof)
        cabin = [(middle + (along - middle) * 0.86, 0.66 if up < 0.9 else 0.93) for along, up in roof]
    scene.paint([at(along, side, up) for along, up in cabin], shade(colors["glass"], tone))

    if kind == "double-decker":
        lower = [(0.02, 0.3), (0.02, 0.45), (0.98, 0.45), (0.98, 0.28)]
        scene.paint([at(along, side, up) for along, up in lower], shade(colors["glass"], tone))

    def strip(start: float, stop: float, low: float, top: float, color: Color) -> None:
        corners = ((start, low), (stop, low), (stop, top), (start, top))
        scene.paint([at(along, side, up) for along, up in corners], color)

    for pillar in (0.41,) if label == "car" else (0.25, 0.5, 0.75):
        strip(pillar, pillar + 0.02, 0.62, 0.95, shade(colors["body"], tone * 0.9))
    strip(0.01, 0.99, 0.15, 0.27, shade(colors["body"], tone * 0.55))
    draw_wheels(scene, kind, at, side, tone, z)


def draw_wheels(scene: Scene, kind: str, at: Callable, side: int, tone: float, z: float) -> None:
    """Tyres and rims; near ones have spokes, which tells them from the wheels of bicycles."""
    rng, (length, _, high) = scene.rng, SIZES[kind]
    radius, spokes = rng.uniform(0.17, 0.25), rng.choice((0, 5, 5, 6, 8))
    metal = shade((200, 200, 204), tone * rng.uniform(0.45, 1.1))
    for wheel in (0.18, 0.8):

        def around(r: float, t: float, wheel: float = wheel) -> Point:
            return at(wheel + r / length * cos(t), side, (0.32 + r * sin(t)) / high)

        scene.paint([around(0.33, t) for t in WHEEL], (26, 26, 28))
        scene.paint([around(radius, t) for t in WHEEL], metal)
        for step in range(spokes if z < 14 else 0):
            t = 2 * pi * step / spokes
            gap = [(0.3, t), (0.85, t - 2 / spokes), (0.85, t + 2 / spokes)]
            scene.paint([around(r * radius, angle) for r, angle in gap], shade(metal, 0.35))
