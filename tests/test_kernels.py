"""Fast kernels against their plain forms."""

import numpy as np
import pytest
from conftest import VOID, random_maps

from cotrain.method import kernels, labelmaps

SEEDS = range(20)


def areas(seed: int, height: int, width: int) -> np.ndarray:
    """A label map (H, W) of a few areas with void between them, whose runs have all lengths."""
    rng = np.random.default_rng(seed)
    label = np.full(height * width, VOID, np.uint8)
    for _ in range(rng.integers(1, 12)):
        start, end = np.sort(rng.integers(0, label.size + 1, 2))
        label[start:end] = rng.integers(0, 5)
    return label.reshape(height, width)


def test_void_has_one_value_and_all_bits_set():
    assert kernels.VOID == labelmaps.VOID == VOID == np.iinfo(np.uint8).max


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("block", [1, 5, 8, 2**16])
def test_fill_void_equals_where(monkeypatch, seed, block):
    monkeypatch.setattr(kernels, "BLOCK", block)
    (label, other), (confidence, other_confidence) = random_maps(seed, 2, 7, 9, classes=4)
    adopt = (label == VOID) & (other != VOID)
    filled, filled_confidence = kernels.fill_void(label, confidence, other, other_confidence)
    assert filled.dtype == np.uint8 and np.array_equal(filled, np.where(adopt, other, label))
    expected = np.where(adopt, other_confidence, confidence)
    assert filled_confidence.dtype == np.uint16 and np.array_equal(filled_confidence, expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_void_below_equals_where(seed):
    label, confidence = random_maps(seed, 3, 5, 7, classes=6)
    cut = np.random.default_rng(seed).choice(np.append(confidence.ravel(), [0, 65535]), 256).astype(np.uint16)
    expected = np.where(confidence < cut[label], VOID, label)
    found = kernels.void_below(label, confidence, cut)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (8, 8), (6, 5), (40, 61)])
@pytest.mark.parametrize("run", [1, 3, 8, 2**16])
def test_class_sums_equal_bincount(monkeypatch, seed, size, run):
    monkeypatch.setattr(kernels, "RUN", run)
    _, confidence = random_maps(seed, 1, *size, classes=1)
    for label in (areas(seed, *size), random_maps(seed, 1, *size, classes=3)[0][0]):
        pixels, sums = kernels.class_sums(label, confidence[0])
        assert pixels.dtype == np.int64 and sums.dtype == np.float64
        assert np.array_equal(pixels, np.bincount(label.ravel(), minlength=256))
        assert np.array_equal(sums, np.bincount(label.ravel(), confidence.ravel(), 256))


def test_class_sums_of_more_than_32_bits_are_exact():
    label = np.zeros((700, 300), np.uint8)
    label[300:, 200:] = 1
    confidence = np.full(label.shape, 65535, np.uint16)
    pixels, sums = kernels.class_sums(label, confidence)
    assert sums.sum() > 3 * 2**32
    assert np.array_equal(sums, pixels * 65535) and pixels[:2].tolist() == [700 * 300 - 40000, 40000]


def test_longest_run_sums_to_less_than_32_bits():
    assert kernels.RUN * 65535 < 2**32


@pytest.mark.parametrize("seed", SEEDS)
def test_sparse_positions_equal_flatnonzero(seed):
    rng = np.random.default_rng(seed)
    for density in (0, 0.01, 0.3, 1):
        flags = rng.random(8 * rng.integers(1, 40)) < density
        assert np.array_equal(kernels.sparse_positions(flags), np.flatnonzero(flags))
