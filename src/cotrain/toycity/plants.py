"""Trees, hedges and thickets of toycity."""

from math import cos, pi, sin
from typing import NamedTuple

from cotrain.toycity.camera import Point, between
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

BOUGHS = 11  # of a bare tree
CORE_BLOBS = 9  # large blobs that fill a crown; small ones fray its outline
MOST_BLOBS = 34
HEDGE_BLOBS = 9
THICKET_TWIGS = 26


def draw_hedge(scene: Scene, start: Point, end: Point, high: float, color: Color) -> None:
    """Bushes with a frayed top above the ground points start and end = (x, z)."""
    rng = scene.rng
    scene.paint_panel(start, end, 0, high, color, "vegetation")
    for _ in range(HEDGE_BLOBS):
        x, z = between(start, end, rng.random())
        y = high * rng.uniform(0.3, 1)
        center = scene.camera.project(x, y, z)
        size = scene.camera.pixels(0.3 * high, z)
        scene.blob(
            center,
            radii=(size, 0.7 * size),
            color=shade(color, rng.uniform(0.7, 1.3)),
            label="vegetation",
            depth=z,
        )


def draw_thicket(scene: Scene, start: Point, end: Point, high: float, color: Color) -> None:
    """Leafless bushes: dark, with many twigs, above the ground points start and end = (x, z)."""
    rng = scene.rng
    project = scene.camera.project
    scene.paint_panel(start, end, 0, 0.8 * high, color, "vegetation")
    for _ in range(THICKET_TWIGS):
        x, z = between(start, end, rng.random())
        tip_x = x + rng.uniform(-0.6, 0.6)
        tip_y = high * rng.uniform(0.6, 1.25)
        tip_z = z + rng.uniform(-0.6, 0.6)
        foot_y = rng.uniform(0, 0.5) * high
        foot = project(x, foot_y, z)
        tip = project(tip_x, tip_y, tip_z)
        scene.stroke(
            (foot, tip),
            metres=rng.uniform(0.02, 0.08),
            z=z,
            color=shade(color, rng.uniform(0.4, 2.2)),
            label="vegetation",
        )


def draw_tree(scene: Scene, x: float, z: float, high: float, bare: bool) -> None:
    """Tree of leaf blobs, or of see-through twigs in winter, on a trunk; small in the image, it has fewer of them."""
    rng = scene.rng
    camera = scene.camera
    fork_height = high * rng.uniform(0.2, 0.4)
    foot, fork = camera.upright(x, z, 0, fork_height)
    breadth = camera.pixels(high * rng.uniform(0.22, 0.38), z)
    margin = 2 * breadth
    if not -margin < foot[0] < scene.width + margin:
        return
    bark = scene.pick("bark")
    leaves = scene.pick("leaves")
    scene.stroke((foot, fork), 0.035 * high + 0.1, z, bark, "vegetation")
    _, top = camera.project(x, high, z)
    crown = Crown(
        fork=fork,
        middle=(fork[1] + top) / 2,
        breadth=breadth,
        half_height=(fork[1] - top) / 2,
        depth=z,
    )
    if bare:
        draw_boughs(scene, crown, bark)
    else:
        draw_leaves(scene, crown, leaves)


class Crown(NamedTuple):
    """Crown of a tree in the image, in pixels."""

    fork: Point
    middle: float  # row
    breadth: float
    half_height: float
    depth: float  # in m


def draw_leaves(scene: Scene, crown: Crown, color: Color) -> None:
    """A few large blobs that fill the crown and many small ones that fray its outline."""
    rng = scene.rng
    breadth = crown.breadth
    blobs = CORE_BLOBS + int(2 * breadth)
    for i in range(min(MOST_BLOBS, blobs)):
        angle = rng.uniform(0, 2 * pi)
        if i < CORE_BLOBS:
            reach = 0.7 * rng.random() ** 0.5
            share = 0.42
        else:
            reach = rng.uniform(0.5, 0.9)
            share = 0.18
        center = (
            crown.fork[0] + cos(angle) * reach * breadth,
            crown.middle - sin(angle) * reach * crown.half_height,
        )
        size = share * breadth * rng.uniform(0.7, 1.3)
        # Leaves towards the sky catch more light than those below.
        light = rng.uniform(0.75, 1.1) + 0.25 * sin(angle) * reach
        scene.blob(
            center,
            (size, size * rng.uniform(0.7, 1)),
            shade(color, light),
            "vegetation",
            crown.depth,
        )


def draw_boughs(scene: Scene, crown: Crown, bark: Color) -> None:
    """Leafless boughs from the fork."""
    rng = scene.rng
    for _ in range(BOUGHS):
        angle = rng.uniform(0, 2 * pi)
        reach = 0.7 * rng.random() ** 0.5
        tip = (
            crown.fork[0] + cos(angle) * reach * crown.breadth,
            crown.middle - sin(angle) * reach * crown.half_height,
        )
        size = 0.42 * crown.breadth * rng.uniform(0.7, 1.3)
        draw_bough(scene, crown, tip, size, bark)


def draw_bough(scene: Scene, crown: Crown, tip: Point, size: float, bark: Color) -> None:
    """One bough from the fork to its tip, with twigs; the label covers the sky between them."""
    uniform = scene.rng.uniform
    fork = crown.fork
    z = crown.depth
    scene.blob(tip, (size, 0.8 * size), None, "vegetation", z)
    scene.stroke((fork, tip), 0.12, z, bark, "vegetation")
    twigs = 2 + int(2 * size)
    for _ in range(min(10, twigs)):
        angle = uniform(-0.3, pi + 0.3)
        root = between(fork, tip, uniform(0.3, 1))
        end = (
            tip[0] + cos(angle) * size,
            tip[1] - sin(angle) * size * 0.8,
        )
        thickness = uniform(0.02, 0.07)
        scene.stroke((root, end), thickness, z, bark)
