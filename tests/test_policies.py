"""Policies against slow transcriptions of Zou et al. 2018: Algorithms 1 and 2 and Eq. 8, in exact fractions."""

import math
from fractions import Fraction

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import VOID, histogram_of, read_pseudolabels, write_predictions

from cotrain.files.sidecars import sidecar
from cotrain.method.labelmaps import SCALE, confidence_of
from cotrain.method.thresholds import POLICIES

SEEDS = range(20)
PORTIONS = ["0.1", "0.2", "0.55", "1"]
HEIGHT, WIDTH = 7, 9


def volume(seed: int, images: int = 3, classes: int = 5) -> np.ndarray:
    """Probabilities (N, C, H, W) as stored, int; odd seeds have coarse ones with ties, every third an absent class."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes, HEIGHT, WIDTH)) * 0.7
    logits[:, 0] += 4 * (rng.random((images, HEIGHT, WIDTH)) < 0.3)  # the first class is at times predicted surely
    if seed % 3 == 0:
        logits[:, classes - 1] = -9
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    if seed % 2:
        p = np.floor(p * 8) / 8
    return np.rint(p * SCALE).astype(int)


def stored(p: np.ndarray, keep: int) -> tuple[np.ndarray, np.ndarray]:
    """The `keep` most probable classes of (C, H, W): labels and confidences (K, H, W); of equal ones the first."""
    labels, confidences = np.zeros((2, keep, *p.shape[1:]), int)
    for y, x in np.ndindex(p.shape[1:]):
        order = sorted(range(len(p)), key=lambda c: (-p[c, y, x], c))[:keep]
        labels[:, y, x], confidences[:, y, x] = order, p[order, y, x]
    return labels.astype(np.uint8), confidences.astype(np.uint16)


def histogram(p: np.ndarray) -> np.ndarray:
    tops = [stored(image, 1) for image in p]
    return histogram_of(np.stack([t[0] for t in tops]), np.stack([t[1] for t in tops]), p.shape[1])


def ranked_at(confidences: list[int], portion: str) -> Fraction:
    """The confidence ranked at p·n in descending order (if not whole, the next), at least the first."""
    ordered = sorted(confidences, reverse=True)
    rank = max(1, math.ceil(Fraction(portion) * len(ordered)))
    return Fraction(ordered[rank - 1], SCALE)


def algorithm_1(p: np.ndarray, portion: str) -> Fraction:
    """exp(−k)."""
    m = []
    for p_t in p:  # for t = 1 to T
        mp_t = p_t.max(axis=0)
        m = [*m, *mp_t.ravel().tolist()]
    return ranked_at(m, portion)


def algorithm_2(p: np.ndarray, portion: str) -> list[Fraction]:
    """exp(−k_c) of each class; 1 where no pixel is predicted as c, and at least one step of the storage."""
    m = [[] for _ in range(p.shape[1])]
    for p_t in p:
        lp_t, mp_t = p_t.argmax(axis=0), p_t.max(axis=0)
        for c in range(p.shape[1]):
            m[c] += mp_t[lp_t == c].tolist()
    return [max(ranked_at(m_c, portion), Fraction(1, SCALE)) if m_c else Fraction(1) for m_c in m]


def equation_8(p_n: list[int], exp_k: list[Fraction]) -> int:
    """Label of one pixel over all classes; equal ratios go to the more probable class, then to the first."""
    ratios = [Fraction(value, SCALE) / e for value, e in zip(p_n, exp_k, strict=True)]
    best = max(range(len(p_n)), key=lambda c: (ratios[c], p_n[c], -c))
    return best if ratios[best] >= 1 else VOID


def labelled(policy: str, p: np.ndarray, portion: str, keep: int, lower: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (C,), and labels (N, H, W) of a policy."""
    thresholds = POLICIES[policy].thresholds(histogram(p), float(portion), lower, 0.9)
    return thresholds, np.stack([POLICIES[policy].assign(*stored(image, keep), thresholds)[0] for image in p])


