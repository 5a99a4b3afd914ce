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

from cotrain.method import combination, kernels, labelmaps, selection
from cotrain.method.collage import collage_order, rare_classes
from cotrain.method.exchange import exchange as exchanged
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


# ---- combination ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_combination_equals_a_loop_over_pixels(seed):
    (label, other), (confidence, other_confidence) = random_maps(seed, 2, 7, 6, classes=3)
    expected, expected_confidence = label.copy(), confidence.copy()
    for place in np.ndindex(label.shape):
        if label[place] == VOID and other[place] != VOID:
            expected[place], expected_confidence[place] = other[place], other_confidence[place]
    found, found_confidence = combination.combine(label, confidence, other, other_confidence)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)
    assert found_confidence.dtype == np.uint16 and np.array_equal(found_confidence, expected_confidence)


def test_combination_takes_maps_of_several_blocks_in_any_memory_order(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 5)
    (label, other), (confidence, other_confidence) = random_maps(0, 2, 7, 6, classes=3)
    expected = combination.combine(label, confidence, other, other_confidence)
    adopt = (label == VOID) & (other != VOID)
    assert np.array_equal(expected[0], np.where(adopt, other, label))
    turned = combination.combine(label.T, confidence.T, other.T, other_confidence.T)
    assert all(np.array_equal(one.T, two) for one, two in zip(turned, expected, strict=True))


def test_disagreement_of_two_labels_stays_in_both():
    mine, his = np.array([[0]], np.uint8), np.array([[1]], np.uint8)
    low, high = np.array([[1]], np.uint16), np.array([[65535]], np.uint16)
    assert combination.combine(mine, low, his, high) == (mine, low)
    assert combination.combine(his, high, mine, low) == (his, high)


# ---- exchange ---------------------------------------------------------------------------------------------------


def algorithm_2(images, sender_thresholds, receiver_thresholds, n, lambda_, rank_by, min_class_fraction) -> list:
    """One direction of Algorithm 2 in lists and exact numbers: (id, class) of the images sent, in order.

    images: list of (id, confidence, {class: (confidence, fraction of pixels)}), absent classes left out.
    """
    lambda_ = Fraction(str(lambda_))
    gains = [Fraction(s) - Fraction(r) for s, r in zip(sender_thresholds, receiver_thresholds, strict=True)]
    delta = []  # ClassSort: class indices, the largest gain first
    while len(delta) < len(gains):
        rest = [c for c in range(len(gains)) if c not in delta]
        delta.append(max(rest, key=lambda c: (gains[c], -c)))
    new = []
    for c in delta:
        s = []  # ClassImageList
        for image_id, confidence, classes in images:
            if c in classes and classes[c][1] >= min_class_fraction:
                s.append((Fraction(confidence if rank_by == "image" else classes[c][0]), image_id))
        if not s:
            continue
        t = lambda_ * max(s)[0] + (1 - lambda_) * min(s)[0]
        for confidence, image_id in sorted(s, key=lambda pair: (-pair[0], pair[1])):
            if confidence >= t and image_id not in [i for i, _ in new]:
                new.append((image_id, c))
                if len(new) == n:
                    return new
    return new


def as_arrays(images, classes: int) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    class_confidence, class_fraction = np.full((2, len(images), classes), np.nan)
    for i, (_, _, seen) in enumerate(images):
        for c in range(classes):
            class_confidence[i, c], class_fraction[i, c] = seen.get(c, (np.nan, 0))
    return [i for i, _, _ in images], np.array([c for _, c, _ in images]), class_confidence, class_fraction


def exchange(images, sender, receiver, n, lambda_=0.8, rank_by="image", min_class_fraction=0.0) -> list:
    ids, *arrays = as_arrays(images, len(sender))
    options = {"count": n, "balance": lambda_, "rank_by": rank_by, "min_class_fraction": min_class_fraction}
    sent = exchanged(ids, *arrays, np.array(sender), np.array(receiver), **options)
    return [(ids[i], c) for i, c in sent]


