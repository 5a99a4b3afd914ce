"""Plan of a street of toycity: where its kerbs and fronts run, and where a side road crosses.

The street runs along z, away from the camera, and x is counted from the camera. A side is -1 (left) or 1 (right).
Lengths are in m.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from cotrain.toycity.looks import Look

NEAR, FAR = 1.6, 130.0  # nearest and farthest depth of what stands along the street
SIDES = (-1, 1)
VERGES = {"urban": 0.0, "suburban": 1.0, "green": 3.0}  # ground between pavement and fronts, on average


@dataclass(frozen=True)
class Street:
    """Plan of one street. Widths are of each side, from the camera's path outwards."""

    character: str  # urban, suburban or green
    driving_side: int
    kerb: dict[int, float]  # distance of the kerb
    pavement: dict[int, float]  # width
    front: dict[int, float]  # distance of houses and fences
    end: float  # depth
    crossing: float | None  # depth of the near edge of a side road
    crossing_width: float

    @property
    def is_urban(self) -> bool:
        return self.character == "urban"

    def side_road(self) -> list[tuple[float, float]]:
        """Depth range of the side road, as a list of at most one pair."""
        if self.crossing is None:
            return []
        return [(self.crossing, self.crossing + self.crossing_width)]

    def gaps(self, near: float, far: float) -> Iterator[tuple[float, float]]:
        """The parts of near..far that the side road leaves."""
        for start, stop in self.side_road():
            yield near, start
            near = stop
        if near < far:
            yield near, far

    def is_free(self, z: float, margin: float = 0.0) -> bool:
        """Whether z lies before the end of the street and outside the side road."""
        if z >= self.end:
            return False
        return all(z < start - margin or z > stop + margin for start, stop in self.side_road())


def random_street(rng: Random, look: Look, left_hand: bool) -> Street:
    """Plan of one street."""
    character = rng.choices(("urban", "suburban", "green"), look.character)[0]
    driving_side = -1 if left_hand else 1
    kerb = {
        driving_side: rng.uniform(1.9, 4.2),
        -driving_side: rng.uniform(4.2, 8.5),
    }
    pavement = {side: rng.uniform(1.4, 4.2) for side in SIDES}
    front = {}
    for side in SIDES:
        verge = VERGES[character] * rng.random() * 2
        front[side] = kerb[side] + pavement[side] + verge + 0.2
    return Street(
        character=character,
        driving_side=driving_side,
        kerb=kerb,
        pavement=pavement,
        front=front,
        end=rng.uniform(35, 110) if rng.random() < 0.3 else FAR,
        crossing=rng.uniform(9, 50) if rng.random() < 0.4 else None,
        crossing_width=rng.uniform(6, 11),
    )
