"""Patches of an image: where they are, and how their maps become one of the whole image again."""

import numpy as np
import torch

Window = tuple[slice, slice]  # rows and columns of an image


class Mosaic:
    """One image and the sums of its patches' maps, put back in their places."""

    def __init__(self, image: np.ndarray, places: list[Window]):
        self.image = image
        self.missing = len(places)
        self.total: torch.Tensor | None = None
        self.counts = torch.zeros(image.shape[:2])
        for window in places:
            self.counts[window] += 1

    @property
    def complete(self) -> bool:
        return self.missing == 0

    def add(self, window: Window, patch: torch.Tensor) -> None:
        """Add the map (C, h, w) of a patch."""
        if self.total is None:
            self.total = patch.new_zeros((len(patch), *self.counts.shape))
        self.total[:, *window] += patch
        self.missing -= 1

    def mean(self) -> torch.Tensor:
        """(C, H, W): at each pixel the mean over the patches that show it."""
        return self.total / self.counts.to(self.total.device)


def windows(size: tuple[int, int], height: float, count: int, seed: int) -> list[Window]:
    """`count` random square windows of an image of `size`, then those of a grid that show what none of them shows.

    Their side is `height`, a share of the image's height, but not more than its width.
    """
    side = max(1, round(height * size[0]))
    rows, columns = min(side, size[0]), min(side, size[1])
    last_corner = size[0] - rows, size[1] - columns
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, last_corner, (count, 2), endpoint=True).tolist()
    places = [_window(top, left, rows, columns) for top, left in corners]

    covered = np.zeros(size, bool)
    for window in places:
        covered[window] = True
    for top in _grid(size[0], rows):
        for left in _grid(size[1], columns):
            window = _window(top, left, rows, columns)
            if not covered[window].all():
                places.append(window)
                covered[window] = True
    return places


def _window(top: int, left: int, rows: int, columns: int) -> Window:
    return slice(top, top + rows), slice(left, left + columns)


def _grid(length: int, side: int) -> list[int]:
    """The starts of windows of a side that cover a length."""
    last = length - side
    return [*range(0, last, side), last]
