"""Portions, seeds, shuffling and class balance against closed forms and frequencies."""

import math
from collections import Counter

import numpy as np
import pytest

from cotrain.base.seeds import seed_of
from cotrain.method.sampling import balanced, iterations, portion, shuffled


def test_portion_grows_by_the_step_up_to_the_maximum():
    found = [portion(0.5, 0.05, 0.6, k) for k in range(5)]
    assert found == pytest.approx([0.5, 0.55, 0.6, 0.6, 0.6])


def test_portion_of_the_first_cycle_is_the_start():
    assert portion(0.3, 0.05, 0.5, 0) == 0.3
    assert portion(0.3, 0.0, 0.5, 7) == 0.3


@pytest.mark.parametrize(
    ("epochs", "images", "per_step", "expected"),
    [(2, 100, 4, 50), (2, 101, 4, 51), (1, 3, 4, 1), (0.5, 10, 5, 1), (0.1, 30, 1, 3), (1.5, 367, 4, 138)],
)
def test_epochs_show_every_image_so_often(epochs, images, per_step, expected):
    assert iterations(None, epochs, images, per_step) == expected


def test_steps_are_steps():
    assert iterations(70, None, 1000, 4) == 70


@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_each_epoch_has_every_item_once(count):
    for epoch in range(4):
        items = [shuffled(epoch * count + i, count, seed=3) for i in range(count)]
        assert sorted(items) == list(range(count))


def test_epochs_and_seeds_are_shuffled_differently():
    orders = [tuple(shuffled(e * 20 + i, 20, seed) for i in range(20)) for e in range(3) for seed in (1, 2)]
    assert len(set(orders)) == 6


def test_item_of_a_position_does_not_depend_on_what_was_asked_before():
    forward = [shuffled(p, 9, seed=5) for p in range(60)]
    backward = [shuffled(p, 9, seed=5) for p in reversed(range(60))]
    assert forward == backward[::-1]


def test_first_item_of_an_epoch_is_every_item_alike():
    first = Counter(shuffled(0, 5, seed) for seed in range(2000))
    assert all(abs(first[i] - 400) < 4 * math.sqrt(400) for i in range(5))


def test_seeds_differ_by_seed_and_by_every_name_and_stay_the_same():
    names = [(1,), (2,), (1, "draw"), (1, "draw", "selftrain/01"), (1, "draw", "selftrain/02"), (1, "train"), (12,)]
    seeds = [seed_of(*name) for name in names]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert seeds == [seed_of(*name) for name in names]


# ---- class balance ----------------------------------------------------------------------------------------------

DRAWS = 4000


def class_frequencies(class_pixels: np.ndarray, temperature: float) -> np.ndarray:
    """How often each class is drawn, where each class has an image of its own."""
    drawn = Counter(balanced(p, class_pixels, temperature, seed=1) for p in range(DRAWS))
    return np.array([drawn[i] / DRAWS for i in range(len(class_pixels))])


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
def test_classes_are_drawn_by_the_softmax_of_their_rarity(temperature):
    pixels = np.array([700, 200, 90, 10])
    weights = [math.exp((1 - p / 1000) / temperature) for p in pixels]
    expected = np.array(weights) / sum(weights)
    deviation = np.sqrt(expected * (1 - expected) / DRAWS)
    assert (np.abs(class_frequencies(np.diag(pixels), temperature) - expected) < 4 * deviation).all()


def test_low_temperature_of_the_paper_draws_the_rarest_classes():
    frequencies = class_frequencies(np.diag([700, 280, 10, 10]), 0.01)
    assert frequencies[:2].max() == 0 and frequencies[2:] == pytest.approx([0.5, 0.5], abs=0.04)


def test_images_that_contain_the_class_are_drawn_alike_however_much_they_have_of_it():
    class_pixels = np.array([[1000, 0], [1000, 1], [1000, 50], [1000, 0]])
    drawn = Counter(balanced(p, class_pixels, 0.01, seed=2) for p in range(2000))
    assert set(drawn) == {1, 2}
    assert abs(drawn[1] - 1000) < 4 * math.sqrt(500)


def test_class_that_no_image_has_is_never_drawn():
    """With its share of 0 it would have the highest probability."""
    class_pixels = np.array([[60, 0, 40], [50, 0, 50]])
    assert {balanced(p, class_pixels, 0.5, seed=1) for p in range(200)} == {0, 1}


@pytest.mark.parametrize("temperature", [0.001, 0.01, 1])
def test_drawn_image_has_a_labelled_pixel(temperature):
    rng = np.random.default_rng(0)
    class_pixels = rng.integers(0, 3, (10, 4)) * rng.integers(0, 1000, (10, 4))
    class_pixels[4] = 0  # an image of void alone
    drawn = {balanced(p, class_pixels, temperature, seed=1) for p in range(500)}
    assert 4 not in drawn and all(class_pixels[i].any() for i in drawn)


def test_balanced_draw_is_a_function_of_seed_and_position():
    class_pixels = np.random.default_rng(1).integers(1, 100, (50, 5))
    first = [balanced(p, class_pixels, 1.0, seed=4) for p in range(40)]
    assert first[::-1] == [balanced(p, class_pixels, 1.0, seed=4) for p in reversed(range(40))]
    assert first != [balanced(p, class_pixels, 1.0, seed=5) for p in range(40)]
