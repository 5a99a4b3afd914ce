"""Colours of classes."""

from collections.abc import Sequence

import numpy as np

from cotrain.method.labelmaps import VOID

Color = tuple[int, int, int]  # sRGB

TAB20 = bytes.fromhex(  # matplotlib's colours of that name, red, green and blue
    "1f77b4 aec7e8 ff7f0e ffbb78 2ca02c 98df8a d62728 ff9896 9467bd c5b0d5"
    " 8c564b c49c94 e377c2 f7b6d2 7f7f7f c7c7c7 bcbd22 dbdb8d 17becf 9edae5"
)


def colorize(label: np.ndarray, colors: Sequence[Color]) -> np.ndarray:
    """Class map (H, W) uint8 → sRGB (H, W, 3) uint8; void is black."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(colors)] = colors
    table[VOID] = 0
    return table[label]


def default_colors(count: int) -> list[Color]:
    """Distinguishable colours for `count` classes that have none of their own; from the 21st on they repeat."""
    starts = (3 * i % len(TAB20) for i in range(count))
    return [tuple(TAB20[start : start + 3]) for start in starts]


def overlay(image: np.ndarray, label: np.ndarray, colors: Sequence[Color], opacity: float = 0.5) -> np.ndarray:
    """A photograph (H, W, 3) uint8 with the colours of its class map (H, W) over it; black over void."""
    return np.rint(image + opacity * (colorize(label, colors) - image.astype(float))).astype(np.uint8)