# ---- ST ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("portion", PORTIONS)
def test_st_is_algorithm_1_and_keeps_what_reaches_it(seed, portion):
    p = volume(seed)
    expected = algorithm_1(p, portion)
    thresholds, label = labelled("st", p, portion, keep=1)
    assert thresholds.tolist() == [float(expected)] * 5
    for t, y, x in np.ndindex(label.shape):
        top = p[t, :, y, x].max()
        assert label[t, y, x] == (p[t, :, y, x].argmax() if Fraction(int(top), SCALE) >= expected else VOID)


def test_st_keeps_its_portion_of_all_pixels_and_of_a_weak_class_nothing():
    p = np.zeros((1, 2, 10, 10), int)
    p[0, 0] = 40000 + np.arange(100).reshape(10, 10)
    p[0, :, 9] = [[0], [30000]]  # the weak class: the last row
    _, label = labelled("st", p, "0.2", keep=1)
    assert (label == 0).sum() == 20 and (label == 1).sum() == 0
    _, label = labelled("cbst", p, "0.2", keep=2)
    assert (label == 0).sum() == 18 and (label == 1).sum() == 10  # equal confidences are all at the threshold


# ---- CBST -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("portion", PORTIONS)
def test_cbst_is_algorithm_2_and_equation_8(seed, portion):
    p = volume(seed)
    exp_k = algorithm_2(p, portion)
    thresholds, label = labelled("cbst", p, portion, keep=5)
    assert thresholds.tolist() == [float(e) for e in exp_k]
    for t, y, x in np.ndindex(label.shape):
        assert label[t, y, x] == equation_8(p[t, :, y, x].tolist(), exp_k)


def test_the_random_volumes_have_classes_that_win_only_after_normalisation_ties_and_absent_classes():
    won = tied = absent = 0
    for seed in SEEDS:
        p = volume(seed)
        thresholds, label = labelled("cbst", p, "0.8", keep=5)
        top = np.sort(p, axis=1)
        won += ((label != VOID) & (label != p.argmax(axis=1))).sum()
        tied += (top[:, -1] == top[:, -2]).sum()
        absent += (thresholds == 1).sum()
    assert won > 30 and tied > 50 and absent > 5


def test_with_portion_one_every_pixel_gets_a_label():
    for seed in SEEDS:
        p = volume(seed)
        assert (labelled("cbst", p, "1", keep=5)[1][p.max(axis=1) > 0] != VOID).all()


def test_class_never_predicted_has_threshold_one_and_is_never_assigned():
    p = np.zeros((1, 3, 1, 2), int)
    p[0, :, 0] = [[40000, 30000], [25535, 35535], [0, 0]]
    thresholds, label = labelled("cbst", p, "0.5", keep=3)
    assert thresholds.tolist() == [40000 / SCALE, 35535 / SCALE, 1] and label.tolist() == [[[0, 1]]]


def test_image_of_one_class_keeps_the_portion_of_it():
    p = np.zeros((1, 2, 1, 10), int)
    p[0, 0, 0] = 60000 + np.arange(10)
    thresholds, label = labelled("cbst", p, "0.3", keep=2)
    assert thresholds.tolist() == [60007 / SCALE, 1] and label[0, 0].tolist() == [VOID] * 7 + [0] * 3


def test_equal_ratios_go_to_the_more_probable_class():
    labels, confidences = np.array([[[1]], [[0]]], np.uint8), np.array([[[40000]], [[20000]]], np.uint16)
    for thresholds, expected in (([0.25, 0.5], 1), ([0.2499, 0.5], 0)):
        units = np.rint(np.array(thresholds) * 40000) / SCALE
        label, confidence = POLICIES["cbst"].assign(labels, confidences, units)
        assert label == expected and confidence == (40000 if expected else 20000)


def test_what_is_stored_as_zero_is_never_assigned():
    """A prior can make every probability of a predicted class vanish."""
    p = np.zeros((1, 2, 2, 2), int)
    thresholds, label = labelled("cbst", p, "1", keep=2)
    assert thresholds.tolist() == [1 / SCALE, 1] and (label == VOID).all()


