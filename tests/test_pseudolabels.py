"""Each function of the procedure against a plain computation: sorting, loops over pixels, lists and dicts."""

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import VOID, histogram_of, random_maps, statistics_of
from hypothesis import given
from hypothesis import strategies as st

from cotrain.method import labelmaps, selection
from cotrain.method.collage import collage_order, rare_classes
from cotrain.method.thresholds import assign, class_thresholds
from cotrain.stages import train
from cotrain.training import augmentation

SEEDS = range(30)
BIN = 1 / 65535


# ---- thresholds -------------------------------------------------------------------------------------------------


def sorted_thresholds(label, confidence, classes, portion, lower, upper) -> list[float]:
    """Sort V_c descending and take the ⌈p·n⌉-th confidence; `lower` for an empty V_c; clip."""
    thresholds = []
    for c in range(classes):
        v = sorted((x for k, x in zip(label.ravel(), confidence.ravel(), strict=True) if k == c), reverse=True)
        rank = max(1, math.ceil(Fraction(str(portion)) * len(v)))
        thresholds.append(min(max(int(v[rank - 1]) / 65535, lower), upper) if v else lower)
    return thresholds


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("portion", [0, 0.1, 0.55, 0.6, 1])
def test_thresholds_equal_sorting(seed, portion):
    label, confidence = random_maps(seed, 3, 5, 7, classes=4)
    histogram = histogram_of(label, confidence, 4)
    for lower, upper in ((0, 1), (0.5, 0.9)):
        expected = sorted_thresholds(label, confidence, 4, portion, lower, upper)
        assert class_thresholds(histogram, portion, lower, upper).tolist() == expected


@given(
    values=st.lists(st.integers(0, 65535), min_size=1, max_size=60),
    percent=st.integers(0, 100),
)
def test_threshold_is_the_highest_that_the_portion_reaches(values, percent):
    histogram = np.bincount(values, minlength=65536)[None]
    (threshold,) = class_thresholds(histogram, percent / 100, 0, 1)
    wanted = max(1, Fraction(percent, 100) * len(values))
    assert sum(v / 65535 >= threshold for v in values) >= wanted
    assert sum(v / 65535 > threshold for v in values) < wanted


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("portion", [0.05, 0.5, 0.93])
def test_thresholds_are_within_one_bin_of_the_exact_quantile(seed, portion):
    rng = np.random.default_rng(seed)
    exact = np.sort(rng.beta(5, 2, size=rng.integers(1, 400)))[::-1]
    rank = max(1, math.ceil(Fraction(str(portion)) * len(exact)))
    stored = np.rint(exact * 65535).astype(int)
    (threshold,) = class_thresholds(np.bincount(stored, minlength=65536)[None], portion, 0, 1)
    assert abs(threshold - exact[rank - 1]) <= BIN


def test_class_never_predicted_gets_the_lower_bound():
    histogram = histogram_of(np.array([[0, VOID]], np.uint8), np.array([[60000, 60000]], np.uint16), 2)
    assert class_thresholds(histogram, 0.5, 0.3, 0.95).tolist() == [60000 / 65535, 0.3]


@pytest.mark.parametrize("portion", [0, 0.001, 0.5, 1])
def test_class_of_one_pixel_has_its_confidence_as_threshold(portion):
    histogram = histogram_of(np.array([[1]], np.uint8), np.array([[45000]], np.uint16), 2)
    assert class_thresholds(histogram, portion, 0, 1)[1] == 45000 / 65535


def test_equal_confidences_are_all_at_the_threshold():
    histogram = histogram_of(np.zeros((4, 4), np.uint8), np.full((4, 4), 50000, np.uint16), 1)
    assert class_thresholds(histogram, 0.25, 0, 1).tolist() == [50000 / 65535]


def test_thresholds_are_clipped_to_their_bounds():
    label, confidence = np.array([[0, 1]], np.uint8), np.array([[65535, 1000]], np.uint16)
    histogram = histogram_of(label, confidence, 2)
    assert class_thresholds(histogram, 0.5, 0.5, 0.9).tolist() == [0.9, 0.5]


def test_portion_of_a_decimal_fraction_is_not_rounded_up():
    """0.55·100 is 55.00000000000001 in floating point: the 55th confidence is meant, not the 56th."""
    histogram = np.zeros((1, 65536), np.int64)
    histogram[0, 1000:1100] = 1
    for percent in range(1, 101):
        (threshold,) = class_thresholds(histogram, percent / 100, 0, 1)
        assert threshold == (1100 - percent) / 65535, percent


