"""Combination and exchange against loops: the paper's Algorithm 2, and its extension to more than two models.

The transcriptions for N models follow the definition, not the code:

- Combination for model i: at a pixel void in i, the label that most other models have there (ties: the higher
  confidence, then the lower model number), with the highest confidence among those.
- Exchange to model i: visit pairs (sender j ≠ i, class c) by C_T^j[c] − C_T^i[c] descending (ties: lower j, lower c);
  for each pair Algorithm 2's rule on j's images; an image id is taken once, from the first pair that takes it; stop
  at n.
"""

from fractions import Fraction

import numpy as np
import pytest
from conftest import VOID, random_maps

from cotrain.method import combination, kernels
from cotrain.method.exchange import Candidates
from cotrain.method.exchange import exchange as exchanged

SEEDS = range(30)


# ---- combination ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_combination_equals_a_loop_over_pixels(seed):
    (label, other), (confidence, other_confidence) = random_maps(seed, 2, 7, 6, classes=3)
    expected, expected_confidence = label.copy(), confidence.copy()
    for place in np.ndindex(label.shape):
        if label[place] == VOID and other[place] != VOID:
            expected[place], expected_confidence[place] = other[place], other_confidence[place]
    found, found_confidence = combination.combine([label, other], [confidence, other_confidence], 0)
    assert found.dtype == np.uint8 and np.array_equal(found, expected)
    assert found_confidence.dtype == np.uint16 and np.array_equal(found_confidence, expected_confidence)


def test_combination_takes_maps_of_several_blocks_in_any_memory_order(monkeypatch):
    monkeypatch.setattr(kernels, "BLOCK", 5)
    (label, other), (confidence, other_confidence) = random_maps(0, 2, 7, 6, classes=3)
    expected = combination.combine([label, other], [confidence, other_confidence], 0)
    adopt = (label == VOID) & (other != VOID)
    assert np.array_equal(expected[0], np.where(adopt, other, label))
    turned = combination.combine([label.T, other.T], [confidence.T, other_confidence.T], 0)
    assert all(np.array_equal(one.T, two) for one, two in zip(turned, expected, strict=True))


def test_disagreement_of_two_labels_stays_in_both():
    mine, his = np.array([[0]], np.uint8), np.array([[1]], np.uint8)
    low, high = np.array([[1]], np.uint16), np.array([[65535]], np.uint16)
    assert combination.combine([mine, his], [low, high], 0) == (mine, low)
    assert combination.combine([mine, his], [low, high], 1) == (his, high)


def majority(labels, confidences, model: int) -> tuple[np.ndarray, np.ndarray]:
    """Combination for one of N models, pixel by pixel."""
    combined, confidence = labels[model].copy(), confidences[model].copy()
    for place in np.ndindex(combined.shape):
        if labels[model][place] != VOID:
            continue
        models_of = {}  # label → the other models that have it
        for j in range(len(labels)):
            if j != model and labels[j][place] != VOID:
                models_of.setdefault(labels[j][place], []).append(j)
        best = None
        for label, models in models_of.items():
            highest = max(confidences[j][place] for j in models)
            lowest_model = min(j for j in models if confidences[j][place] == highest)
            rank = (len(models), highest, -lowest_model)
            if best is None or rank > best:
                best = rank
                combined[place], confidence[place] = label, highest
    return combined, confidence


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("models", [2, 3, 4, 6])
def test_combination_of_several_models_equals_a_loop_over_pixels(seed, models):
    labels, confidences = random_maps(seed, models, 9, 8, classes=3)
    for model in range(models):
        before = labels.copy(), confidences.copy()
        found, found_confidence = combination.combine(list(labels), list(confidences), model)
        expected, expected_confidence = majority(labels, confidences, model)
        assert found.dtype == np.uint8 and np.array_equal(found, expected)
        assert found_confidence.dtype == np.uint16 and np.array_equal(found_confidence, expected_confidence)
        assert np.array_equal(labels, before[0]) and np.array_equal(confidences, before[1])


