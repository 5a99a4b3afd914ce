"""Lamp posts, signs and traffic lights of toycity."""

from cotrain.toycity.camera import Point, rectangle
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

LAMP = (210, 208, 196)
SIGNAL_HEAD = (24, 26, 26)
SIGNALS = ((250, 50, 40), (250, 180, 40), (60, 230, 130))  # from top to bottom
SHAPES = ("disc", "triangle", "wide board", "board")


def draw_pole(scene: Scene, x: float, z: float, high: float, arm: float) -> None:
    """Lamp post with an arm over the road (arm = 0: a bare post)."""
    color = scene.pick("pole")
    post = scene.camera.upright(x, z, 0, high)
    thickness = scene.rng.uniform(0.08, 0.18)
    scene.stroke(post, thickness, z, color, "pole")
    if arm:
        draw_lamp(scene, x, z, high, arm, color)


def draw_lamp(scene: Scene, x: float, z: float, high: float, arm: float, color: Color) -> None:
    """Lamp on an arm, which rises from the top of a post."""
    project = scene.camera.project
    foot = project(x, high, z)
    end = project(x + arm, high + 0.2, z)
    scene.stroke((foot, end), 0.1, z, color, "pole")
    metre = scene.camera.pixels(1, z)
    scene.blob(
        project(x + arm, high + 0.15, z),
        radii=(0.35 * metre, 0.12 * metre + 0.5),
        color=LAMP,
        label="pole",
        depth=z,
    )


def draw_sign(scene: Scene, x: float, z: float, high: float, size: float) -> None:
    """Disc, triangle or board on a post."""
    rim = scene.pick("sign")
    face = scene.pick("sign")
    draw_pole(scene, x, z, high, 0)
    center = scene.camera.project(x, high, z)
    radius = size * scene.camera.pixels(1, z)
    shape = scene.rng.choice(SHAPES)
    draw_plate(scene, shape, center, radius, z, rim, "traffic sign")
    draw_plate(scene, shape, center, radius * 0.7, z, face, None)


def draw_plate(
    scene: Scene,
    shape: str,
    center: Point,
    radius: float,
    z: float,
    color: Color,
    label: str | None,
) -> None:
    """One colour of a sign; centre and radius in pixels."""
    u, v = center
    if shape == "disc":
        scene.blob(center, (radius, radius), color, label, z)
        return
    if shape == "triangle":
        base = v + 0.8 * radius
        corners = [
            (u - radius, base),
            (u + radius, base),
            (u, v - radius),
        ]
    elif shape == "wide board":
        corners = rectangle(center, radius * 1.6, radius * 0.9)
    else:
        corners = rectangle(center, radius * 0.8, radius * 0.9)
    scene.paint(corners, color, label, z)


def draw_traffic_light(scene: Scene, x: float, z: float, reach: float) -> None:
    """Signal head on a post, or on an arm over the road (reach != 0)."""
    rng = scene.rng
    high = 5.4 if reach else rng.uniform(2.6, 3.4)
    draw_pole(scene, x, z, high, reach)
    center = scene.camera.project(x + reach, high, z)
    metre = scene.camera.pixels(1, z)
    half_width = rng.uniform(0.2, 0.36) * metre
    half_height = rng.uniform(0.5, 0.75) * metre
    head = rectangle(center, half_width, half_height)
    scene.paint(head, SIGNAL_HEAD, "traffic light", z)
    lit = rng.randrange(3)
    radius = max(0.12 * metre, 0.5)
    for i, color in enumerate(SIGNALS):
        light = 1.2 if i == lit else 0.25
        row = center[1] + (i - 1) * 0.6 * half_height
        scene.blob(
            (center[0], row),
            radii=(radius, radius),
            color=shade(color, light),
        )
