"""Houses and shops of toycity."""

from dataclasses import dataclass, replace
from functools import cached_property
from math import hypot

from cotrain.toycity.camera import Point, between
from cotrain.toycity.canvas import Scene
from cotrain.toycity.looks import shade
from cotrain.toycity.palettes import Color

LIGHT_TRIM = (225, 222, 214)
HOUSE_DEPTH = 9  # in m, away from the street
NARROWEST_BAY = 2.5  # distance of window axes in the image, in pixels


@dataclass(frozen=True)
class HouseStyle:
    """Colours and window grid of a house; lengths in m."""

    color: Color
    trim: Color
    glass: Color
    roof: Color
    shop: Color | None  # fascia of a shop on the ground floor
    bay: float  # distance of the window axes
    storey: float
    glazing: float  # share of glass along a storey
    has_windows: bool
    has_gable: bool  # a pitched roof instead of a flat one


def random_house_style(scene: Scene) -> HouseStyle:
    """Style of one house."""
    rng = scene.rng
    color = scene.pick("facade")
    return HouseStyle(
        color=color,
        trim=shade(color, 0.8) if rng.random() < 0.4 else LIGHT_TRIM,
        glass=scene.pick("glass"),
        roof=scene.pick("roof"),
        shop=scene.pick("shop", 0.4) if rng.random() < 0.75 else None,
        bay=rng.uniform(1.8, 3.5),
        storey=rng.uniform(2.7, 3.6),
        glazing=rng.uniform(0.35, 0.7),
        has_windows=rng.random() < 0.92,
        has_gable=rng.random() < 0.6,
    )


@dataclass(frozen=True)
class Facade:
    """An upright face above the ground points start and end = (x, z), and what is painted on it."""

    scene: Scene
    start: Point
    end: Point
    height: float  # in m
    style: HouseStyle

    @cached_property
    def light(self) -> float:
        return self.scene.light_on(self.start, self.end)

    @cached_property
    def length(self) -> float:
        """Length of the face, in m."""
        return hypot(
            self.end[0] - self.start[0],
            self.end[1] - self.start[1],
        )

    def paint_wall(self) -> None:
        """Paint the bare face; nothing else of a façade has a label."""
        self.scene.paint_panel(
            self.start,
            self.end,
            low=0,
            high=self.height,
            color=shade(self.style.color, self.light),
            label="building",
        )

    def paint_board(
        self,
        left: float,
        right: float,
        low: float,
        high: float,
        color: Color,
        tone: float = 1.0,
    ) -> None:
        """Paint a rectangle from `left` to `right`, as shares of the face, and from `low` to `high` m."""
        self.scene.paint_panel(
            between(self.start, self.end, left),
            between(self.start, self.end, right),
            low,
            high,
            shade(color, tone * self.light),
        )

    def window_columns(self) -> int:
        """How many windows stand side by side: as many as the face and the pixels have room for."""
        project = self.scene.camera.project
        left, _ = project(self.start[0], self.height, self.start[1])
        right, _ = project(self.end[0], self.height, self.end[1])
        return min(
            int(self.length / self.style.bay),
            int(abs(left - right) / NARROWEST_BAY),
        )

    def paint_door(self) -> None:
        left = self.scene.rng.uniform(0.05, 0.9)
        width = min(0.1, 1.1 / self.length)
        self.paint_board(left, left + width, 0, 2.1, self.style.roof)

    def paint_storey(self, floor: float, columns: int) -> None:
        """Paint a row of windows above `floor` m."""
        style = self.style
        sill = floor + 0.3 * style.storey
        head = floor + 0.85 * style.storey
        half_width = style.glazing / columns / 2
        half_frame = 1.25 * half_width
        for i in range(columns):
            middle = (i + 0.5) / columns
            self.paint_board(
                middle - half_frame,
                middle + half_frame,
                sill - 0.15,
                head,
                style.trim,
            )
            self.paint_board(
                middle - half_width,
                middle + half_width,
                sill,
                head,
                style.glass,
                tone=self.scene.rng.uniform(0.6, 1.3),
            )

    def paint_cornice(self) -> None:
        tone = 0.75 if self.style.has_gable else 1.2
        low = self.height - 0.35
        self.paint_board(0, 1, low, self.height, self.style.color, tone)

    def paint_shop(self, fascia: Color) -> float:
        """Paint shop windows with goods and posters, pillars and a fascia; returns the height of the shop in m.

        Many are so dark inside that one sees little but the frames of the panes.
        """
        rng = self.scene.rng
        is_dark = rng.random() < 0.7
        riser = rng.uniform(0, 0.6)
        head = rng.uniform(2.3, 3.0)
        tone = rng.uniform(0.15, 0.6) if is_dark else 1.0
        self.paint_board(0, 1, 0, head, fascia, 0.8)
        self.paint_board(0.02, 0.98, riser, head, self.style.glass, tone)
        least, beyond = (0, 5) if is_dark else (3, 8)
        for _ in range(rng.randrange(least, beyond)):
            self.paint_goods(tone)
        self.paint_panes(head, fascia, tone)
        self.paint_board(0, 1, head + 0.1, head + 0.8, fascia)
        return head + 0.8

    def paint_goods(self, tone: float) -> None:
        """Paint something that lies or hangs in a shop window."""
        rng = self.scene.rng
        left = rng.uniform(0.03, 0.85)
        low = rng.uniform(0.2, 1.6)
        self.paint_board(
            left,
            left + rng.uniform(0.03, 0.12),
            low,
            low + rng.uniform(0.4, 1),
            self.scene.pick("cloth"),
            tone,
        )

    def paint_panes(self, head: float, fascia: Color, tone: float) -> None:
        """Paint the frames between the panes of a shop, up to `head` m."""
        rng = self.scene.rng
        panes = rng.randrange(3, 11)
        frame = fascia if rng.random() < 0.5 else self.style.trim
        for i in range(panes + 1):
            axis = i / panes
            self.paint_board(
                axis - 0.008,
                axis + 0.008,
                0,
                head,
                frame,
                0.4 + 0.5 * tone,
            )


