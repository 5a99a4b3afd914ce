"""What stands behind the pavements of toycity: houses, gardens, parks, and what closes the view."""

from dataclasses import dataclass, replace

from cotrain.toycity.barriers import draw_fence, draw_wall, random_fence_style
from cotrain.toycity.buildings import draw_facade, draw_house, random_house_style
from cotrain.toycity.canvas import Scene
from cotrain.toycity.layout import FAR, NEAR, Street
from cotrain.toycity.parks import add_park
from cotrain.toycity.plants import draw_tree

HOUSE_CHANCES = {"urban": 0.9, "suburban": 0.65, "green": 0.3}
PARK_CHANCE = 0.16
BARRIERS = {"wall": 3, "fence": 5, "vegetation": 3, None: 1}  # label → how frequent


# ---- the far end ------------------------------------------------------------------------------------------------


def add_background(scene: Scene, street: Street) -> None:
    """Add far trees and houses along the horizon, and what closes the street."""
    rng = scene.rng
    x = -170.0
    while x < 170:
        width = rng.uniform(10, 40)
        z = rng.uniform(135, 180)
        if rng.random() < 0.45:
            add_facade(scene, x, x + width, z)
        elif rng.random() < 0.8:
            add_grove(scene, x, width, z)
        x += width
    if street.end < FAR:
        close_street(scene, street.end)


def add_facade(scene: Scene, left: float, right: float, z: float) -> None:
    """Add a distant house, on which no windows are seen."""
    style = random_house_style(scene)
    scene.add(
        z,
        draw_facade,
        (left, z),
        (right, z),
        scene.rng.uniform(5, 16),
        replace(style, has_windows=False),
    )


def add_grove(scene: Scene, left: float, width: float, z: float) -> None:
    """Add three distant trees."""
    rng = scene.rng
    for _ in range(3):
        x = left + rng.random() * width
        height = rng.uniform(7, 16)
        scene.add(z, draw_tree, x, z, height, False)


def close_street(scene: Scene, z: float) -> None:
    """Add a house or trees across the end of the street."""
    rng = scene.rng
    if rng.random() < 0.6:
        style = random_house_style(scene)
        half = rng.uniform(6, 18)
        height = rng.uniform(6, 14)
        scene.add(z, draw_facade, (-half, z), (half, z), height, style)
        return
    for _ in range(6):
        x = rng.uniform(-15, 15)
        height = rng.uniform(5, 12)
        scene.add(z, draw_tree, x, z, height, False)


# ---- one side ---------------------------------------------------------------------------------------------------


def add_frontage(scene: Scene, street: Street, side: int) -> None:
    """Add houses, walls, fences, hedges, gardens and parks along one side, plot by plot."""
    rng = scene.rng
    row = random_row(scene, street, side)
    near = NEAR
    while near < min(FAR, street.end + 20):
        length = rng.uniform(5, 18)
        far = near + length
        is_free = street.is_free(near, 0.5) and street.is_free(far, 0.5)
        if not is_free:
            near += 1.5 if near < street.end else length
            # Behind the end houses have no front, only gables, which are seen above what closes the street.
            if near < street.end:
                continue
        if rng.random() < PARK_CHANCE:
            length = rng.uniform(15, 60)
            far = min(near + length, park_limit(street, near))
            add_park(scene, side, row.front, near, far)
            near = far
            continue
        add_plot(scene, row, near, far)
        near = far
        if rng.random() < row.alley_chance:
            near += rng.uniform(1, 6)


@dataclass(frozen=True)
class HouseRow:
    """What the plots along one side have in common; lengths in m, chances in [0, 1]."""

    side: int
    front: float  # x
    house_chance: float
    house_height: float  # on average
    setback: float  # of houses behind the front
    alley_chance: float  # of a gap between two plots


def random_row(scene: Scene, street: Street, side: int) -> HouseRow:
    rng = scene.rng
    if street.is_urban:
        height = rng.uniform(6.5, 14)
        setback = 0
        alley_chance = 0.1
    else:
        height = rng.uniform(5, 9)
        setback = rng.uniform(2, 7)
        alley_chance = 0.4
    return HouseRow(
        side=side,
        front=side * street.front[side],
        house_chance=HOUSE_CHANCES[street.character],
        house_height=height,
        setback=setback,
        alley_chance=alley_chance,
    )


def add_plot(scene: Scene, row: HouseRow, near: float, far: float) -> None:
    """Add a house, perhaps behind a barrier, or a garden."""
    rng = scene.rng
    setback = row.setback
    if rng.random() < 0.15:
        setback += rng.uniform(1, 4)
    if rng.random() >= row.house_chance:
        add_garden(scene, row, near, far)
        return
    x = row.front + row.side * setback
    height = row.house_height * rng.uniform(0.7, 1.3)
    scene.add(far, draw_house, x, near, far, max(3.5, height))
    has_room = abs(x - row.front) > 1
    if has_room and rng.random() < 0.7:
        height = rng.uniform(0.6, 1.3)
        add_barrier(scene, row.front, near, far, height)


def park_limit(street: Street, near: float) -> float:
    """Depth where a park that begins at `near` has to end: before the side road."""
    if street.crossing is not None and near < street.crossing:
        return min(FAR, street.crossing - 1)
    return FAR


def add_garden(scene: Scene, row: HouseRow, near: float, far: float) -> None:
    """Add a wall, hedge or fence with a few trees behind it."""
    rng = scene.rng
    barrier_height = rng.uniform(0.9, 2.6)
    add_barrier(scene, row.front, near, far, barrier_height)
    for _ in range(rng.randrange(1, 4)):
        x = row.front + row.side * rng.uniform(1, 8)
        z = max(rng.uniform(near, far), 4)
        height = rng.uniform(4, 12)
        add_tree(scene, x, z, height)


def add_barrier(scene: Scene, x: float, near: float, far: float, height: float) -> None:
    """Add a wall, hedge or fence along the street, or nothing."""
    labels = tuple(BARRIERS)
    label = scene.rng.choices(labels, tuple(BARRIERS.values()))[0]
    if label is None:
        return
    z = far - 0.1
    start = (x, near)
    end = (x, far)
    if label == "fence":
        style = random_fence_style(scene)
        scene.add(z, draw_fence, start, end, height, style)
    else:
        scene.add(z, draw_wall, start, end, height, label)


def add_tree(scene: Scene, x: float, z: float, height: float) -> None:
    """Add a tree, leafy or bare, with its shadow on the ground."""
    bare = scene.rng.random() < scene.look.bare_tree
    scene.add(z, draw_tree, x, z, height, bare)
    scene.cast_shadow(
        left=x - 2.5,
        right=x + 2.5,
        near=max(z - 2, 1),
        far=z + 1.5,
        strength=200,
    )
