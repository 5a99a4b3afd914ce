"""Toycity: procedural street scenes with exact labels, in two looks, for trials without a download.

The street runs along z and may bend; x is counted from the camera. `toycity_canvas` projects and paints,
`toycity_objects` and `toycity_vehicles` know the things of a street, `toycity_looks` the colours; here they
are laid out.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import pi
from random import Random

import numpy as np
from PIL import Image, ImageFilter

from cotrain.base.errors import BadInput
from cotrain.toycity import objects
from cotrain.toycity.canvas import CLASSES, ID, Camera, Scene
from cotrain.toycity.looks import LOOKS, shade, spoil, texture
from cotrain.toycity.vehicles import draw_vehicle

__all__ = ["CLASSES", "contact_sheet", "render"]

COLORS = (  # the Cityscapes colours of CLASSES
    (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
    (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
    (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (119, 11, 32),
)  # fmt: skip
NEAR, FAR = 1.6, 130.0  # nearest and farthest depth of what stands along the street, in m


def render(seed: int, index: int, look: str, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw image `index` of the data set `seed`.

    Args: look is 'rendered' or 'camera' (the two show different streets); height and width in pixels.
    Returns: image (height, width, 3) uint8 sRGB, label (height, width) uint8: index in `CLASSES`.
    Raises: BadInput if the look is unknown.
    """
    if look not in LOOKS:
        raise BadInput(f"toycity has no look {look!r}: use one of {', '.join(LOOKS)}")
    scene = new_scene(Random(f"{seed}/{index}/{look}"), look, height, width)
    Street(scene).build()
    scene.draw()
    return develop(scene)


def new_scene(rng: Random, look: str, height: int, width: int) -> Scene:
    """Empty scene with a random camera and sun."""
    camera = Camera(
        focal=rng.uniform(0.8, 1.2) * (height * width) ** 0.5,
        center=width * (0.5 + rng.gauss(0, 0.07)),
        horizon=height * rng.uniform(0.43, 0.57),
        height=rng.uniform(1.2, 1.75),
        bend=rng.choice((0, 0, 1, 1)) * rng.gauss(0, 0.004),
        roll=rng.gauss(0, 0.01),
    )
    contrast = rng.uniform(*LOOKS[look].sun)
    sun = [1 - contrast * rng.random(), 1 - contrast * rng.random(), 1 - contrast * rng.random()]
    sun[rng.randrange(2)] = 1
    return Scene(rng, LOOKS[look], camera, height, width, tuple(sun))