# ---- assignment -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_assignment_equals_a_loop_over_pixels(seed):
    label, confidence = random_maps(seed, 1, 9, 8, classes=3)
    thresholds = np.random.default_rng(seed).choice([0, 0.2, 0.5, 13107 / 65535, 0.8, 0.9, 1], size=3)
    expected = np.full_like(label, VOID)
    for place in np.ndindex(label.shape):
        c = label[place]
        if c != VOID and int(confidence[place]) / 65535 >= thresholds[c]:
            expected[place] = c
    found = assign(label, confidence, thresholds)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)


def test_pixel_at_the_threshold_is_kept_and_one_step_below_is_not():
    for value in range(1, 65536, 97):
        confidence = np.array([value, value - 1], np.uint16)
        kept = assign(np.zeros(2, np.uint8), confidence, np.array([value / 65535]))
        assert kept.tolist() == [0, VOID], value


def test_void_prediction_stays_void_even_with_threshold_zero():
    assert assign(np.array([VOID], np.uint8), np.array([65535], np.uint16), np.zeros(2)) == VOID


@pytest.mark.parametrize("seed", SEEDS)
def test_unclipped_thresholds_keep_the_portion_of_each_class(seed):
    label, confidence = random_maps(2 * seed, 2, 20, 20, classes=3)  # even seeds: hardly any ties
    thresholds = class_thresholds(histogram_of(label, confidence, 3), 0.3, 0, 1)
    kept = assign(label, confidence, thresholds)
    for c in range(3):
        predicted = (label == c).sum()
        assert 0.3 * predicted <= (kept == c).sum() <= 0.3 * predicted + 2


# ---- image statistics and selection -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_image_statistics_equal_loops(seed):
    label, confidence = random_maps(seed, 1, 6, 5, classes=4)
    label[label == 3] = VOID if seed % 3 == 0 else 3  # at times a class is absent
    found = labelmaps.image_statistics(label[0], confidence[0], 4)
    expected = statistics_of(label[0], confidence[0], 4)
    assert found.confidence == pytest.approx(expected.confidence, rel=1e-12)
    np.testing.assert_allclose(found.class_confidence, expected.class_confidence, rtol=1e-12)
    assert found.class_pixels.tolist() == expected.class_pixels.tolist()


def test_image_without_pseudolabels_has_confidence_zero():
    found = labelmaps.image_statistics(np.full((2, 3), VOID, np.uint8), np.full((2, 3), 65535, np.uint16), 2)
    assert found.confidence == 0
    assert np.isnan(found.class_confidence).all() and found.class_pixels.tolist() == [0, 0]


def test_class_of_one_pixel_has_that_pixels_confidence():
    label = np.array([[0, 0, 1]], np.uint8)
    found = labelmaps.image_statistics(label, np.array([[10, 20, 65535]], np.uint16), 2)
    assert found.class_confidence[1] == 1 and found.class_pixels[1] == 1


def test_sum_over_a_large_image_does_not_overflow():
    label, confidence = np.zeros((300, 300), np.uint8), np.full((300, 300), 65535, np.uint16)
    assert labelmaps.image_statistics(label, confidence, 1).confidence == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("count", [1, 4, 50])
def test_selection_equals_a_sorted_list(seed, count):
    rng = np.random.default_rng(seed)
    ids = [f"city/{i}" for i in rng.permutation(12)]
    confidence = rng.integers(0, 5, 12) / 4  # ties, and images without labels
    ordered = sorted((-c, i) for c, i in zip(confidence.tolist(), ids, strict=True) if c > 0)
    found = selection.select(confidence, ids, count)
    assert [ids[i] for i in found] == [i for _, i in ordered[:count]]


def test_image_without_pseudolabels_is_never_selected():
    assert selection.select(np.array([0.0, 0.6, 0.0]), ["a", "b", "c"], 3) == [1]


def test_fewer_candidates_than_wanted_selects_them_all():
    assert selection.select(np.array([0.5, 0.6]), ["a", "b"], 100) == [1, 0]


def test_equally_confident_images_are_selected_in_order_of_id():
    assert selection.select(np.array([0.5, 0.5, 0.5]), ["c", "a", "b"], 2) == [1, 2]


# ---- fusion -----------------------------------------------------------------------------------------------------

SCORES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([0.25, 0.5, 0.75, 1.0]))