@pytest.mark.parametrize("seed", SEEDS)
def test_majority_of_one_other_model_is_the_combination_of_two(seed):
    (label, other), (confidence, other_confidence) = random_maps(seed, 2, 7, 6, classes=3)
    void = label == VOID
    found = combination.adopt_majority(confidence[void], [other[void]], [other_confidence[void]])
    expected = combination.combine([label, other], [confidence, other_confidence], 0)
    assert np.array_equal(found[0], expected[0][void]) and np.array_equal(found[1], expected[1][void])


def one_pixel(*models: tuple[int, int]) -> tuple[int, int]:
    """Label and confidence of a void pixel after combination with other models' (label, confidence)."""
    values = [(VOID, 7), *models]
    labels = [np.array([[label]], np.uint8) for label, _ in values]
    confidences = [np.array([[confidence]], np.uint16) for _, confidence in values]
    label, confidence = combination.combine(labels, confidences, 0)
    return label.item(), confidence.item()


def test_label_of_most_models_counts_however_confident_another_is():
    assert one_pixel((1, 100), (2, 65535), (1, 50)) == (1, 100)
    assert one_pixel((1, 50), (2, 65535), (1, 100)) == (1, 100)
    assert one_pixel((1, 0), (2, 65535), (1, 0)) == (1, 0)


def test_of_labels_of_equally_many_models_the_most_confident_counts_then_the_one_of_the_lower_model():
    assert one_pixel((1, 100), (2, 101)) == (2, 101)
    assert one_pixel((2, 100), (1, 100)) == (2, 100)
    assert one_pixel((1, 100), (2, 40), (2, 50), (1, 20)) == (1, 100)


def test_void_of_other_models_is_no_vote():
    assert one_pixel((VOID, 65535), (VOID, 65535), (3, 0)) == (3, 0)
    assert one_pixel((VOID, 65535), (VOID, 65535)) == (VOID, 7)


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
    options = {"count": n, "lambda_": lambda_, "rank_by": rank_by, "min_class_fraction": min_class_fraction}
    models = [Candidates(*arrays, np.array(thresholds)) for thresholds in (sender, receiver)]
    received = exchanged(ids, models, 1, **options)
    assert {image.sender for image in received} <= {0}
    return [(ids[image.position], image.reason) for image in received]


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


# ---- exchange of several models ----------------------------------------------------------------------------------


def exchange_of_several(models, thresholds, receiver, n, lambda_, rank_by, min_class_fraction) -> list:
    """Exchange to one of N models in lists and exact numbers: (id, class, sender) of the images, in order.

    models: for each a list of images as for `algorithm_2`.
    """
    lambda_ = Fraction(str(lambda_))
    pairs = [(j, c) for j in range(len(models)) if j != receiver for c in range(len(thresholds[0]))]
    gain = {(j, c): Fraction(thresholds[j][c]) - Fraction(thresholds[receiver][c]) for j, c in pairs}
    taken = []
    while pairs:
        largest = max(gain[pair] for pair in pairs)
        j, c = min(pair for pair in pairs if gain[pair] == largest)
        pairs.remove((j, c))
        s = []
        for image_id, confidence, classes in models[j]:
            if c in classes and classes[c][1] >= min_class_fraction:
                s.append((Fraction(confidence if rank_by == "image" else classes[c][0]), image_id))
        if not s:
            continue
        t = lambda_ * max(s)[0] + (1 - lambda_) * min(s)[0]
        for confidence, image_id in sorted(s, key=lambda pair: (-pair[0], pair[1])):
            if confidence >= t and image_id not in [i for i, _, _ in taken] and len(taken) < n:
                taken.append((image_id, c, j))
    return taken


def exchange_to(models, thresholds, receiver, n, lambda_=0.8, rank_by="image", min_class_fraction=0.0) -> list:
    ids = [image_id for image_id, _, _ in models[0]]
    candidates = []
    for images, of_model in zip(models, thresholds, strict=True):
        candidates.append(Candidates(*as_arrays(images, len(of_model))[1:], np.array(of_model)))
    options = {"count": n, "lambda_": lambda_, "rank_by": rank_by, "min_class_fraction": min_class_fraction}
    received = exchanged(ids, candidates, receiver, **options)
    return [(ids[image.position], image.reason, image.sender) for image in received]


