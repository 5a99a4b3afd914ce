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
    shape = np.minimum((side, side), size)
    corners = np.random.default_rng(seed).integers(0, np.array(size) - shape, (count, 2), endpoint=True)
    places = [_window(corner, shape) for corner in corners.tolist()]
    covered = np.zeros(size, bool)
    for window in places:
        covered[window] = True
    for top in _grid(size[0], int(shape[0])):
        for left in _grid(size[1], int(shape[1])):
            window = _window((top, left), shape)
            if not covered[window].all():
                places.append(window)
                covered[window] = True
    return places


def _window(corner: tuple[int, int], shape: np.ndarray) -> Window:
    top, left = corner
    height, width = shape.tolist()
    return slice(top, top + height), slice(left, left + width)


def _grid(length: int, side: int) -> list[int]:
    """Where windows begin that cover a length."""
    return [*range(0, length - side, side), length - side]