def develop(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a painted scene: texture, shadows and, for the look `camera`, its optics."""
    rng, look = scene.rng, scene.look
    surface = np.asarray(scene.surface)
    label = (surface & 255).astype(np.uint8)
    ground_xz = scene.camera.ground(scene.height, scene.width)
    ground = (label == ID["road"]) | (label == ID["sidewalk"]) | (label == ID["terrain"])
    depth = np.where(ground, ground_xz[1], np.exp((surface >> 16) / 20, dtype=np.float32))
    depth[label == ID["sky"]] = np.inf
    light = np.asarray(scene.image.reduce(2), np.float32)
    strength = ((surface >> 8) & 255).astype(np.float32) / 100
    factor = texture(rng, look, strength, label == ID["vegetation"], ground, ground_xz)
    shadow = np.asarray(scene.shadow.filter(ImageFilter.GaussianBlur(scene.height / 150)), np.float32) / 255
    factor *= 1 - rng.uniform(*look.shadow) * shadow * ground
    light = light * factor[..., None]
    if look.spoils:
        light = spoil(rng, light, depth)
    return np.clip(light, 0, 255).astype(np.uint8), label


class Street:
    """Plan of one street: where kerbs and fronts run, and what stands between them."""

    def __init__(self, scene: Scene) -> None:
        rng = scene.rng
        self.scene, self.rng = scene, rng
        self.character = rng.choices(("urban", "suburban", "green"), scene.look.character)[0]
        self.hand = -1 if scene.left_hand else 1  # the side on which one drives
        self.kerb = {self.hand: rng.uniform(1.9, 4.2), -self.hand: rng.uniform(4.2, 8.5)}
        self.pavement = {side: rng.uniform(1.4, 4.2) for side in (-1, 1)}
        verge = {"urban": 0.0, "suburban": 1.0, "green": 3.0}[self.character]
        self.front = {side: self.kerb[side] + self.pavement[side] + verge * rng.random() * 2 + 0.2 for side in (-1, 1)}
        self.end = rng.uniform(35, 110) if rng.random() < 0.3 else FAR
        self.crossing = rng.uniform(9, 50) if rng.random() < 0.4 else None
        self.crossing_width = rng.uniform(6, 11)

    def build(self) -> None:
        """Paint the ground and hand everything that stands on it to the scene."""
        self.paint_ground()
        self.paint_markings()
        self.add_background()
        for side in (-1, 1):
            self.add_frontage(side)
            self.add_furniture(side)
            self.add_parked(side)
        self.add_traffic()
        self.add_people()

    def paint_ground(self) -> None:
        """Open ground, pavements with kerbs, the road, side road and patches."""
        scene, rng = self.scene, self.rng
        self.road_color, pavement = scene.pick("road"), scene.pick("sidewalk")
        if rng.random() < 0.4:  # asphalt on both: only the kerb tells them apart
            pavement = shade(self.road_color, rng.uniform(0.85, 1.35))
        kerb, last = scene.pick("kerb"), self.end
        open_ground = "sidewalk" if self.character == "urban" else "terrain"
        color = pavement if self.character == "urban" else scene.pick("grass")
        scene.paint(scene.strip(-300, 300, 0.8, 400), color, open_ground)
        near = 0.9
        for side in (-1, 1):
            edge = side * (self.kerb[side] + self.pavement[side])
            scene.paint(scene.strip(side * self.kerb[side], edge, near, last), pavement, "sidewalk")
            z = 3.0
            while z < 25:
                scene.paint(scene.strip(side * self.kerb[side], edge, z, z + 0.06), shade(pavement, 0.8))
                z += 1.2 if self.character == "urban" else 2.5
        for z in self.crossing_depths():
            scene.paint(scene.strip(-90, 90, *z), self.road_color, "road")
        scene.paint(scene.strip(-self.kerb[-1], self.kerb[1], near, last), self.road_color, "road")
        for side in (-1, 1):
            inner, outer = side * self.kerb[side], side * (self.kerb[side] + 0.18)
            for far_near in self.gaps(near, last):
                scene.paint(scene.strip(inner, outer, *far_near), kerb, "sidewalk")
        for _ in range(rng.randrange(5)):
            x, z = rng.uniform(-self.kerb[-1], self.kerb[1] - 1.5), rng.uniform(3, 25)
            patch = scene.strip(x, x + rng.uniform(0.4, 1.5), z, z + rng.uniform(0.6, 8))
            scene.paint(patch, shade(self.road_color, rng.uniform(0.75, 1.15)))
        if rng.random() < 0.8:  # shadow of one row of houses
            side = rng.choice((-1, 1))
            reach = rng.uniform(2, 14)
            scene.shadow_pen.polygon(scene.strip(side * 40, side * (self.front[side] - reach), near, last), fill=255)

    def crossing_depths(self) -> list[tuple[float, float]]:
        """Depth range of the side road, if there is one, as a list of at most one pair."""
        return [] if self.crossing is None else [(self.crossing, self.crossing + self.crossing_width)]

    def gaps(self, near: float, far: float) -> Iterator[tuple[float, float]]:
        """The parts of near..far that the side road leaves."""
        for start, stop in self.crossing_depths():
            yield near, start
            near = stop
        if near < far:
            yield near, far

    def is_free(self, z: float, margin: float = 0.0) -> bool:
        """Whether z lies before the end of the street and outside the side road."""
        return z < self.end and all(z < start - margin or z > stop + margin for start, stop in self.crossing_depths())

    def paint_markings(self) -> None:
        """Lane lines in perspective, kerb lines, a stop line or a zebra crossing."""
        scene, rng = self.scene, self.rng
        color, wide = scene.pick("marking"), rng.uniform(0.1, 0.18)
        middle = (self.kerb[1] - self.kerb[-1]) / 2
        lines = [middle] + ([middle - self.kerb[1] / 2, middle + self.kerb[1] / 2] if rng.random() < 0.2 else [])
        dash, gap = rng.choice(((2, 4), (4, 2), (3, 6), (1, 1))), rng.random() < 0.12
        for x in lines if rng.random() < 0.85 else []:
            z = rng.uniform(2, 5)
            while z < min(60, self.end):
                if self.is_free(z):
                    scene.paint(scene.strip(x - wide / 2, x + wide / 2, z, z + dash[0]), color)
                z += dash[0] + (0 if gap else dash[1])
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            self.paint_arrow(rng.choice((0, middle * 1.7)), rng.uniform(5, 20), color)
        kerb_lines = rng.choice((None, None, (226, 196, 70), (230, 230, 226)))
        for side in (-1, 1) if kerb_lines else ():
            for offset in (0.25, 0.5):
                x = side * (self.kerb[side] - offset)
                for span in self.gaps(1, min(60, self.end)):
                    scene.paint(scene.strip(x - 0.05, x + 0.05, *span), kerb_lines)
        z = (self.crossing or rng.uniform(6, 30)) - 3.5
        if z > 3 and rng.random() < 0.4:
            left, right = -self.kerb[-1] + 0.3, self.kerb[1] - 0.3
            if rng.random() < 0.5:
                scene.paint(scene.strip(left, right, z, z + 0.4), color)
            else:
                for i in range(int(right - left)):
                    scene.paint(scene.strip(left + i, left + i + 0.5, z, z + 2.8), color)

    def paint_arrow(self, x: float, z: float, color: tuple[float, float, float]) -> None:
        """Arrow on the lane, pointing ahead or back, with its tail at depth z."""
        scene, (tail, head) = self.scene, self.rng.choice(((z, z + 4), (z + 4, z)))
        neck = tail + 0.6 * (head - tail)
        scene.paint(scene.strip(x - 0.12, x + 0.12, min(tail, neck), max(tail, neck)), color)
        scene.paint(
            [scene.camera.project(*corner) for corner in ((x - 0.5, 0, neck), (x + 0.5, 0, neck), (x, 0, head))],
            color,
        )

    def add_background(self) -> None:
        """Far trees and houses along the horizon, and what closes the street."""
        scene, rng = self.scene, self.rng
        x = -170.0
        while x < 170:
            wide, z = rng.uniform(10, 40), rng.uniform(135, 180)
            if rng.random() < 0.45:
                style = replace(objects.random_style(scene), windows=False)
                scene.add(z, objects.draw_facade, (x, z), (x + wide, z), rng.uniform(5, 16), style)
            elif rng.random() < 0.8:
                for _ in range(3):
                    scene.add(z, objects.draw_tree, x + rng.random() * wide, z, rng.uniform(7, 16), False)
            x += wide
        if self.end < FAR:
            if rng.random() < 0.6:
                style, half = objects.random_style(scene), rng.uniform(6, 18)
                scene.add(
                    self.end,
                    objects.draw_facade,
                    (-half, self.end),
                    (half, self.end),
                    rng.uniform(6, 14),
                    style,
                )
            else:
                for _ in range(6):
                    scene.add(self.end, objects.draw_tree, rng.uniform(-15, 15), self.end, rng.uniform(5, 12), False)

    def add_frontage(self, side: int) -> None:
        """Houses, walls, fences, hedges and gardens along one side."""
        scene, rng = self.scene, self.rng
        house = {"urban": 0.9, "suburban": 0.65, "green": 0.3}[self.character]
        base = rng.uniform(6.5, 14) if self.character == "urban" else rng.uniform(5, 9)
        setback = 0 if self.character == "urban" else rng.uniform(2, 7)
        z = NEAR
        while z < min(FAR, self.end + 20):
            long = rng.uniform(5, 18)
            far = z + long
            if not self.is_free(z, 0.5) or not self.is_free(far, 0.5):
                z += 1.5 if z < self.end else long
                if z < self.end:
                    continue
            front = side * self.front[side]
            if rng.random() < 0.16:
                far = min(z + rng.uniform(15, 60), FAR, self.crossing - 1 if z < (self.crossing or 0) else FAR)
                self.add_park(side, front, z, far)
                z = far
                continue
            back = front + side * (setback + (rng.uniform(1, 4) if rng.random() < 0.15 else 0))
            if rng.random() < house:
                scene.add(far, objects.draw_house, back, z, far, max(3.5, base * rng.uniform(0.7, 1.3)))
                if abs(back - front) > 1 and rng.random() < 0.7:
                    self.add_barrier(front, z, far, rng.uniform(0.6, 1.3))
            else:
                self.add_barrier(front, z, far, rng.uniform(0.9, 2.6))
                for _ in range(rng.randrange(1, 4)):
                    x, depth = front + side * rng.uniform(1, 8), rng.uniform(z, far)
                    self.add_tree(x, max(depth, 4), rng.uniform(4, 12))
            z = far + (rng.uniform(1, 6) if rng.random() < (0.1 if self.character == "urban" else 0.4) else 0)

    def add_park(self, side: int, x: float, near: float, far: float) -> None:
        """A railing along the street, some on a low wall, with dark bushes and trees behind it, leafless in winter."""
        scene, rng = self.scene, self.rng
        park = objects.random_park(scene)
        z = near
        while z < far - 0.5:  # in pieces: what stands nearer than a piece is drawn after it
            end = min(z + rng.uniform(4, 7), far)
            if park.bushes:
                top = park.foot + park.bushes * rng.uniform(0.85, 1.2)
                scene.add(end + 0.2, park.draw_bushes, (x + side, z), (x + side, end), top, park.dark)
            if rng.random() < park.trees:
                away, tall = x + side * rng.uniform(1, 6), rng.uniform(*park.tall)
                scene.add(end + 0.1, objects.draw_tree, away, max(end, 4), tall, rng.random() < park.bare)
            scene.add(end - 0.1, objects.draw_fence, (x, z), (x, end), park.foot + park.high, park.railing)
            if park.foot:
                scene.add(end - 0.2, objects.draw_wall, (x, z), (x, end), park.foot, "wall", park.stone)
            z = end

    def add_barrier(self, x: float, near: float, far: float, high: float) -> None:
        """A wall, hedge or fence along the street, or nothing."""
        kind = self.rng.choices(("wall", "fence", "vegetation", None), (3, 5, 3, 1))[0]
        if kind == "fence":
            self.scene.add(far - 0.1, objects.draw_fence, (x, near), (x, far), high, objects.random_fence(self.scene))
        elif kind:
            self.scene.add(far - 0.1, objects.draw_wall, (x, near), (x, far), high, kind)

    def add_tree(self, x: float, z: float, high: float) -> None:
        """A tree, leafy or bare, with its shadow on the ground."""
        bare = self.rng.random() < self.scene.look.bare_tree
        self.scene.add(z, objects.draw_tree, x, z, high, bare)
        self.scene.shadow_pen.polygon(self.scene.strip(x - 2.5, x + 2.5, max(z - 2, 1), z + 1.5), fill=200)

    def add_furniture(self, side: int) -> None:
        """Lamp posts, trees, signs, traffic lights, bollards and railings along one kerb."""
        scene, rng = self.scene, self.rng
        line = side * (self.kerb[side] + rng.uniform(0.3, 0.7))
        for chance, step, add in (
            (0.8, rng.uniform(12, 32), lambda z: scene.add(
                z, objects.draw_pole, line, z, rng.uniform(5, 9), -side * rng.choice((0, 1.0, 2.0)))),
            ({"urban": 0.35, "suburban": 0.5, "green": 0.7}[self.character], rng.uniform(7, 20),
             lambda z: self.add_tree(line + side * rng.uniform(0, 1), z, rng.uniform(4, 10))),
            (0.85, rng.uniform(8, 25), lambda z: scene.add(
                z, objects.draw_sign, line, z, rng.uniform(1.9, 3.4), rng.choice((0.25, 0.3, 0.4, 0.7)))),
            (0.12, rng.uniform(1.5, 4), lambda z: scene.add(z, objects.draw_pole, line, z, 1.0, 0)),
        ):  # fmt: skip
            z = rng.uniform(4, 4 + step)
            present = rng.random() < chance
            while present and z < 90:
                if self.is_free(z):
                    add(z)
                z += step * rng.uniform(0.7, 1.4)
        if rng.random() < (0.75 if self.crossing else 0.2):
            z = max(4.0, (self.crossing or rng.uniform(8, 40)) - 1)
            scene.add(z, objects.draw_traffic_light, line, z, rng.choice((0, 0, -side * 3)))
            scene.add(z + 14, objects.draw_traffic_light, line, z + 14, 0)
        if rng.random() < 0.12:
            near = rng.uniform(3, 20)
            far = near + rng.uniform(5, 25)
            if self.is_free(near) and self.is_free(far):
                style = replace(objects.random_fence(scene), planks=False)
                scene.add(far, objects.draw_fence, (line, near), (line, far), rng.uniform(0.9, 1.2), style)

    def add_parked(self, side: int) -> None:
        """Vehicles parked along one kerb, and bicycles leaning there."""
        scene, rng = self.scene, self.rng
        taken = rng.uniform(*scene.look.parked) * (self.kerb[side] > 2.8)
        bays = rng.random() < 0.15  # side by side instead of in a row
        x, z = side * (self.kerb[side] + (0.6 if bays else -1.0)), rng.uniform(3.6, 12)
        while z < 80:
            if rng.random() < taken and self.is_free(z, 4):
                self.add_vehicle(
                    ("saloon", "hatchback", "hatchback", "van"),
                    x,
                    z,
                    pi / 2 * rng.choice((-1, 1) if bays else (0, 0, 2)),
                )
            elif rng.random() < 0.08:
                place = side * (self.kerb[side] + 0.8)
                scene.add(z, objects.draw_bicycle, place, z, rng.random() < 0.6, False)
            z += rng.uniform(2.4, 3.2) if bays else rng.uniform(5.2, 7)

    def add_vehicle(self, kinds: tuple[str, ...], x: float, z: float, yaw: float) -> None:
        """A vehicle of one of the kinds with its shadow."""
        kind = self.rng.choice(kinds)
        self.scene.add(z, draw_vehicle, kind, x, z, yaw + self.rng.gauss(0, 0.04))
        self.scene.shadow_pen.polygon(self.scene.strip(x - 1.4, x + 1.4, max(z - 2.6, 1), z + 2.6), fill=220)

    def add_traffic(self) -> None:
        """Vehicles ahead, oncoming and crossing, and cyclists."""
        scene, rng = self.scene, self.rng
        mix = ("saloon", "hatchback", "saloon", "hatchback", "van", "bus", "double-decker", "truck")
        oncoming = -self.hand * max(2.6, self.kerb[-self.hand] - rng.uniform(2.4, 3.6))
        for _ in range(rng.randint(*scene.look.traffic)):
            z = 8 * (self.end / 8) ** rng.uniform(0.05, 1)
            way = rng.random()
            if way < 0.4:
                self.add_vehicle(mix, rng.gauss(0, 0.3), z + 4, 0)
            elif way < 0.85:
                self.add_vehicle(mix, oncoming, z + 1, pi)
            elif self.crossing:
                self.add_vehicle(
                    mix,
                    rng.uniform(-15, 15),
                    self.crossing + self.crossing_width * 0.4,
                    rng.choice((-pi / 2, pi / 2)),
                )
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            x = self.hand * (self.kerb[self.hand] - rng.uniform(0.5, 2)) if rng.random() < 0.8 else oncoming
            scene.add(z := 5 * 6 ** rng.random(), objects.draw_bicycle, x, z, rng.random() < 0.2, True)

    def add_people(self) -> None:
        """People on the pavements, some in groups, and a few on the road."""
        scene, rng = self.scene, self.rng
        for _ in range(rng.randint(*scene.look.people)):
            z = 5 * 12 ** rng.random()
            side = rng.choice((-1, 1))
            x = side * (self.kerb[side] + rng.uniform(0.4, self.pavement[side]))
            if rng.random() < 0.05:
                x = rng.uniform(-self.kerb[-1], self.kerb[1])
            for _ in range(rng.choice((1, 1, 2, 3))):
                scene.add(z, objects.draw_person, x, z, rng.choice((1.2, 1.65, 1.7, 1.75, 1.8, 1.9)))
                x, z = x + rng.uniform(0.4, 0.8), z + rng.uniform(0, 1.5)


def contact_sheet(seed: int, looks: tuple[str, ...], rows: int, columns: int, height: int, width: int) -> Image.Image:
    """Sheet of images beside their coloured labels: `rows` rows for each look, `columns` scenes in a row."""
    sheet = Image.new("RGB", (2 * width * columns, height * rows * len(looks)))
    palette = np.zeros((256, 3), np.uint8)
    palette[: len(COLORS)] = COLORS
    for place in range(rows * columns * len(looks)):
        row, column = divmod(place, columns)
        image, label = render(seed, place, looks[row // rows], height, width)
        pair = np.concatenate([image, palette[label]], axis=1)
        sheet.paste(Image.fromarray(pair), (2 * width * column, height * row))
    return sheet
