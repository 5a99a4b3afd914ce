"""The ground of a street of toycity: road, pavements, markings and the shadow of houses."""

from cotrain.toycity.canvas import Scene
from cotrain.toycity.layout import SIDES, Street
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

NEAREST = 0.9  # depth where road and pavements begin, in m
FARTHEST_MARKING = 60
JOINTS_END = 25  # of those between the slabs of a pavement
YELLOW, WHITE = (226, 196, 70), (230, 230, 226)
DASHES = ((2, 4), (4, 2), (3, 6), (1, 1))  # painted and left free, in m


def paint_ground(scene: Scene, street: Street) -> None:
    """Paint open ground, pavements with kerbs, the road, side road and patches."""
    rng = scene.rng
    road = scene.pick("road")
    pavement = scene.pick("sidewalk")
    if rng.random() < 0.4:  # asphalt on both: only the kerb tells them apart
        pavement = shade(road, rng.uniform(0.85, 1.35))
    kerb = scene.pick("kerb")
    paint_open_ground(scene, street, pavement)
    for side in SIDES:
        paint_pavement(scene, street, side, pavement)
    for near, far in street.side_road():
        scene.paint_strip(
            left=-90,
            right=90,
            near=near,
            far=far,
            color=road,
            label="road",
        )
    scene.paint_strip(
        left=-street.kerb[-1],
        right=street.kerb[1],
        near=NEAREST,
        far=street.end,
        color=road,
        label="road",
    )
    for side in SIDES:
        paint_kerb(scene, street, side, kerb)
    for _ in range(rng.randrange(5)):
        paint_patch(scene, street, road)
    if rng.random() < 0.8:
        cast_shadow_of_houses(scene, street)


def paint_open_ground(scene: Scene, street: Street, pavement: Color) -> None:
    """Paint everything as far as the horizon, before what lies on it."""
    if street.is_urban:
        color = pavement
        label = "sidewalk"
    else:
        color = scene.pick("grass")
        label = "terrain"
    scene.paint_strip(
        left=-300,
        right=300,
        near=0.8,
        far=400,
        color=color,
        label=label,
    )


def paint_pavement(scene: Scene, street: Street, side: int, color: Color) -> None:
    """Paint one pavement with the joints between its slabs."""
    kerb = street.kerb[side]
    inner = side * kerb
    outer = side * (kerb + street.pavement[side])
    scene.paint_strip(
        left=inner,
        right=outer,
        near=NEAREST,
        far=street.end,
        color=color,
        label="sidewalk",
    )
    joint = shade(color, 0.8)
    slab = 1.2 if street.is_urban else 2.5
    z = 3.0
    while z < JOINTS_END:
        scene.paint_strip(inner, outer, z, z + 0.06, joint)
        z += slab


def paint_kerb(scene: Scene, street: Street, side: int, color: Color) -> None:
    inner = side * street.kerb[side]
    outer = side * (street.kerb[side] + 0.18)
    for near, far in street.gaps(NEAREST, street.end):
        scene.paint_strip(inner, outer, near, far, color, "sidewalk")


def paint_patch(scene: Scene, street: Street, road: Color) -> None:
    """Paint a repaired piece of the road."""
    rng = scene.rng
    left = rng.uniform(-street.kerb[-1], street.kerb[1] - 1.5)
    near = rng.uniform(3, 25)
    scene.paint_strip(
        left=left,
        right=left + rng.uniform(0.4, 1.5),
        near=near,
        far=near + rng.uniform(0.6, 8),
        color=shade(road, rng.uniform(0.75, 1.15)),
    )


def cast_shadow_of_houses(scene: Scene, street: Street) -> None:
    """Cast the shadow of one row of houses."""
    side = scene.rng.choice(SIDES)
    reach = scene.rng.uniform(2, 14)
    edge = side * (street.front[side] - reach)
    scene.cast_shadow(side * 40, edge, NEAREST, street.end, strength=255)


def paint_markings(scene: Scene, street: Street) -> None:
    """Paint lane lines in perspective, kerb lines, a stop line or a zebra crossing."""
    rng = scene.rng
    color = scene.pick("marking")
    width = rng.uniform(0.1, 0.18)
    middle = (street.kerb[1] - street.kerb[-1]) / 2
    paint_lane_lines(scene, street, middle, width, color)
    for _ in range(rng.choice((0, 0, 0, 1, 2))):
        lane = rng.choice((0, middle * 1.7))
        paint_arrow(scene, lane, rng.uniform(5, 20), color)
    kerb_line = rng.choice((None, None, YELLOW, WHITE))
    if kerb_line:
        for side in SIDES:
            paint_kerb_lines(scene, street, side, kerb_line)
    stop = street.crossing or rng.uniform(6, 30)
    z = stop - 3.5
    if z > 3 and rng.random() < 0.4:
        paint_stop(scene, street, z, color)


def paint_lane_lines(scene: Scene, street: Street, middle: float, width: float, color: Color) -> None:
    """Paint one line, or three, of dashes or unbroken, or none."""
    rng = scene.rng
    lines = [middle]
    if rng.random() < 0.2:
        quarter = street.kerb[1] / 2
        lines += [middle - quarter, middle + quarter]
    painted, free = rng.choice(DASHES)
    if rng.random() < 0.12:
        free = 0
    if rng.random() >= 0.85:
        return
    limit = min(FARTHEST_MARKING, street.end)
    for x in lines:
        left = x - width / 2
        right = x + width / 2
        z = rng.uniform(2, 5)
        while z < limit:
            if street.is_free(z):
                scene.paint_strip(left, right, z, z + painted, color)
            z += painted + free


def paint_arrow(scene: Scene, x: float, z: float, color: Color) -> None:
    """Paint an arrow on the lane, pointing ahead or back, with its tail or head at depth z."""
    tail, head = scene.rng.choice(((z, z + 4), (z + 4, z)))
    neck = tail + 0.6 * (head - tail)
    scene.paint_strip(
        left=x - 0.12,
        right=x + 0.12,
        near=min(tail, neck),
        far=max(tail, neck),
        color=color,
    )
    project = scene.camera.project
    point = [
        project(x - 0.5, 0, neck),
        project(x + 0.5, 0, neck),
        project(x, 0, head),
    ]
    scene.paint(point, color)


def paint_kerb_lines(scene: Scene, street: Street, side: int, color: Color) -> None:
    """Paint a double line along one kerb."""
    limit = min(FARTHEST_MARKING, street.end)
    for offset in (0.25, 0.5):
        x = side * (street.kerb[side] - offset)
        for near, far in street.gaps(1, limit):
            scene.paint_strip(x - 0.05, x + 0.05, near, far, color)


def paint_stop(scene: Scene, street: Street, z: float, color: Color) -> None:
    """Paint a stop line or a zebra crossing at depth z."""
    left = -street.kerb[-1] + 0.3
    right = street.kerb[1] - 0.3
    if scene.rng.random() < 0.5:
        scene.paint_strip(left, right, near=z, far=z + 0.4, color=color)
        return
    for i in range(int(right - left)):
        bar = left + i
        scene.paint_strip(
            left=bar,
            right=bar + 0.5,
            near=z,
            far=z + 2.8,
            color=color,
        )