def random_models(rng, models: int, count: int, classes: int) -> list:
    """The images of `random_images` as several models see them."""
    first = random_images(rng, count, classes)
    others = []
    for _ in range(models - 1):
        seen = {i: (confidence, of_class) for i, confidence, of_class in random_images(rng, count, classes)}
        others.append([(i, *seen[i]) for i, _, _ in first])
    return [first, *others]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("models", [2, 3, 4])
@pytest.mark.parametrize("lambda_", [0, 0.25, 0.75, 1])  # exact in floating point
def test_exchange_of_several_models_equals_the_definition(seed, models, lambda_):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 7))
    images = random_models(rng, models, int(rng.integers(1, 15)), classes)
    thresholds = (rng.integers(8, 13, (models, classes)) / 16).tolist()  # ties between and within senders
    for receiver in range(models):
        for n in (1, 3, 100):
            for rank_by in ("image", "class"):
                for fraction in (0, 0.0625):
                    arguments = (images, thresholds, receiver, n, lambda_, rank_by, fraction)
                    assert exchange_to(*arguments) == exchange_of_several(*arguments)


@pytest.mark.parametrize("seed", SEEDS)
def test_definition_for_two_models_is_algorithm_2(seed):
    rng = np.random.default_rng(seed)
    images = random_models(rng, 2, 9, 4)
    thresholds = (rng.integers(8, 13, (2, 4)) / 16).tolist()
    for sender, receiver in ((0, 1), (1, 0)):
        expected = algorithm_2(images[sender], thresholds[sender], thresholds[receiver], 3, 0.75, "image", 0)
        found = exchange_of_several(images, thresholds, receiver, 3, 0.75, "image", 0)
        assert found == [(image_id, c, sender) for image_id, c in expected]


def test_the_random_models_send_from_several_models_and_of_one_image_only_one_version():
    several = again = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        images = random_models(rng, 3, 12, 4)
        thresholds = (rng.integers(8, 13, (3, 4)) / 16).tolist()
        received = exchange_to(images, thresholds, 0, 100, 0.25)
        ids = [image_id for image_id, _, _ in received]
        assert len(set(ids)) == len(ids)
        several += len({sender for _, _, sender in received}) > 1
        alone = [exchange_to([images[0], images[j]], [thresholds[0], thresholds[j]], 0, 100, 0.25) for j in (1, 2)]
        again += len(alone[0]) + len(alone[1]) > len(received)
    assert several > 20 and again > 20


def test_sender_that_is_most_ahead_comes_first_then_the_lower_one_then_the_lower_class():
    def images(confidence):
        return [("a", confidence, {0: (confidence, 1), 1: (confidence, 1)})]

    models = [images(0.9), images(0.8), images(0.7), images(0.6)]
    level = [0.5, 0.5]
    assert exchange_to(models, [level, [0.6, 0.5], [0.5, 0.7], level], 0, 9) == [("a", 1, 2)]
    assert exchange_to(models, [level, [0.5, 0.6], [0.6, 0.5], level], 0, 9) == [("a", 1, 1)]
    assert exchange_to(models, [level, [0.6, 0.6], [0.5, 0.6], level], 0, 9) == [("a", 0, 1)]
    assert exchange_to(models, [level] * 4, 2, 9) == [("a", 0, 0)]


def test_model_never_receives_its_own_images():
    models = [[("a", 0.9, {0: (0.9, 1)})], [("a", 0.0, {})], [("a", 0.0, {})]]
    thresholds = [[0.9], [0.5], [0.5]]
    assert exchange_to(models, thresholds, 0, 9) == []
    assert exchange_to(models, thresholds, 1, 9) == exchange_to(models, thresholds, 2, 9) == [("a", 0, 0)]
