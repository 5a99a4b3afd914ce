"""Fast parts of plain functions, each beside a plain reference in the tests."""

from collections.abc import Iterator

import numpy as np

BLOCK = 2**16  # pixels that are worked on at a time, so that they stay in a processor's cache
RUN = 2**16  # pixels at most, whose confidences add up to less than 2^32


def blocks(*maps: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Parts of maps of one shape, `BLOCK` pixels in each; of a contiguous map they are views."""
    flat = [each.reshape(-1) for each in maps]
    for start in range(0, len(flat[0]), BLOCK):
        yield [each[start : start + BLOCK] for each in flat]


def ends_of_runs(label: np.ndarray) -> np.ndarray:
    """Positions of the last pixels of runs of one class, of `RUN` pixels at most. label (n,) uint8, n > 0."""
    last = np.zeros(-len(label) // 8 * -8, bool)
    np.not_equal(label[1:], label[:-1], out=last[: len(label) - 1])
    last[RUN - 1 : len(label) : RUN] = True
    last[len(label) - 1] = True
    eights = last.view(np.uint64)  # most have no end: only the others are looked into
    some = np.flatnonzero(eights != 0)
    inside = np.flatnonzero(eights[some].view(bool))
    return 8 * some[inside // 8] + inside % 8
