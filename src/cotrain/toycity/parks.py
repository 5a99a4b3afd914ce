"""Parks along a street of toycity: in leaf, or in winter behind a railing."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from cotrain.toycity.barriers import FenceStyle, draw_fence, draw_wall, random_fence_style
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import Range, shade
from cotrain.toycity.palettes import Color
from cotrain.toycity.plants import draw_hedge, draw_thicket, draw_tree


@dataclass(frozen=True)
class Edge:
    """What separates any park from the street; lengths in m."""

    fence: FenceStyle
    wall_height: float  # of a low wall below the fence, 0: none
    stone: Color


@dataclass(frozen=True)
class Park:
    """What stands along one park; lengths in m, chances in [0, 1]."""

    edge: Edge
    fence_height: float
    draw_bushes: Callable
    bush_color: Color
    bush_height: float  # 0: none
    tree_chance: float  # of one behind each piece of the fence
    tree_height: Range
    bare_tree: float  # chance that a tree has no leaves


def random_park(scene: Scene) -> Park:
    """A park in leaf or in winter."""
    rng = scene.rng
    fence = random_fence_style(scene)
    wall_height = rng.uniform(0.3, 0.9)
    edge = Edge(
        fence=fence,
        wall_height=rng.choice((0, 0, wall_height)),
        stone=scene.pick("wall"),
    )
    dimness = rng.uniform(0.25, 0.8)  # of the bushes
    if rng.random() < 0.5:
        return winter_park(scene, edge, dimness)
    return summer_park(scene, edge, dimness)


def winter_park(scene: Scene, edge: Edge, dimness: float) -> Park:
    """Thickets and bare trees behind a high, dark railing."""
    rng = scene.rng
    railing = replace(
        edge.fence,
        has_planks=False,
        color=shade(edge.fence.color, rng.uniform(0.3, 1)),
        lean=0,
    )
    height = rng.uniform(1.6, 2.8)
    return Park(
        edge=replace(edge, fence=railing),
        fence_height=height,
        draw_bushes=draw_thicket,
        bush_color=shade(scene.pick("bark"), dimness),
        bush_height=rng.choice((0.6, 0.9, 1.2)) * height,
        tree_chance=0.85,
        tree_height=(8, 16),
        bare_tree=0.9,
    )


def summer_park(scene: Scene, edge: Edge, dimness: float) -> Park:
    """Perhaps a hedge, and trees, behind any fence."""
    rng = scene.rng
    height = rng.uniform(1.0, 2.4)
    return Park(
        edge=edge,
        fence_height=height,
        draw_bushes=draw_hedge,
        bush_color=shade(scene.pick("leaves"), dimness),
        bush_height=rng.choice((0, 0.8, 1.3)) * height,
        tree_chance=0.7,
        tree_height=(5, 13),
        bare_tree=scene.look.bare_tree,
    )


def add_park(scene: Scene, side: int, x: float, near: float, far: float) -> None:
    """Add a fence along the street, some on a low wall, with bushes and trees behind it.

    It comes in pieces, so that what stands nearer than a piece is drawn after it.
    """
    park = random_park(scene)
    while near < far - 0.5:
        length = scene.rng.uniform(4, 7)
        end = min(near + length, far)
        if park.bush_height:
            add_bushes(scene, park, x + side, near, end)
        if scene.rng.random() < park.tree_chance:
            add_tree(scene, park, side, x, end)
        add_edge(scene, park, x, near, end)
        near = end


def add_bushes(scene: Scene, park: Park, x: float, near: float, far: float) -> None:
    """Add bushes behind a piece of the fence."""
    variation = scene.rng.uniform(0.85, 1.2)
    height = park.edge.wall_height + park.bush_height * variation
    scene.add(
        far + 0.2,
        park.draw_bushes,
        (x, near),
        (x, far),
        height,
        park.bush_color,
    )


def add_tree(scene: Scene, park: Park, side: int, x: float, far: float) -> None:
    """Add a tree in front of the bushes."""
    rng = scene.rng
    scene.add(
        far + 0.1,
        draw_tree,
        x + side * rng.uniform(1, 6),
        max(far, 4),
        rng.uniform(*park.tree_height),
        rng.random() < park.bare_tree,
    )


def add_edge(scene: Scene, park: Park, x: float, near: float, far: float) -> None:
    """Add a piece of the fence and of the wall below it."""
    start = (x, near)
    end = (x, far)
    edge = park.edge
    height = edge.wall_height + park.fence_height
    scene.add(far - 0.1, draw_fence, start, end, height, edge.fence)
    if edge.wall_height:
        scene.add(far - 0.2, draw_wall, start, end, edge.wall_height, "wall", edge.stone)
