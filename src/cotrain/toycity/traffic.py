"""What moves in toycity: vehicles, cyclists and people."""

from math import pi

from cotrain.toycity.canvas import Scene
from cotrain.toycity.layout import SIDES, Street
from cotrain.toycity.people import draw_bicycle, draw_person
from cotrain.toycity.vehicles import add_vehicle

MOVING_KINDS = (
    "saloon",
    "hatchback",
    "saloon",
    "hatchback",
    "van",
    "bus",
    "double-decker",
    "truck",
)
PERSON_HEIGHTS = (1.2, 1.65, 1.7, 1.75, 1.8, 1.9)


def add_traffic(scene: Scene, street: Street) -> None:
    """Add vehicles ahead, oncoming and crossing, and cyclists."""
    rng = scene.rng
    other_side = -street.driving_side
    lane = street.kerb[other_side] - rng.uniform(2.4, 3.6)
    oncoming = other_side * max(2.6, lane)
    for _ in range(rng.randint(*scene.look.traffic)):
        share = rng.uniform(0.05, 1)
        z = 8 * (street.end / 8) ** share
        heading = rng.random()
        if heading < 0.4:
            x = rng.gauss(0, 0.3)
            add_vehicle(scene, MOVING_KINDS, x, z + 4, yaw=0)
        elif heading < 0.85:
            add_vehicle(scene, MOVING_KINDS, oncoming, z + 1, yaw=pi)
        elif street.crossing:
            add_crossing_vehicle(scene, street)
    for _ in range(rng.choice((0, 1, 1, 2, 3))):
        add_cyclist(scene, street, oncoming)


def add_crossing_vehicle(scene: Scene, street: Street) -> None:
    """Add a vehicle on the side road."""
    rng = scene.rng
    x = rng.uniform(-15, 15)
    z = street.crossing + street.crossing_width * 0.4
    yaw = rng.choice((-pi / 2, pi / 2))
    add_vehicle(scene, MOVING_KINDS, x, z, yaw)


def add_cyclist(scene: Scene, street: Street, oncoming: float) -> None:
    """Add a cyclist along the kerb ahead or, less often, on the lane of the oncoming traffic."""
    rng = scene.rng
    side = street.driving_side
    x = oncoming
    if rng.random() < 0.8:
        from_kerb = rng.uniform(0.5, 2)
        x = side * (street.kerb[side] - from_kerb)
    z = 5 * 6 ** rng.random()
    sideways = rng.random() < 0.2
    scene.add(z, draw_bicycle, x, z, sideways, True)


def add_people(scene: Scene, street: Street) -> None:
    """Add people on the pavements, some in groups, and a few on the road."""
    rng = scene.rng
    for _ in range(rng.randint(*scene.look.people)):
        z = 5 * 12 ** rng.random()
        side = rng.choice(SIDES)
        from_kerb = rng.uniform(0.4, street.pavement[side])
        x = side * (street.kerb[side] + from_kerb)
        if rng.random() < 0.05:
            x = rng.uniform(-street.kerb[-1], street.kerb[1])
        add_group(scene, x, z)


def add_group(scene: Scene, x: float, z: float) -> None:
    """Add one to three people, the first at (x, z)."""
    rng = scene.rng
    for _ in range(rng.choice((1, 1, 2, 3))):
        height = rng.choice(PERSON_HEIGHTS)
        scene.add(z, draw_person, x, z, height)
        x += rng.uniform(0.4, 0.8)
        z += rng.uniform(0, 1.5)
