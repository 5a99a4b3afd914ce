"""What stands along a kerb of toycity: lamp posts, trees, signs, traffic lights, railings and parked vehicles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import pi

from cotrain.toycity.barriers import draw_fence, random_fence_style
from cotrain.toycity.canvas import Scene
from cotrain.toycity.frontage import add_tree
from cotrain.toycity.layout import Street
from cotrain.toycity.looks import Range
from cotrain.toycity.people import draw_bicycle
from cotrain.toycity.posts import draw_pole, draw_sign, draw_traffic_light
from cotrain.toycity.vehicles import add_vehicle

TREE_CHANCES = {"urban": 0.35, "suburban": 0.5, "green": 0.7}
FARTHEST_FURNITURE = 90  # in m
FARTHEST_PARKED = 80
PARKED_KINDS = ("saloon", "hatchback", "hatchback", "van")


@dataclass(frozen=True)
class Parking:
    """How vehicles are parked along a kerb."""

    offset: float  # of their middle from the kerb, outwards, in m
    step: Range  # from one to the next, in m
    headings: tuple[int, ...]  # quarters of a turn


IN_A_ROW = Parking(offset=-1.0, step=(5.2, 7), headings=(0, 0, 2))
IN_BAYS = Parking(offset=0.6, step=(2.4, 3.2), headings=(-1, 1))


@dataclass(frozen=True)
class Row:
    """Things of one kind along a kerb, if there are any."""

    chance: float
    step: float  # in m, about
    add: Callable[[Scene, int, float, float], None]  # adds one of them: scene, side, x, z


def add_furniture(scene: Scene, street: Street, side: int) -> None:
    """Add lamp posts, trees, signs, bollards, traffic lights and railings along one kerb."""
    rng = scene.rng
    distance = street.kerb[side] + rng.uniform(0.3, 0.7)
    x = side * distance
    tree_chance = TREE_CHANCES[street.character]
    rows = [
        Row(0.8, rng.uniform(12, 32), add_lamp_post),
        Row(tree_chance, rng.uniform(7, 20), add_street_tree),
        Row(0.85, rng.uniform(8, 25), add_sign),
        Row(0.12, rng.uniform(1.5, 4), add_bollard),
    ]
    for row in rows:
        add_row(scene, street, row, side, x)
    light_chance = 0.75 if street.crossing else 0.2
    if rng.random() < light_chance:
        add_traffic_lights(scene, street, x, side)
    if rng.random() < 0.12:
        add_railing(scene, street, x)


def add_row(scene: Scene, street: Street, row: Row, side: int, x: float) -> None:
    """Add the things of a row at about even steps, leaving out the side road."""
    rng = scene.rng
    z = rng.uniform(4, 4 + row.step)
    if rng.random() >= row.chance:
        return
    while z < FARTHEST_FURNITURE:
        if street.is_free(z):
            row.add(scene, side, x, z)
        z += row.step * rng.uniform(0.7, 1.4)


def add_lamp_post(scene: Scene, side: int, x: float, z: float) -> None:
    height = scene.rng.uniform(5, 9)
    arm = scene.rng.choice((0, 1.0, 2.0))
    scene.add(z, draw_pole, x, z, height, -side * arm)


def add_street_tree(scene: Scene, side: int, x: float, z: float) -> None:
    offset = scene.rng.uniform(0, 1)
    height = scene.rng.uniform(4, 10)
    add_tree(scene, x + side * offset, z, height)


def add_sign(scene: Scene, side: int, x: float, z: float) -> None:
    height = scene.rng.uniform(1.9, 3.4)
    size = scene.rng.choice((0.25, 0.3, 0.4, 0.7))
    scene.add(z, draw_sign, x, z, height, size)


def add_bollard(scene: Scene, side: int, x: float, z: float) -> None:
    scene.add(z, draw_pole, x, z, 1.0, 0)


def add_traffic_lights(scene: Scene, street: Street, x: float, side: int) -> None:
    """Add one before the side road, on a post or above the road, and one behind it."""
    rng = scene.rng
    stop = street.crossing or rng.uniform(8, 40)
    z = max(4.0, stop - 1)
    reach = rng.choice((0, 0, -side * 3))
    scene.add(z, draw_traffic_light, x, z, reach)
    behind = z + 14
    scene.add(behind, draw_traffic_light, x, behind, 0)


def add_railing(scene: Scene, street: Street, x: float) -> None:
    """Add a railing between pavement and road, unless the side road is in its way."""
    rng = scene.rng
    near = rng.uniform(3, 20)
    far = near + rng.uniform(5, 25)
    if not street.is_free(near) or not street.is_free(far):
        return
    style = random_fence_style(scene)
    scene.add(
        far,
        draw_fence,
        (x, near),
        (x, far),
        rng.uniform(0.9, 1.2),
        replace(style, has_planks=False),
    )


def add_parked(scene: Scene, street: Street, side: int) -> None:
    """Add vehicles parked along one kerb, and bicycles leaning there."""
    rng = scene.rng
    kerb = street.kerb[side]
    density = rng.uniform(*scene.look.parked)
    if kerb <= 2.8:  # no room
        density = 0
    parking = IN_BAYS if rng.random() < 0.15 else IN_A_ROW
    x = side * (kerb + parking.offset)
    z = rng.uniform(3.6, 12)
    while z < FARTHEST_PARKED:
        if rng.random() < density and street.is_free(z, margin=4):
            quarter_turns = rng.choice(parking.headings)
            add_vehicle(scene, PARKED_KINDS, x, z, pi / 2 * quarter_turns)
        elif rng.random() < 0.08:
            sideways = rng.random() < 0.6
            bicycle_x = side * (kerb + 0.8)
            scene.add(z, draw_bicycle, bicycle_x, z, sideways, False)
        z += rng.uniform(*parking.step)
