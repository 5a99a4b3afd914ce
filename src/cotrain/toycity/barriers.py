"""Walls and fences of toycity."""

from collections.abc import Iterator
from dataclasses import dataclass

from cotrain.toycity.camera import Point, between
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

MOST_BARS = 90
NARROWEST_GAP = 1.5  # between bars in the image, in pixels


def draw_wall(
    scene: Scene,
    start: Point,
    end: Point,
    high: float,
    label: str,
    color: Color | None = None,
) -> None:
    """Garden wall or clipped hedge above the ground points start and end; without a colour, of one from its palette."""
    if color is None:
        palette = "wall" if label == "wall" else "leaves"
        color = scene.pick(palette)
    lit = shade(color, scene.light_on(start, end))
    scene.paint_panel(start, end, 0, high, lit, label)
    scene.paint_panel(start, end, 0.88 * high, high, shade(lit, 1.2))


@dataclass(frozen=True)
class FenceStyle:
    """What the pieces of one fence have in common."""

    color: Color
    has_planks: bool  # instead of bars that one sees through
    step: float  # between bars, m
    lean: float  # of the bars, m per m


def random_fence_style(scene: Scene) -> FenceStyle:
    """See-through railing or mesh, or planks."""
    rng = scene.rng
    has_planks = rng.random() < 0.25
    lean = rng.choice((0, 0, 0, 0.25))
    return FenceStyle(
        color=scene.pick("fence"),
        has_planks=has_planks,
        step=rng.uniform(0.12, 0.35),
        lean=0 if has_planks else lean,
    )


def draw_fence(scene: Scene, start: Point, end: Point, high: float, style: FenceStyle) -> None:
    """A fence above the ground points start and end; the label covers the gaps, as annotators do."""
    if style.has_planks:
        surface = style.color
        bar_color = shade(style.color, 0.7)
    else:
        surface = None
        bar_color = style.color
    scene.paint_panel(start, end, 0, high, surface, "fence")
    project = scene.camera.project
    slant = style.lean * high
    for x, z in bar_places(scene, start, end, style.step):
        foot = project(x, 0, z)
        top = project(x, high, z + slant)
        scene.stroke((foot, top), 0.03, z, bar_color)
    if not style.has_planks:
        draw_rail(scene, start, end, 0.12 * high, style.color)
        draw_rail(scene, start, end, high, style.color)


def draw_rail(scene: Scene, start: Point, end: Point, y: float, color: Color) -> None:
    """Horizontal bar of a fence, y m above the ground."""
    x, near = start
    end_x, far = end
    left = scene.camera.project(x, y, near)
    right = scene.camera.project(end_x, y, far)
    depth = (near + far) / 2
    scene.stroke((left, right), 0.05, depth, color)


def bar_places(scene: Scene, start: Point, end: Point, step: float) -> Iterator[Point]:
    """Ground points of the bars of a fence; fewer where they would touch each other in the image.

    The steps are even on the ground: even steps in the image would show the bars of a near and a far metre equally
    dense.
    """
    x, near = start
    end_x, far = end
    left, _ = scene.camera.project(x, 0, near)
    right, _ = scene.camera.project(end_x, 0, far)
    run = abs(far - near + end_x - x)
    room = abs(right - left) / NARROWEST_GAP
    gaps = int(min(run / step, room, MOST_BARS))
    for i in range(gaps + 1):
        share = i / max(gaps, 1)
        yield between(start, end, share)
