"""Fast twins of plain functions. The tests compare each with its plain form.

Void is 255, as in `labelmaps`: all bits of a uint8 are set, on which the masks of bits rely.
"""

from collections.abc import Iterator

import numpy as np

VOID = 0xFF
BLOCK = 2**16  # pixels per step, so that a step's arrays stay in the processor's cache
RUN = 2**16  # pixels at most in a run, so that their confidences add up to less than 2^32


def blocks(*maps: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Parts of maps of one shape, `BLOCK` pixels in each; of a contiguous map they are views."""
    flat = [values.reshape(-1) for values in maps]
    pixels = len(flat[0])
    for start in range(0, pixels, BLOCK):
        end = start + BLOCK
        yield [values[start:end] for values in flat]


def fill_void(
    label: np.ndarray,
    confidence: np.ndarray,
    other_label: np.ndarray,
    other_confidence: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """`combination.combine` of two models: fill void pixels with the other model's labels.

    Class maps (H, W) uint8, confidences (H, W) uint16. Returns the filled map and its confidences. Masks of bits are
    several times as fast as `np.where`.
    """
    filled = np.empty(label.shape, label.dtype)
    filled_confidence = np.empty(label.shape, confidence.dtype)
    maps = (label, other_label, filled, confidence, other_confidence, filled_confidence)
    for block in blocks(*maps):
        _fill_block(*block)
    return filled, filled_confidence


def _fill_block(
    own: np.ndarray,
    other: np.ndarray,
    filled: np.ndarray,
    own_confidence: np.ndarray,
    other_confidence: np.ndarray,
    filled_confidence: np.ndarray,
) -> None:
    fillable = (own == VOID) & (other != VOID)
    adopt = np.negative(fillable.view(np.int8))  # −1, which has all bits set, at fillable pixels; else 0
    keep = ~adopt.view(np.uint8)
    np.bitwise_and(own, other | keep, out=filled)  # all bits of `own` are set at fillable pixels
    adopt_confidence = adopt.astype(np.int16).view(np.uint16)
    change = own_confidence ^ other_confidence
    change &= adopt_confidence
    np.bitwise_xor(own_confidence, change, out=filled_confidence)


def void_below(label: np.ndarray, confidence: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """`np.where(confidence < cut[label], VOID, label)`.

    label (…) uint8, confidence (…) uint16; cut (256,) uint16, one for each value of a label. Returns (…) uint8.
    """
    import cv2  # here: it takes long to import, and the rest of this module does without

    unsure = confidence < cv2.LUT(label.reshape(-1), cut).reshape(label.shape)
    void = np.negative(unsure.view(np.uint8))  # −1, which has all bits set, at unsure pixels; else 0
    return label | void


def class_sums(label: np.ndarray, confidence: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of each class, and the sum of their confidences: `np.bincount(label)`, and with confidences as weights.

    label (H, W) uint8, confidence (H, W) uint16. Returns (256,) int64 and (256,) float64, exact integers. Neighbours
    are mostly of one class, so there are far fewer runs to count than pixels.
    """
    label = label.ravel()
    ends = ends_of_runs(label)
    class_of_run = label[ends]
    length_of_run = np.diff(ends, prepend=-1)
    running_sum = np.cumsum(confidence.ravel(), dtype=np.uint32)  # it wraps around at 2^32 …
    sum_of_run = np.diff(running_sum[ends], prepend=np.uint32(0))  # … and so do differences, which are right again
    pixels = np.bincount(class_of_run, length_of_run, 256)
    sums = np.bincount(class_of_run, sum_of_run, 256)
    return pixels.astype(np.int64), sums


def ends_of_runs(label: np.ndarray) -> np.ndarray:
    """Positions of the last pixels of runs of one class, of `RUN` pixels at most. label (n,) uint8, n > 0."""
    pixels = len(label)
    padded = -(-pixels // 8) * 8
    is_end = np.zeros(padded, bool)
    last = pixels - 1
    np.not_equal(label[1:], label[:-1], out=is_end[:last])
    is_end[RUN - 1 : pixels : RUN] = True
    is_end[last] = True
    return sparse_positions(is_end)


def sparse_positions(flags: np.ndarray) -> np.ndarray:
    """`np.flatnonzero` of flags (8n,) bool of which few are set: eights of them without any are passed over at once."""
    eights = flags.view(np.uint64)
    occupied = np.flatnonzero(eights != 0)
    flags_there = eights[occupied].view(bool)
    inside = np.flatnonzero(flags_there)
    eight = occupied[inside // 8]
    return 8 * eight + inside % 8
