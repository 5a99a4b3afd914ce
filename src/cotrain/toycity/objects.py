"""Things that stand or walk in a street of toycity, one function per kind."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import cos, hypot, pi, sin

from cotrain.toycity.canvas import Point, Scene
from cotrain.toycity.looks import Color, shade


def light_on(scene: Scene, a: Point, b: Point) -> float:
    """Light on the upright face above a, b: faces along the street differ from faces across it."""
    across = abs(b[0] - a[0]) > abs(b[1] - a[1])
    return scene.sun[2] if across else scene.sun[a[0] > 0]


@dataclass(frozen=True)
class Style:
    """Colours and window grid of a house; lengths in m."""

    color: Color
    trim: Color
    glass: Color
    roof: Color
    shop: Color | None  # fascia of a shop on the ground floor
    pitch: float  # distance of the window axes
    storey: float
    share: float  # of glass along a storey
    windows: bool
    pitched: bool  # roof


def random_style(scene: Scene) -> Style:
    """Style of one house."""
    rng, color = scene.rng, scene.pick("facade")
    return Style(
        color=color,
        trim=shade(color, 0.8) if rng.random() < 0.4 else (225, 222, 214),
        glass=scene.pick("glass"),
        roof=scene.pick("roof"),
        shop=scene.pick("shop", 0.4) if rng.random() < 0.75 else None,
        pitch=rng.uniform(1.8, 3.5),
        storey=rng.uniform(2.7, 3.6),
        share=rng.uniform(0.35, 0.7),
        windows=rng.random() < 0.92,
        pitched=rng.random() < 0.6,
    )


def draw_facade(scene: Scene, a: Point, b: Point, high: float, style: Style) -> None:
    """Wall with rows of windows and perhaps a shop, above the ground points a and b = (x, z)."""
    light, run = light_on(scene, a, b), hypot(b[0] - a[0], b[1] - a[1])
    scene.paint(scene.panel(a, b, 0, high), shade(style.color, light), "building", (a[1] + b[1]) / 2)
    breadth = abs(scene.camera.project(a[0], high, a[1])[0] - scene.camera.project(b[0], high, b[1])[0])
    columns = min(int(run / style.pitch), int(breadth / 2.5))
    if not style.windows or columns < 1:
        return

    def board(start: float, stop: float, low: float, top: float, color: Color, tone: float = 1.0) -> None:
        ends = [(a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])) for s in (start, stop)]
        scene.paint(scene.panel(*ends, low, top), shade(color, tone * light))

    floor = paint_shop(scene, board, style) if style.shop is not None else 0.0
    if not floor:
        door = scene.rng.uniform(0.05, 0.9)
        board(door, door + min(0.1, 1.1 / run), 0, 2.1, style.roof)
    while floor + style.storey < high + 0.4:
        sill, head = floor + 0.3 * style.storey, floor + 0.85 * style.storey
        half = style.share / columns / 2
        for i in range(columns):
            middle = (i + 0.5) / columns
            board(middle - 1.25 * half, middle + 1.25 * half, sill - 0.15, head, style.trim)
            board(middle - half, middle + half, sill, head, style.glass, scene.rng.uniform(0.6, 1.3))
        floor += style.storey
    board(0, 1, high - 0.35, high, style.color, 0.75 if style.pitched else 1.2)


def paint_shop(scene: Scene, board: Callable, style: Style) -> float:
    """Shop windows with goods and posters, pillars and a fascia; returns the height of the shop in m.

    Many are so dark inside that one sees little but the frames of the panes.
    """
    rng, dark = scene.rng, scene.rng.random() < 0.7
    riser, head, tone = rng.uniform(0, 0.6), rng.uniform(2.3, 3.0), rng.uniform(0.15, 0.6) if dark else 1.0
    board(0, 1, 0, head, style.shop, 0.8)
    board(0.02, 0.98, riser, head, style.glass, tone)
    for _ in range(rng.randrange(0, 5) if dark else rng.randrange(3, 8)):
        start, low = rng.uniform(0.03, 0.85), rng.uniform(0.2, 1.6)
        board(start, start + rng.uniform(0.03, 0.12), low, low + rng.uniform(0.4, 1), scene.pick("cloth"), tone)
    panes = rng.randrange(3, 11)
    frame = style.shop if rng.random() < 0.5 else style.trim
    for i in range(panes + 1):
        board(i / panes - 0.008, i / panes + 0.008, 0, head, frame, 0.4 + 0.5 * tone)
    board(0, 1, head + 0.1, head + 0.8, style.shop)
    return head + 0.8


def draw_house(scene: Scene, x: float, near: float, far: float, high: float) -> None:
    """House with its front along the street at x, the gable that faces the camera, roof and chimney."""
    style, side = random_style(scene), 1 if x > 0 else -1
    back, project, rng = x + side * 9, scene.camera.project, scene.rng
    ridge, middle = high + rng.uniform(1.5, 4), x + side * 4.5
    if style.pitched:
        corners = ((x, high, near), (x, high, far), (middle, ridge, far), (middle, ridge, near))
        scene.paint([project(*corner) for corner in corners], shade(style.roof, scene.sun[x > 0]), "building", far)
        gable = [project(x, high, near), project(back, high, near), project(middle, ridge, near)]
        scene.paint(gable, shade(style.color, scene.sun[2]), "building", near)
        if rng.random() < 0.5:
            z = rng.uniform(near, far)
            chimney = scene.panel((middle - 0.5, z), (middle + 0.5, z), high, ridge + 1.2)
            scene.paint(chimney, shade(style.color, 0.8), "building", z)
    draw_facade(scene, (x, near), (back, near), high, replace(style, shop=None))
    draw_facade(scene, (x, near), (x, far), high, style)


def draw_wall(scene: Scene, a: Point, b: Point, high: float, label: str, color: Color | None = None) -> None:
    """Garden wall or hedge above the ground points a and b; without a colour, of one from its palette."""
    color = shade(color or scene.pick("wall" if label == "wall" else "leaves"), light_on(scene, a, b))
    scene.paint(scene.panel(a, b, 0, high), color, label, (a[1] + b[1]) / 2)
    scene.paint(scene.panel(a, b, 0.88 * high, high), shade(color, 1.2))


def draw_hedge(scene: Scene, a: Point, b: Point, high: float, color: Color) -> None:
    """Bushes with a frayed top above the ground points a and b."""
    rng, depth = scene.rng, (a[1] + b[1]) / 2
    scene.paint(scene.panel(a, b, 0, high), color, "vegetation", depth)
    for _ in range(9):
        s, y = rng.random(), high * rng.uniform(0.3, 1)
        z = a[1] + s * (b[1] - a[1])
        size = 0.3 * high * scene.camera.focal / z
        center = scene.camera.project(a[0] + s * (b[0] - a[0]), y, z)
        scene.blob(center, (size, 0.7 * size), shade(color, rng.uniform(0.7, 1.3)), "vegetation", z)


def draw_thicket(scene: Scene, a: Point, b: Point, high: float, color: Color) -> None:
    """Leafless bushes: dark, with many twigs, above the ground points a and b."""
    rng, depth = scene.rng, (a[1] + b[1]) / 2
    scene.paint(scene.panel(a, b, 0, 0.8 * high), color, "vegetation", depth)
    for _ in range(26):
        s = rng.random()
        x, z = a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])
        tip = x + rng.uniform(-0.6, 0.6), high * rng.uniform(0.6, 1.25), z + rng.uniform(-0.6, 0.6)
        ends = scene.camera.project(x, rng.uniform(0, 0.5) * high, z), scene.camera.project(*tip)
        scene.stroke(ends, rng.uniform(0.02, 0.08), z, shade(color, rng.uniform(0.4, 2.2)), "vegetation")


@dataclass(frozen=True)
class FenceStyle:
    """What the pieces of one fence have in common."""

    color: Color
    planks: bool
    step: float  # between bars, m
    lean: float  # of the bars, m per m


def random_fence(scene: Scene) -> FenceStyle:
    """See-through railing or mesh, or planks."""
    rng, planks = scene.rng, scene.rng.random() < 0.25
    lean = rng.choice((0, 0, 0, 0.25)) * (not planks)
    return FenceStyle(scene.pick("fence"), planks, rng.uniform(0.12, 0.35), lean)


@dataclass(frozen=True)
class Park:
    """What stands along one park; lengths in m, chances in [0, 1]."""

    railing: FenceStyle
    high: float  # of the railing
    foot: float  # height of the low wall below it, 0: none
    stone: Color
    draw_bushes: Callable
    bushes: float  # their height, 0: none
    dark: Color  # of the bushes
    trees: float  # chance of one behind each piece of the railing
    tall: tuple[float, float]
    bare: float  # chance that a tree has no leaves


def random_park(scene: Scene) -> Park:
    """A park in leaf with any fence, or one in winter behind a high, dark railing."""
    rng, fence = scene.rng, random_fence(scene)
    foot, stone = rng.choice((0, 0, rng.uniform(0.3, 0.9))), scene.pick("wall")
    dim = rng.uniform(0.25, 0.8)
    if rng.random() < 0.5:
        railing = replace(fence, planks=False, color=shade(fence.color, rng.uniform(0.3, 1)), lean=0)
        high, bark = rng.uniform(1.6, 2.8), shade(scene.pick("bark"), dim)
        bushes = rng.choice((0.6, 0.9, 1.2)) * high
        return Park(railing, high, foot, stone, draw_thicket, bushes, bark, 0.85, (8, 16), 0.9)
    high, leaves = rng.uniform(1.0, 2.4), shade(scene.pick("leaves"), dim)
    bushes = rng.choice((0, 0.8, 1.3)) * high
    return Park(fence, high, foot, stone, draw_hedge, bushes, leaves, 0.7, (5, 13), scene.look.bare_tree)


def draw_fence(scene: Scene, a: Point, b: Point, high: float, style: FenceStyle) -> None:
    """A fence above a and b; the label covers the gaps, as annotators do."""
    color, lean = style.color, style.lean
    depth = (a[1] + b[1]) / 2
    scene.paint(scene.panel(a, b, 0, high), color if style.planks else None, "fence", depth)
    foot_a, foot_b = scene.camera.project(a[0], 0, a[1]), scene.camera.project(b[0], 0, b[1])
    span = abs(foot_b[0] - foot_a[0])
    count = int(min(abs(b[1] - a[1] + b[0] - a[0]) / style.step, span / 1.5, 90))
    bar = shade(color, 0.7) if style.planks else color
    for i in range(count + 1):
        # Even steps in the image would show the bars of a near and a far metre equally dense.
        s = i / max(count, 1)
        x, z = a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])
        top = (x, z + lean * high) if lean else (x, z)
        scene.stroke((scene.camera.project(x, 0, z), scene.camera.project(*top[:1], high, top[1])), 0.03, z, bar)
    for y in () if style.planks else (0.12 * high, high):
        ends = (scene.camera.project(a[0], y, a[1]), scene.camera.project(b[0], y, b[1]))
        scene.stroke(ends, 0.05, depth, color)


def draw_tree(scene: Scene, x: float, z: float, high: float, bare: bool) -> None:
    """Tree of leaf blobs, or of see-through twigs in winter, on a trunk; small in the image, it has fewer of them."""
    rng, camera = scene.rng, scene.camera
    foot, fork = camera.project(x, 0, z), camera.project(x, high * rng.uniform(0.2, 0.4), z)
    breadth = high * rng.uniform(0.22, 0.38) * camera.focal / z
    if not -2 * breadth < foot[0] < scene.width + 2 * breadth:
        return
    top = camera.project(x, high, z)[1]
    bark, leaves = scene.pick("bark"), scene.pick("leaves")
    scene.stroke((foot, fork), 0.035 * high + 0.1, z, bark, "vegetation")
    middle, half = (fork[1] + top) / 2, (fork[1] - top) / 2
    for i in range(11 if bare else min(34, 9 + int(2 * breadth))):
        # A few large blobs fill the crown, many small ones fray its outline.
        core = bare or i < 9
        angle, reach = rng.uniform(0, 2 * pi), 0.7 * rng.random() ** 0.5 if core else rng.uniform(0.5, 0.9)
        center = fork[0] + cos(angle) * reach * breadth, middle - sin(angle) * reach * half
        size = (0.42 if core else 0.18) * breadth * rng.uniform(0.7, 1.3)
        if bare:
            draw_twigs(scene, fork, center, size, z, bark)
        else:
            # Leaves towards the sky catch more light than those below.
            color = shade(leaves, rng.uniform(0.75, 1.1) + 0.25 * sin(angle) * reach)
            scene.blob(center, (size, size * rng.uniform(0.7, 1)), color, "vegetation", z)


def draw_twigs(scene: Scene, fork: Point, center: Point, size: float, z: float, bark: Color) -> None:
    """One bough from the fork to `center` and its twigs; the label covers the sky between them."""
    rng = scene.rng
    scene.blob(center, (size, 0.8 * size), None, "vegetation", z)
    scene.stroke((fork, center), 0.12, z, bark, "vegetation")
    for _ in range(min(10, 2 + int(2 * size))):
        angle = rng.uniform(-0.3, pi + 0.3)
        s = rng.uniform(0.3, 1)
        root = fork[0] + s * (center[0] - fork[0]), fork[1] + s * (center[1] - fork[1])
        tip = center[0] + cos(angle) * size, center[1] - sin(angle) * size * 0.8
        scene.stroke((root, tip), rng.uniform(0.02, 0.07), z, bark)


def draw_pole(scene: Scene, x: float, z: float, high: float, arm: float) -> None:
    """Lamp post with an arm over the road (arm = 0: a bare post)."""
    project, color = scene.camera.project, scene.pick("pole")
    scene.stroke((project(x, 0, z), project(x, high, z)), scene.rng.uniform(0.08, 0.18), z, color, "pole")
    if arm:
        scene.stroke((project(x, high, z), project(x + arm, high + 0.2, z)), 0.1, z, color, "pole")
        u, v = project(x + arm, high + 0.15, z)
        metre = scene.camera.focal / z
        scene.blob((u, v), (0.35 * metre, 0.12 * metre + 0.5), (210, 208, 196), "pole", z)


def draw_sign(scene: Scene, x: float, z: float, high: float, size: float) -> None:
    """Disc, triangle or board on a post."""
    rng, metre = scene.rng, scene.camera.focal / z
    color, face = scene.pick("sign"), scene.pick("sign")
    draw_pole(scene, x, z, high, 0)
    u, v = scene.camera.project(x, high, z)
    shape, size = rng.randrange(4), size * metre
    for scale, paint, label in ((1, color, "traffic sign"), (0.7, face, None)):
        r = size * scale
        if shape == 0:
            scene.blob((u, v), (r, r), paint, label, z)
        elif shape == 1:
            scene.paint([(u - r, v + 0.8 * r), (u + r, v + 0.8 * r), (u, v - r)], paint, label, z)
        else:
            a, b = r * (1.6 if shape == 2 else 0.8), r * 0.9
            scene.paint([(u - a, v - b), (u + a, v - b), (u + a, v + b), (u - a, v + b)], paint, label, z)


def draw_traffic_light(scene: Scene, x: float, z: float, reach: float) -> None:
    """Signal head on a post, or on an arm over the road (reach != 0)."""
    rng, metre = scene.rng, scene.camera.focal / z
    high = 5.4 if reach else rng.uniform(2.6, 3.4)
    draw_pole(scene, x, z, high, reach)
    u, v = scene.camera.project(x + reach, high, z)
    a, b = rng.uniform(0.2, 0.36) * metre, rng.uniform(0.5, 0.75) * metre
    scene.paint([(u - a, v - b), (u + a, v - b), (u + a, v + b), (u - a, v + b)], (24, 26, 26), "traffic light", z)
    lit = rng.randrange(3)
    for i, color in enumerate(((250, 50, 40), (250, 180, 40), (60, 230, 130))):
        spot = max(0.12 * metre, 0.5)
        scene.blob((u, v + (i - 1) * 0.6 * b), (spot, spot), shade(color, 1.2 if i == lit else 0.25))


def draw_person(scene: Scene, x: float, z: float, high: float, label: str = "person", low: float = 0.0) -> None:
    """Standing or walking figure of `high` m above `low`; riders sit, so their legs are short."""
    rng, project = scene.rng, scene.camera.project
    point = lambda dx, y: project(x + dx * high, low + y * high, z)  # noqa: E731
    coat, trousers, skin = scene.pick("cloth"), shade(scene.pick("cloth"), 0.8), scene.pick("skin")
    stride, broad = rng.uniform(0.02, 0.16), rng.uniform(0.1, 0.14)
    pedal = rng.choice((-0.12, 0.12)) if label == "rider" else 0
    for side in (-1, 1):
        leg = [
            point(side * 0.09, 0.5),
            point(side * stride + 0.045, max(side * pedal, 0)),
            point(side * stride - 0.045, max(side * pedal, 0)),
            point(-side * 0.01, 0.5),
        ]
        scene.paint(leg, trousers, label, z)
        arm = [
            point(side * broad, 0.82),
            point(side * (broad + 0.05), 0.45),
            point(side * (broad - 0.02), 0.45),
        ]
        scene.paint(arm, shade(coat, 0.85), label, z)
    hips = rng.uniform(0.38, 0.5)
    torso = [
        point(-broad, 0.8),
        point(-0.05, 0.86),
        point(0.05, 0.86),
        point(broad, 0.8),
        point(0.1, hips),
        point(-0.1, hips),
    ]
    scene.paint(torso, coat, label, z)
    metre = high * scene.camera.focal / z
    scene.blob(point(0, 0.925), (0.055 * metre, 0.075 * metre), skin, label, z)
    if rng.random() < 0.8:
        u, v = point(0, 0.96)
        scene.blob((u, v), (0.055 * metre, 0.045 * metre), scene.pick("bark"), None)


def draw_bicycle(scene: Scene, x: float, z: float, sideways: bool, ridden: bool) -> None:
    """Bicycle seen from behind or from the side, with or without its rider."""
    rng, project, metre = scene.rng, scene.camera.project, scene.camera.focal / z
    tyre, frame = (30, 30, 32), scene.pick("car")
    if sideways:
        for dx in (-0.52, 0.52):
            u, v = project(x + dx, 0.34, z)
            r = 0.34 * metre
            scene.blob((u, v), (r, r), None, "bicycle", z)
            box = (2 * (u - r), 2 * (v - r), 2 * (u + r), 2 * (v + r))
            scene.pen.ellipse(box, None, scene.ink(tyre), max(1, round(0.1 * metre)))
        bars = [project(x + dx, y, z) for dx, y in ((-0.52, 0.34), (-0.15, 0.85), (0.4, 0.9), (0, 0.3), (-0.15, 0.85))]
        scene.stroke(bars, 0.06, z, frame, "bicycle")
        scene.stroke((project(x + 0.52, 0.34, z), project(x + 0.4, 1.05, z)), 0.06, z, frame, "bicycle")
    else:
        scene.stroke((project(x, 0, z), project(x, 0.95, z)), rng.uniform(0.08, 0.14), z, tyre, "bicycle")
        scene.stroke((project(x - 0.27, 0.98, z), project(x + 0.27, 0.98, z)), 0.06, z, frame, "bicycle")
    if ridden:
        draw_person(scene, x, z, rng.uniform(1.4, 1.6), "rider", 0.28)
