"""CIELAB conversion and alignment against scikit-image in double precision (D65)."""

import numpy as np
import pytest
from skimage.color import lab2rgb, rgb2lab

from cotrain.method import color

LAB_TOLERANCE = 0.5  # CIELAB units; a difference of 2.3 is just noticeable
GREY_LEVELS = 2  # of 255, for all but a few pixels


def photograph(seed: int, height: int = 24, width: int = 31) -> np.ndarray:
    """Random smooth colours with some noise, over the whole range."""
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 255, (2, 2, 3))
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    top, bottom = (corners[i, 0] * (1 - x) + corners[i, 1] * x for i in (0, 1))
    return (top * (1 - y) + bottom * y + rng.normal(0, 12, (height, width, 3))).clip(0, 255).astype(np.uint8)


def muted(seed: int) -> np.ndarray:
    """Colours about the middle of the gamut, so that an alignment among such images clips nothing."""
    return (photograph(seed) * 0.25 + 95).astype(np.uint8)


def statistics(image: np.ndarray) -> np.ndarray:
    lab = rgb2lab(image).reshape(-1, 3)
    return np.concatenate([lab.mean(axis=0), lab.std(axis=0)])


def test_lab_of_every_colour_agrees_with_scikit_image():
    levels = np.arange(0, 256, 15)
    image = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3).astype(np.uint8)
    np.testing.assert_allclose(color.to_lab(image), rgb2lab(image), atol=LAB_TOLERANCE)


def test_rgb_agrees_with_scikit_image():
    lab = rgb2lab(photograph(1))
    expected = np.rint(lab2rgb(lab) * 255)
    assert np.abs(color.to_rgb(lab).astype(int) - expected).max() <= 1


def test_conversion_there_and_back_is_the_image():
    image = photograph(2)
    assert np.abs(color.to_rgb(color.to_lab(image)).astype(int) - image).max() <= 1


def test_colours_outside_the_gamut_are_clipped():
    lab = np.array([[[100, 90, 90], [0, 0, 0], [120, 0, 0]]], np.float32)
    rgb = color.to_rgb(lab)
    assert rgb.dtype == np.uint8
    assert rgb[0, 0, 0] == 255 and rgb[0, 1].tolist() == [0, 0, 0] and rgb[0, 2].tolist() == [255, 255, 255]


@pytest.mark.parametrize("seed", range(5))
def test_statistics_agree_with_scikit_image(seed):
    image = photograph(seed)
    found = color.lab_statistics(image)
    assert found.shape == (6,) and found.dtype == np.float64
    np.testing.assert_allclose(found, statistics(image), atol=LAB_TOLERANCE)


@pytest.mark.parametrize("seed", range(5))
def test_alignment_agrees_with_scikit_image(seed):
    image, target = photograph(seed), photograph(seed + 100)
    s, t = statistics(image), statistics(target)
    expected = np.rint(lab2rgb((rgb2lab(image) - s[:3]) / s[3:] * t[3:] + t[:3]).clip(0, 1) * 255)
    found = color.align(image, color.lab_statistics(image), color.lab_statistics(target))
    difference = np.abs(found.astype(int) - expected)
    assert found.dtype == np.uint8
    assert difference.max() <= 2 * GREY_LEVELS and (difference > GREY_LEVELS).mean() < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_aligned_image_has_the_targets_statistics(seed):
    image, target = muted(seed), muted(seed + 100)
    aligned = color.align(image, color.lab_statistics(image), color.lab_statistics(target))
    assert aligned.min() > 0 and aligned.max() < 255  # nothing was clipped
    np.testing.assert_allclose(statistics(aligned), statistics(target), atol=LAB_TOLERANCE)


def test_alignment_to_itself_is_the_image():
    image = photograph(3)
    own = color.lab_statistics(image)
    assert np.abs(color.align(image, own, own).astype(int) - image).max() <= 1


def test_constant_image_moves_to_the_targets_mean():
    image, target = np.full((8, 8, 3), 90, np.uint8), muted(4)
    aligned = color.align(image, color.lab_statistics(image), color.lab_statistics(target))
    assert len(np.unique(aligned.reshape(-1, 3), axis=0)) == 1
    np.testing.assert_allclose(rgb2lab(aligned)[0, 0], statistics(target)[:3], atol=1)  # rounded to grey levels


def test_grey_image_gets_the_targets_mean_hue_and_no_noise():
    """The a and b of greys are constant up to rounding, which must not be stretched to the target's deviation."""
    ramp = np.repeat(np.linspace(80, 160, 64).astype(np.uint8)[None, :, None], 3, axis=2).repeat(8, axis=0)
    target = muted(5)
    aligned = rgb2lab(color.align(ramp, color.lab_statistics(ramp), color.lab_statistics(target)))
    assert np.abs(aligned[..., 1:] - statistics(target)[1:3]).max() < 1.5  # rounded to grey levels
