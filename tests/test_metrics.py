"""Intersection over union against sets of pixels."""

import numpy as np
import pytest
from conftest import VOID

from cotrain.method import metrics


def random_pair(seed: int, classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.choice([*range(classes), VOID], size=(2, 9, 8)).astype(np.uint8)
    return truth, prediction


@pytest.mark.parametrize("seed", range(20))
def test_confusion_equals_counting_pixel_by_pixel(seed):
    truth, prediction = random_pair(seed)
    expected = np.zeros((4, 4), int)
    for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
        if VOID not in (t, p):
            expected[t, p] += 1
    found = metrics.confusion_matrix(truth, prediction, 4)
    assert found.dtype == np.int64 and np.array_equal(found, expected)


@pytest.mark.parametrize("seed", range(20))
def test_iou_equals_intersection_and_union_of_sets_of_pixels(seed):
    truth, prediction = random_pair(seed)
    prediction[prediction == VOID] = 0  # a model labels every pixel
    known = [place for place in np.ndindex(truth.shape) if truth[place] != VOID]
    iou = metrics.intersection_over_union(metrics.confusion_matrix(truth, prediction, 4))
    for c in range(4):
        a, b = ({place for place in known if labels[place] == c} for labels in (truth, prediction))
        assert iou[c] == len(a & b) / len(a | b)


def test_class_absent_from_truth_and_prediction_is_missing_and_left_out_of_the_mean():
    iou = metrics.intersection_over_union(np.array([[3, 0, 1], [0, 0, 0], [0, 0, 4]]))
    assert iou[0] == 3 / 4 and np.isnan(iou[1]) and iou[2] == 4 / 5
    assert metrics.mean_iou(iou) == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_class_only_predicted_or_only_true_scores_zero():
    iou = metrics.intersection_over_union(np.array([[5, 2], [0, 0]]))
    assert iou.tolist() == [5 / 7, 0]
    iou = metrics.intersection_over_union(np.array([[5, 0], [2, 0]]))
    assert iou.tolist() == [5 / 7, 0]


def test_mean_of_nothing_is_missing():
    assert np.isnan(metrics.mean_iou(metrics.intersection_over_union(np.zeros((3, 3), int))))


def test_score_of_the_whole_set_is_not_the_mean_of_the_images_scores():
    truth = np.array([[0, 0, 0, 1], [0, 1, 1, 1]], np.uint8)  # two images of four pixels
    prediction = np.array([[0, 0, 0, 0], [1, 1, 1, 1]], np.uint8)
    matrices = [metrics.confusion_matrix(t, p, 2) for t, p in zip(truth, prediction, strict=True)]
    whole = metrics.mean_iou(metrics.intersection_over_union(sum(matrices)))
    each = [metrics.mean_iou(metrics.intersection_over_union(m)) for m in matrices]
    assert whole == 3 / 5  # class 0: 3 of 5, class 1: 3 of 5
    assert np.mean(each) == 3 / 8


@pytest.mark.parametrize(
    ("method", "source_only", "upper_bound", "expected"),
    [(0.5, 0.4, 0.6, 0.5), (0.4, 0.4, 0.6, 0), (0.6, 0.4, 0.6, 1), (0.3, 0.4, 0.6, -0.5), (0.65, 0.4, 0.6, 1.25)],
)
def test_gap_closed(method, source_only, upper_bound, expected):
    assert metrics.gap_closed(method, source_only, upper_bound) == pytest.approx(expected)


def test_gap_closed_is_missing_where_there_is_no_gap():
    assert np.isnan(metrics.gap_closed(0.5, 0.4, 0.4))