def random_images(rng, count: int, classes: int) -> list:
    """Coarse confidences, so that there are ties; some images without any class."""
    images = []
    for i in rng.permutation(count):
        seen = {c: (rng.integers(1, 17) / 16, rng.integers(1, 9) / 64) for c in range(classes) if rng.random() < 0.4}
        images.append((f"city/{i}", rng.integers(1, 17) / 16 if seen else 0.0, seen))
    return images


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rank_by", ["image", "class"])
@pytest.mark.parametrize("lambda_", [0, 0.25, 0.75, 1])  # exact in floating point
def test_exchange_equals_algorithm_2(seed, rank_by, lambda_):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 7))
    images = random_images(rng, int(rng.integers(1, 15)), classes)
    thresholds = (rng.integers(8, 15, (2, classes)) / 16).tolist()
    for n in (1, 3, 100):
        for fraction in (0, 0.0625):
            arguments = (images, *thresholds, n, lambda_, rank_by, fraction)
            assert exchange(*arguments) == algorithm_2(*arguments)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rank_by", ["image", "class"])
def test_exchange_of_unrounded_confidences_equals_algorithm_2(seed, rank_by):
    rng = np.random.default_rng(seed)
    images = [
        (str(i), rng.random(), {c: (rng.random(), rng.random()) for c in range(5) if rng.random() < 0.5})
        for i in range(20)
    ]
    arguments = (images, *rng.random((2, 5)).tolist(), 8, 0.8, rank_by, 0.1)
    assert exchange(*arguments) == algorithm_2(*arguments)


def test_class_seen_in_one_image_is_exchanged():
    images = [("a", 0.9, {0: (0.9, 0.5)}), ("b", 0.8, {0: (0.8, 0.5)}), ("rare", 0.1, {0: (0.1, 0.5), 1: (0.1, 0.01)})]
    assert exchange(images, [0.5, 0.9], [0.9, 0.5], 1) == [("rare", 1)]


@pytest.mark.parametrize("confidence", [0.1, 0.3, 0.7, 0.9, 1 / 3, 60001 / 65535])
def test_equally_confident_images_all_reach_the_cut(confidence):
    images = [(i, confidence, {0: (confidence, 1)}) for i in "cab"]
    for lambda_ in np.linspace(0, 1, 21):
        assert [i for i, _ in exchange(images, [0.5], [0.5], 9, lambda_)] == ["a", "b", "c"]


def test_class_in_which_the_sender_is_most_ahead_comes_first():
    images = [("a", 0.9, {0: (0.9, 1)}), ("b", 0.8, {1: (0.8, 1)}), ("c", 0.7, {2: (0.7, 1)})]
    assert exchange(images, [0.5, 0.7, 0.9], [0.6, 0.8, 0.5], 9) == [("c", 2), ("a", 0), ("b", 1)]


def test_class_never_predicted_is_passed_over():
    images = [("a", 0.9, {1: (0.9, 1)})]
    assert exchange(images, [0.9, 0.5], [0.5, 0.5], 9) == [("a", 1)]


def test_lambda_one_sends_the_best_image_of_each_class_and_zero_sends_all():
    images = [(name, c, {0: (c, 1)}) for name, c in (("a", 0.3), ("b", 0.9), ("c", 0.6))]
    assert [i for i, _ in exchange(images, [0.5], [0.5], 9, 1)] == ["b"]
    assert [i for i, _ in exchange(images, [0.5], [0.5], 9, 0)] == ["b", "c", "a"]


def test_fewer_images_than_wanted_are_all_exchanged_once():
    images = [(name, 0.5, {0: (0.5, 0.5), 1: (0.5, 0.5)}) for name in "ab"]
    assert [i for i, _ in exchange(images, [0.5, 0.5], [0.5, 0.5], 100)] == ["a", "b"]


def test_image_without_pseudolabels_is_never_exchanged():
    images = [("empty", 0.0, {}), ("a", 0.5, {0: (0.5, 1)})]
    assert exchange(images, [0.5], [0.5], 9, 0) == [("a", 0)]
    assert exchange(images[:1], [0.5], [0.5], 9, 0) == []


def test_image_with_too_few_pixels_of_a_class_is_not_sent_for_it():
    images = [("speck", 0.9, {0: (0.9, 0.01)}), ("object", 0.5, {0: (0.5, 0.02)})]
    assert exchange(images, [0.5], [0.5], 9, 0, min_class_fraction=0.02) == [("object", 0)]


def test_rank_by_class_uses_the_confidence_on_that_class():
    images = [("a", 0.9, {0: (0.1, 0.5)}), ("b", 0.2, {0: (0.8, 0.5)})]
    assert exchange(images, [0.5], [0.5], 1, rank_by="image") == [("a", 0)]
    assert exchange(images, [0.5], [0.5], 1, rank_by="class") == [("b", 0)]


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