def test_pixel_under_the_ego_mask_stays_void():
    labels, confidences = np.full((2, 1, 1), VOID, np.uint8), np.zeros((2, 1, 1), np.uint16)
    assert POLICIES["cbst"].assign(labels, confidences, np.full(3, 1 / SCALE))[0] == VOID
    assert POLICIES["cbst"].undecided(labels, confidences, np.full(3, 1 / SCALE), 1) == 0


# ---- undecided --------------------------------------------------------------------------------------------------


def could_win(p_n: list[int], exp_k: list[Fraction], keep: int) -> bool:
    """Whether some class beyond the `keep` stored could win with what is stored, over all classes one by one."""
    order = sorted(range(len(p_n)), key=lambda c: (-p_n[c], c))
    kept, others = order[:keep], order[keep:]
    best = max(Fraction(p_n[c], SCALE) / exp_k[c] for c in kept)
    left = SCALE - sum(p_n[c] for c in kept) + (keep + 1) // 2 + 1  # each value was rounded by up to a half
    bound = Fraction(min(p_n[kept[-1]], left), SCALE)
    return any(bound / exp_k[c] >= 1 and bound / exp_k[c] > best for c in others)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("keep", [1, 2, 3, 4, 5])
def test_undecided_pixels_equal_a_loop_over_all_classes(seed, keep):
    p, policy = volume(seed, images=1), POLICIES["cbst"]
    exp_k = algorithm_2(p, "1")
    thresholds = np.array([float(e) for e in exp_k])
    labels, confidences = stored(p[0], keep)
    expected = [could_win(p[0, :, y, x].tolist(), exp_k, keep) for y, x in np.ndindex(HEIGHT, WIDTH)]
    assert policy.undecided(labels, confidences, thresholds, 1) == sum(expected)
    label = policy.assign(labels, confidences, thresholds)[0].ravel()
    for i, pixel in enumerate(p[0].reshape(5, -1).T.tolist()):  # whatever is decided is right
        assert expected[i] or label[i] == equation_8(pixel, exp_k)
    assert keep < 5 or sum(expected) == 0


def test_one_stored_class_leaves_pixels_undecided_and_a_larger_sum_more_of_them():
    p, policy = volume(2, images=1), POLICIES["cbst"]
    thresholds = POLICIES["cbst"].thresholds(histogram(p), 1, 0, 1)
    counts = [policy.undecided(*stored(p[0], 2), thresholds, total) for total in (1, 2)]
    assert 0 < counts[0] <= counts[1] <= policy.undecided(*stored(p[0], 1), thresholds, 1)


# ---- the others -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_has_one_signature_and_its_confidence_is_that_of_the_assigned_class(policy):
    p = volume(4)
    thresholds = POLICIES[policy].thresholds(histogram(p), 0.4, 0.5, 0.9)
    assert thresholds.shape == (5,) and thresholds.dtype == np.float64 and ((thresholds >= 0) & (thresholds <= 1)).all()
    for image in p:
        labels, confidences = stored(image, 3)
        label, confidence = POLICIES[policy].assign(labels, confidences, thresholds)
        assert label.dtype == np.uint8 and confidence.dtype == np.uint16 and (label != VOID).any()
        assert POLICIES[policy].undecided(labels, confidences, thresholds, 1) >= 0
        found = confidence_of(label, labels, confidences)
        for y, x in np.ndindex(HEIGHT, WIDTH):
            c = label[y, x]
            assert found[y, x] == (0 if c == VOID else image[c, y, x])
            assert c == VOID or confidence[y, x] == found[y, x]


def test_mpt_alone_reads_both_bounds_and_fixed_is_the_lower_one():
    p = volume(4)
    for policy, reads in (("mpt", True), ("st", False), ("cbst", False)):
        different = [POLICIES[policy].thresholds(histogram(p), 0.4, *bounds) for bounds in ((0, 0.3), (0.6, 0.9))]
        assert (different[0] != different[1]).any() == reads
    thresholds, label = labelled("fixed", p, "0.2", keep=1, lower=0.7)
    assert thresholds.tolist() == [0.7] * 5
    assert np.array_equal(label != VOID, p.max(axis=1) / SCALE >= 0.7)