@given(previous=SCORES, new=SCORES)
def test_fusion_equals_a_loop_over_ids(previous, new):
    expected = {}
    for image in previous:
        expected[image] = "new" if image in new and new[image] > previous[image] else "previous"
    for image in new:
        if image not in previous:
            expected[image] = "new"
    found = selection.fuse(previous, new)
    assert found == expected and list(found) == list(expected)


def test_fusion_compares_confidences_as_numbers():
    """As text, "9e-05" would exceed "0.5"."""
    assert selection.fuse({"a": 0.5}, {"a": 9e-05}) == {"a": "previous"}


def test_images_of_equal_file_name_in_two_folders_are_two_images():
    assert set(selection.fuse({"aachen/0001": 0.5}, {"ulm/0001": 0.9})) == {"aachen/0001", "ulm/0001"}


# ---- rare classes -----------------------------------------------------------------------------------------------


def test_rare_classes_are_those_below_the_share_of_the_predicted_pixels():
    pixels = np.array([900_000, 999, 1000, 98_001, 0])  # of 1 000 000
    assert rare_classes(pixels, 0.001).tolist() == [1, 4]
    assert rare_classes(pixels, 0).tolist() == []


# ---- collage ----------------------------------------------------------------------------------------------------


def collage_mask(label, thresholds, share, predicted=None) -> np.ndarray:
    predicted = np.zeros(len(thresholds), int) if predicted is None else predicted
    order = collage_order(thresholds, predicted)
    return augmentation.Collage(order, share).mask(torch.from_numpy(label)).numpy()


def collage_loop(label, thresholds, share, predicted) -> np.ndarray:
    """The mask pixel by pixel."""
    rank = {c: (thresholds[c], predicted[c], c) for c in range(len(thresholds))}
    present = sorted({c for c in label.ravel().tolist() if c != VOID}, key=rank.get)
    pasted = present[: max(1, math.floor(Fraction(str(share)) * len(present)))]
    mask = np.zeros(label.shape, bool)
    for place in np.ndindex(label.shape):
        mask[place] = label[place] in pasted
    return mask


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("share", [0, 0.3, 0.5, 0.58, 0.7, 1])
def test_collage_equals_a_loop_over_pixels(seed, share):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, 12))
    label = random_maps(seed, 1, 6, 8, classes)[0][0]
    thresholds, predicted = rng.integers(5, 10, classes) / 10, rng.integers(0, 4, classes)  # ties of both
    expected = collage_loop(label, thresholds, share, predicted)
    assert np.array_equal(collage_mask(label, thresholds, share, predicted), expected)


@pytest.mark.parametrize("m", [1, 2, 7, 19, 25, 34])
def test_number_of_pasted_classes_is_the_floor_of_the_share(m):
    label = np.arange(m, dtype=np.uint8)[None]
    for percent in range(101):
        pasted = collage_mask(label, np.linspace(0.5, 0.9, m), percent / 100).sum()
        assert pasted == max(1, percent * m // 100), percent


def test_least_confident_classes_are_pasted():
    label = np.array([[0, 1, 2, 3]], np.uint8)
    mask = collage_mask(label, np.array([0.9, 0.5, 0.8, 0.6]), 0.5)
    assert mask.tolist() == [[False, True, False, True]]


def test_of_equal_thresholds_the_class_of_fewer_predicted_pixels_is_pasted():
    label = np.array([[0, 1, 2, 3]], np.uint8)
    mask = collage_mask(label, np.array([0.5, 0.5, 0.5, 0.4]), 0.5, np.array([70, 9, 8, 900]))
    assert mask.tolist() == [[False, False, True, True]]


def test_training_reads_the_order_of_the_collage_from_thresholds_first_and_predicted_pixels_then():
    table = pd.DataFrame({"threshold": [0.9, 0.5, 0.5, 0.7], "pixels": [1, 80, 7, 3]})
    collage = train._collage(SimpleNamespace(collage_share=0.5), table)
    assert collage.order.tolist() == [2, 1, 3, 0] and collage.share == 0.5


def test_void_is_no_class_of_the_collage():
    label = np.array([[0, 1, VOID, VOID]], np.uint8)
    assert collage_mask(label, np.array([0.5, 0.9]), 1).tolist() == [[True, True, False, False]]


def test_one_class_is_pasted_however_small_the_share():
    label = np.array([[0, 1]], np.uint8)
    assert collage_mask(label, np.array([0.9, 0.5]), 0).tolist() == [[False, True]]


def test_crop_of_void_alone_pastes_nothing():
    assert not collage_mask(np.full((2, 2), VOID, np.uint8), np.array([0.5, 0.9]), 1).any()