def draw_facade(scene: Scene, start: Point, end: Point, high: float, style: HouseStyle) -> None:
    """Wall with rows of windows and perhaps a shop, above the ground points start and end = (x, z)."""
    facade = Facade(scene, start, end, high, style)
    facade.paint_wall()
    columns = facade.window_columns()
    if not style.has_windows or columns < 1:
        return
    floor = 0.0
    if style.shop is None:
        facade.paint_door()
    else:
        floor = facade.paint_shop(style.shop)
    while floor + style.storey < high + 0.4:
        facade.paint_storey(floor, columns)
        floor += style.storey
    facade.paint_cornice()


def draw_house(scene: Scene, x: float, near: float, far: float, high: float) -> None:
    """House with its front along the street at x, the gable that faces the camera, roof and chimney."""
    style = random_house_style(scene)
    ridge = high + scene.rng.uniform(1.5, 4)
    outward = 1 if x > 0 else -1
    if style.has_gable:
        draw_roof(scene, x, (near, far), (high, ridge), style)
    front_near = (x, near)
    front_far = (x, far)
    back_near = (x + outward * HOUSE_DEPTH, near)
    draw_facade(scene, front_near, back_near, high, replace(style, shop=None))
    draw_facade(scene, front_near, front_far, high, style)


def draw_roof(
    scene: Scene,
    x: float,
    depths: tuple[float, float],
    heights: tuple[float, float],
    style: HouseStyle,
) -> None:
    """Pitched roof of a house with its front at x, the gable below it, and perhaps a chimney.

    depths: of the near and the far end; heights: of the eaves and the ridge. All in m.
    """
    near, far = depths
    eaves, ridge = heights
    outward = 1 if x > 0 else -1
    middle = x + outward * HOUSE_DEPTH / 2
    back = x + outward * HOUSE_DEPTH
    project = scene.camera.project
    slope = [
        project(x, eaves, near),
        project(x, eaves, far),
        project(middle, ridge, far),
        project(middle, ridge, near),
    ]
    gable = [
        project(x, eaves, near),
        project(back, eaves, near),
        project(middle, ridge, near),
    ]
    along, across = scene.sun[x > 0], scene.sun[2]
    scene.paint(slope, shade(style.roof, along), "building", far)
    scene.paint(gable, shade(style.color, across), "building", near)
    if scene.rng.random() < 0.5:
        z = scene.rng.uniform(near, far)
        left = (middle - 0.5, z)
        right = (middle + 0.5, z)
        scene.paint_panel(left, right, eaves, ridge + 1.2, shade(style.color, 0.8), "building")