# ---- the stages -------------------------------------------------------------------------------------------------


def predictions(path, p: np.ndarray, keep: int):
    """A predictions file with `keep` classes of each pixel, of the images 0, 1, …"""
    labels, confidences = (np.stack(maps) for maps in zip(*(stored(image, keep) for image in p), strict=True))
    ids = [str(i) for i in range(len(p))]
    write_predictions(path, ids, labels[:, 0], confidences[:, 0], classes=tuple("abcde"))
    with h5py.File(path, "a") as file:
        del file["label"], file["confidence"]
        file["label"], file["confidence"] = labels, confidences
    sidecar(path).unlink()
    return path


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_threshold_stage_follows_the_policy_and_reports_undecided_pixels(cotrain, tmp_path, keep):
    p = volume(2)
    paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
    file = predictions(tmp_path / "predictions.h5", p, keep)
    result = cotrain("threshold", {"portion": 1, "policy": "cbst"}, predictions=file, **paths)
    thresholds, label = labelled("cbst", p, "1", keep)
    found = read_pseudolabels(paths["out"])
    assert np.array_equal(found["label"], label)
    assert pd.read_csv(paths["table"])["threshold"].tolist() == thresholds.tolist()
    undecided = [POLICIES["cbst"].undecided(*stored(image, keep), thresholds, 1) for image in p]
    assert found["undecided"].tolist() == undecided
    assert (sum(undecided) > 0) == (keep < 5) == ("raise keep_classes" in result.err)
    if sum(undecided):
        assert f"K = {keep} stored could have won in {sum(undecided)} pixels" in result.err


def test_combine_takes_the_confidence_of_the_class_that_was_assigned(cotrain, tmp_path):
    volumes = [volume(seed) for seed in (2, 4)]
    files = {"pseudolabels": [], "predictions": []}
    for m, p in enumerate(volumes):
        file, label = predictions(tmp_path / f"{m}.h5", p, 5), tmp_path / f"{m}_labels.h5"
        settings = {"portion": 1, "policy": "cbst"}
        cotrain("threshold", settings, predictions=file, out=label, table=tmp_path / f"{m}.csv")
        files["pseudolabels"].append(label)
        files["predictions"].append(file)
    out = [tmp_path / "a.h5", tmp_path / "b.h5"]
    assert cotrain("combine", **files, out=out).code == 0
    mine, other = (read_pseudolabels(path)["label"] for path in files["pseudolabels"])
    assert (mine != volumes[0].argmax(axis=1))[mine != VOID].any()
    for path, (label, p), (other_label, q) in (
        (out[0], (mine, volumes[0]), (other, volumes[1])),
        (out[1], (other, volumes[1]), (mine, volumes[0])),
    ):
        for i, image in enumerate(read_pseudolabels(path)["confidence"]):
            values = []
            for y, x in np.ndindex(HEIGHT, WIDTH):
                if (c := label[i, y, x]) != VOID:
                    values.append(p[i, c, y, x] / SCALE)
                elif (c := other_label[i, y, x]) != VOID:
                    values.append(q[i, c, y, x] / SCALE)
            assert image == pytest.approx(sum(values) / len(values), rel=1e-6)


def test_predictions_may_sum_to_more_than_one(cotrain, tmp_path):
    """The largest of two models' softmaxes can; then what the stored classes leave is more."""
    file = predictions(tmp_path / "predictions.h5", volume(2), 2)
    counts = []
    for total in (1, 2):
        with h5py.File(file, "a") as content:
            content.attrs["total"] = total
        paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
        cotrain("threshold", {"portion": 1, "policy": "cbst"}, predictions=file, **paths)
        counts.append(read_pseudolabels(paths["out"])["undecided"].sum())
    assert counts[0] < counts[1]
