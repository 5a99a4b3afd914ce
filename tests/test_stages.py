"""The stage commands by hand, on small files: what they write, the contract of the files, and what they refuse.

Expected contents are computed here with loops, sorting and dicts. Commands that need a network are tested elsewhere.
"""

import json
import math
import re
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from conftest import (
    CLASSES,
    MADE_BY,
    VOID,
    random_maps,
    read_pseudolabels,
    save,
    statistics_of,
    write_index,
    write_predictions,
    write_pseudolabels,
    write_selected,
    write_thresholds,
)
from skimage.color import rgb2lab

from cotrain.files import hashes, origins, tables
from cotrain.files.scores import write_json

IDS = ["city/d", "city/b", "town/b", "a", "empty", "z"]
SIZE = (6, 9)
SHAPE = (len(IDS), *SIZE)
EXCHANGE = {"count": 3, "lambda": 0.8}
LABELS = {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2, "255": 255}}


def maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and confidences of the images IDS; the one named empty is all void."""
    label, confidence = random_maps(2 * seed, *SHAPE, classes=3)
    label[IDS.index("empty")] = VOID
    return label, confidence


def check_hdf5(path, kind: str, stage: str, inputs: dict, settings: dict) -> None:
    """The attributes that the contract asks of every HDF5 file."""
    with h5py.File(path) as file:
        assert file.attrs["format"].decode() == f"cotrain-{kind}" and file.attrs["version"] == 1
        assert tuple(json.loads(file.attrs["classes"])) == CLASSES
        check_provenance(json.loads(file.attrs["provenance"]), stage, inputs, settings)


def check_provenance(made_by: dict, stage: str, inputs: dict, settings: dict) -> None:
    assert made_by["stage"] == stage and made_by["code"]
    assert settings.items() <= made_by["settings"].items()
    expected = {
        role: [{"path": str(path), "sha256": hashes.sha256(path)} for path in paths] for role, paths in inputs.items()
    }
    assert made_by["inputs"] == expected


def check_pseudolabels(path, ids, rounds, label, confidence) -> None:
    """Contents, types and shapes of a pseudo-label file; `confidence` is that of each pixel."""
    found = read_pseudolabels(path)
    assert found["image_id"].tolist() == list(ids) and found["round"].tolist() == list(rounds)
    assert found["label"].dtype == np.uint8 and np.array_equal(found["label"], label)
    expected = [statistics_of(x, c, len(CLASSES)) for x, c in zip(label, confidence, strict=True)]
    for name, type_ in (("confidence", np.float32), ("class_confidence", np.float32), ("class_pixels", np.int64)):
        assert found[name].dtype == type_
        np.testing.assert_allclose(found[name], [getattr(s, name) for s in expected], rtol=1e-6)


# ---- draw -------------------------------------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path):
    image, label = np.zeros((*SIZE, 3), np.uint8), np.zeros(SIZE, np.uint8)
    return write_index(tmp_path / "data" / "target.csv", dict.fromkeys(IDS, image), dict.fromkeys(IDS, label))


def drawn(path) -> list[str]:
    return tables.read_table(path, "index")["image_id"].tolist()


def test_draw_takes_rows_of_the_index_without_replacement(cotrain, index, tmp_path):
    result = cotrain("draw", {"count": 4, "seed": 7}, index=index, out=tmp_path / "out" / "candidates.csv")
    assert result.code == 0
    table = tables.read_table(tmp_path / "out" / "candidates.csv", "index")
    assert len(set(table["image_id"])) == 4
    whole = tables.read_table(index, "index").set_index("image_id")
    pd.testing.assert_frame_equal(table.set_index("image_id"), whole.loc[table["image_id"]])
    made_by = origins.read_provenance(tmp_path / "out" / "candidates.csv")
    check_provenance(made_by, "draw", {"index": [index]}, {"count": 4, "seed": 7})


def test_draw_is_the_same_for_the_same_seed_and_every_image_gets_its_turn(cotrain, index, tmp_path):
    for seed in (1, 1, *range(2, 12)):
        cotrain("draw", {"count": 3, "seed": seed}, index=index, out=tmp_path / f"{seed}.csv")
        cotrain("draw", {"count": 3, "seed": seed}, index=index, out=tmp_path / "again.csv")
        assert (tmp_path / f"{seed}.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    sets = [tuple(drawn(tmp_path / f"{seed}.csv")) for seed in range(1, 12)]
    assert len(set(sets)) > 5 and {i for ids in sets for i in ids} == set(IDS)


def test_draw_of_all_images_is_the_index(cotrain, index, tmp_path):
    cotrain("draw", {"count": len(IDS)}, index=index, out=tmp_path / "all.csv")
    assert drawn(tmp_path / "all.csv") == IDS


def test_draw_without_a_count_is_the_index(cotrain, index, tmp_path):
    cotrain("draw", {"count": None}, index=index, out=tmp_path / "all.csv")
    assert drawn(tmp_path / "all.csv") == IDS


def test_draw_of_more_images_than_there_are_is_refused(refused, index, tmp_path):
    message = refused("draw", {"count": 7}, index=index, out=tmp_path / "candidates.csv")
    assert message == f"error: {index}: 7 candidates are wanted (N) of 6 images; lower `candidates`\n"


# ---- threshold --------------------------------------------------------------------------------------------------


def test_threshold_equals_sorting_and_a_loop_over_pixels(cotrain, tmp_path):
    label, confidence = maps(1)
    label[label == 2] = 1  # sky is never predicted
    label[0, 0, 0], confidence[0, 0, 0] = 2, 40000  # but in one pixel
    predictions = write_predictions(tmp_path / "predictions.h5", IDS, label, confidence)
    settings = {"portion": 0.55, "confidence_min": 0.3, "confidence_max": 0.6, "round": "selftrain/01"}
    paths = {"out": tmp_path / "r" / "pseudolabels.h5", "table": tmp_path / "r" / "thresholds.csv"}
    assert cotrain("threshold", settings, predictions=predictions, **paths).code == 0

    thresholds, pixels = [], []
    for c in range(3):
        v = sorted(confidence[label == c].tolist(), reverse=True)
        thresholds.append(min(max(v[math.ceil(len(v) * 55 / 100) - 1] / 65535, 0.3), 0.6))
        pixels.append(len(v))
    assert pixels[2] == 1
    kept = np.full(SHAPE, VOID, np.uint8)
    for place in np.ndindex(SHAPE):
        if label[place] != VOID and confidence[place] / 65535 >= thresholds[label[place]]:
            kept[place] = label[place]
    check_pseudolabels(paths["out"], IDS, ["selftrain/01"] * 6, kept, confidence)
    check_hdf5(paths["out"], "pseudolabels", "threshold", {"predictions": [predictions]}, settings)
    table = pd.read_csv(paths["table"])
    assert list(table) == ["class", "name", "pixels", "portion", "threshold"]
    assert table["class"].tolist() == [0, 1, 2] and table["name"].tolist() == list(CLASSES)
    assert table["pixels"].tolist() == pixels and (table["portion"] == 0.55).all()
    assert table["threshold"].tolist() == thresholds
    check_provenance(origins.read_provenance(paths["table"]), "threshold", {"predictions": [predictions]}, settings)


def test_threshold_of_a_class_never_predicted_is_the_lower_bound_with_no_pixels(cotrain, tmp_path):
    label = np.zeros(SHAPE, np.uint8)
    predictions = write_predictions(tmp_path / "predictions.h5", IDS, label, np.full(SHAPE, 60000, np.uint16))
    paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
    cotrain("threshold", {"portion": 0.5, "confidence_min": 0.4}, predictions=predictions, **paths)
    table = pd.read_csv(paths["table"])
    assert table["pixels"].tolist() == [label.size, 0, 0] and table["threshold"].tolist() == [0.9, 0.4, 0.4]


def test_threshold_writes_the_same_bytes_again(cotrain, tmp_path):
    predictions = write_predictions(tmp_path / "predictions.h5", IDS, *maps(1))
    for name in "ab":
        paths = {"out": tmp_path / name / "pseudolabels.h5", "table": tmp_path / name / "thresholds.csv"}
        cotrain("threshold", {"portion": 0.5}, predictions=predictions, **paths)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_threshold_refuses_what_is_no_predictions_file(refused, tmp_path):
    labels = write_pseudolabels(tmp_path / "labels.h5", IDS, *maps(1))
    paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
    message = refused("threshold", {"portion": 0.5}, predictions=labels, **paths)
    assert "labels.h5: its format is cotrain-pseudolabels, expected cotrain-predictions" in message
    labels.write_bytes(labels.read_bytes()[:-2000])
    assert "labels.h5: " in refused("threshold", {"portion": 0.5}, predictions=labels, **paths)
    message = refused("threshold", {"portion": 0.5}, predictions=tmp_path / "none.h5", **paths)
    assert "none.h5: no such file" in message


# ---- select -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 100, None])
def test_select_lists_the_most_confident_images_best_first(cotrain, tmp_path, count):
    label, confidence = maps(2)
    label[3], confidence[3] = label[0], confidence[0]  # as confident as the first, and before it by id
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, label, confidence)
    out = tmp_path / "selected.csv"
    assert cotrain("select", {"count": count}, pseudolabels=pseudolabels, out=out).code == 0
    scores = [np.float32(statistics_of(x, c, 3).confidence) for x, c in zip(label, confidence, strict=True)]
    expected = sorted((-score, i) for score, i in zip(scores, IDS, strict=True) if i != "empty")[:count]
    table = pd.read_csv(out)
    assert list(table) == ["image_id", "confidence", "reason"]
    assert table["image_id"].tolist() == [i for _, i in expected]
    np.testing.assert_allclose(table["confidence"], [-score for score, _ in expected], rtol=1e-6)
    check_provenance(origins.read_provenance(out), "select", {"pseudolabels": [pseudolabels]}, {"count": count})


# ---- combine ----------------------------------------------------------------------------------------------------


@pytest.fixture
def two_models(tmp_path):
    """Pseudo-labels and predictions of two models, in which half of the predictions are void."""
    files, contents = {"pseudolabels": [], "predictions": []}, []
    for m in (1, 2):
        label, confidence = maps(m)
        kept = np.where(confidence > 30000, label, np.uint8(VOID))
        folder = tmp_path / str(m)
        files["pseudolabels"].append(
            write_pseudolabels(folder / "pseudolabels.h5", IDS, kept, confidence, round=f"{m}")
        )
        files["predictions"].append(write_predictions(folder / "predictions.h5", IDS, label, confidence))
        contents.append((kept, confidence))
    return files, contents


def test_combine_fills_void_pixels_with_the_other_models_labels(cotrain, two_models, tmp_path):
    files, contents = two_models
    out = [tmp_path / "1" / "combined.h5", tmp_path / "2" / "combined.h5"]
    assert cotrain("combine", **files, out=out).code == 0
    for m, path in enumerate(out):
        (label, confidence), (other, other_confidence) = contents[m], contents[1 - m]
        expected, expected_confidence = label.copy(), confidence.copy()
        for place in np.ndindex(SHAPE):
            if label[place] == VOID and other[place] != VOID:
                expected[place], expected_confidence[place] = other[place], other_confidence[place]
        assert (expected != label).any()
        check_pseudolabels(path, IDS, [str(m + 1)] * 6, expected, expected_confidence)
        check_hdf5(path, "pseudolabels", "combine", files, {})


def test_combine_refuses_files_of_other_images_classes_or_size(refused, two_models, tmp_path):
    files, contents = two_models
    out = [tmp_path / "1" / "combined.h5", tmp_path / "2" / "combined.h5"]
    other = tmp_path / "other.h5"
    wrong = [
        (IDS[::-1], contents[1], CLASSES, "images or classes"),
        (IDS, contents[1], ("road", "car", "tree"), "images or classes"),
        (IDS, [m[:, :4] for m in contents[1]], CLASSES, "size"),
    ]
    for ids, arrays, classes, fault in wrong:
        write_pseudolabels(other, ids, *arrays, classes)
        labels = [files["pseudolabels"][0], other]
        message = refused("combine", pseudolabels=labels, predictions=files["predictions"], out=out)
        assert f"{other}: other {fault} than {labels[0]}" in message


@pytest.mark.parametrize("flag", ["pseudolabels", "predictions", "out"])
def test_combine_of_different_numbers_of_files_is_refused(refused, two_models, tmp_path, flag):
    files = two_models[0] | {"out": [tmp_path / "a.h5", tmp_path / "b.h5"]}
    third = tmp_path / "c.h5" if flag == "out" else files[flag][0]
    for wrong in (files[flag][:1], [*files[flag], third]):
        assert f"--{flag} {len(wrong)}" in refused("combine", **files | {flag: wrong})


# ---- exchange ---------------------------------------------------------------------------------------------------


@pytest.fixture
def exchanged(two_models, tmp_path):
    """Arguments of an exchange."""
    thresholds = [
        write_thresholds(tmp_path / "1" / "thresholds.csv", [0.9, 0.5, 0.6]),
        write_thresholds(tmp_path / "2" / "thresholds.csv", [0.5, 0.9, 0.8]),
    ]
    out = [tmp_path / "1" / "selected.csv", tmp_path / "2" / "selected.csv"]
    return {"pseudolabels": two_models[0]["pseudolabels"], "thresholds": thresholds, "out": out}


def exchange_by_hand(sender, order, n, lambda_, rank_by) -> list[tuple[str, str]]:
    """Algorithm 2 for classes in a given order: (image id, class name)."""
    label, confidence = sender
    statistics = {i: statistics_of(x, c, 3) for i, x, c in zip(IDS, label, confidence, strict=True)}
    new = []
    for c in order:
        s = {i: t.class_confidence[c] if rank_by == "class" else t.confidence for i, t in statistics.items()}
        s = {i: score for i, score in s.items() if statistics[i].class_pixels[c]}
        t = lambda_ * max(s.values()) + (1 - lambda_) * min(s.values())
        for i in sorted(s, key=lambda i: (-s[i], i)):
            if s[i] >= t and i not in [i for i, _ in new] and len(new) < n:
                new.append((i, CLASSES[c]))
    return new


@pytest.mark.parametrize("rank_by", ["image", "class"])
@pytest.mark.parametrize("settings", [{"count": 3, "lambda": 0.8}, {"count": 4, "lambda": 0.3}])
def test_exchange_gives_each_model_images_of_the_other(cotrain, two_models, exchanged, settings, rank_by):
    settings = settings | {"rank_by": rank_by}
    assert cotrain("exchange", settings, **exchanged).code == 0
    # model 2 is most ahead of model 1 in car (+0.4), sky (+0.2), then road (-0.4); the reverse for model 1
    for receiver, sender, order in ((0, 1, (1, 2, 0)), (1, 0, (0, 2, 1))):
        table = pd.read_csv(exchanged["out"][receiver])
        expected = exchange_by_hand(two_models[1][sender], order, settings["count"], settings["lambda"], rank_by)
        assert list(zip(table["image_id"], table["reason"], strict=True)) == expected
        scores = {i: statistics_of(x, c, 3).confidence for i, x, c in zip(IDS, *two_models[1][sender], strict=True)}
        np.testing.assert_allclose(table["confidence"], [scores[i] for i in table["image_id"]], rtol=1e-6)
        inputs = {name: exchanged[name] for name in ("pseudolabels", "thresholds")}
        check_provenance(origins.read_provenance(exchanged["out"][receiver]), "exchange", inputs, settings)


def test_exchange_says_when_fewer_images_qualify_than_are_wanted(cotrain, exchanged):
    result = cotrain("exchange", {"count": 100, "lambda": 0}, **exchanged)
    assert result.code == 0
    assert "model 2 sends to model 1: 5 of 100 images" in result.err
    assert all("empty" not in path.read_text() for path in exchanged["out"])


def test_exchange_of_nothing_gives_empty_tables(cotrain, exchanged, tmp_path):
    void = np.full(SHAPE, VOID, np.uint8)
    for path in exchanged["pseudolabels"]:
        write_pseudolabels(path, IDS, void, void.astype(np.uint16))
    assert cotrain("exchange", EXCHANGE, **exchanged).code == 0
    assert [len(tables.read_table(path, "selected")) for path in exchanged["out"]] == [0, 0]


@pytest.mark.parametrize("names", [("road", "car"), ("road", "car", "tree"), ("car", "road", "sky")])
def test_exchange_refuses_thresholds_of_other_classes(refused, exchanged, names):
    path = write_thresholds(exchanged["thresholds"][1], [0.5] * len(names), names)
    assert str(path) in refused("exchange", EXCHANGE, **exchanged)


def test_exchange_refuses_pseudolabels_of_other_images_or_classes(refused, exchanged):
    other = exchanged["pseudolabels"][1]
    for ids, classes in (([f"other/{i}" for i in IDS], CLASSES), (IDS, ("road", "car", "tree"))):
        write_pseudolabels(other, ids, *maps(2), classes)
        assert str(other) in refused("exchange", EXCHANGE, **exchanged)


@pytest.mark.parametrize("flag", ["pseudolabels", "thresholds", "out"])
def test_exchange_of_different_numbers_of_files_is_refused(refused, exchanged, tmp_path, flag):
    third = tmp_path / "c.csv" if flag == "out" else exchanged[flag][0]
    for wrong in (exchanged[flag][:1], [*exchanged[flag], third]):
        assert f"--{flag} {len(wrong)}" in refused("exchange", EXCHANGE, **exchanged | {flag: wrong})


# ---- fuse -------------------------------------------------------------------------------------------------------


def test_fuse_keeps_the_more_confident_labels_of_each_image(cotrain, tmp_path):
    old_ids = ["a", "z", "first/b"]  # "a" and "z" come again
    old = [array[:3] for array in random_maps(10, *SHAPE, classes=3)]
    new = maps(3)
    for position, value in ((0, 20000), (1, 65000)):  # "a" is now more confident than before, "z" less
        old[1][position] = value
    new[1][IDS.index("a")], new[1][IDS.index("z")] = 30000, 30000
    previous = write_pseudolabels(tmp_path / "previous.h5", old_ids, *old, round="selftrain/01")
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, *new, round="selftrain/02")
    selected = write_selected(tmp_path / "selected.csv", ["z", "town/b", "a", "city/b"])
    files = {"previous": previous, "pseudolabels": pseudolabels, "selected": selected}
    assert cotrain("fuse", **files, out=tmp_path / "labels.h5").code == 0

    expected = {i: ("selftrain/01", old[0][n], old[1][n]) for n, i in enumerate(old_ids)}
    for i in ("a", "city/b", "town/b"):
        expected[i] = ("selftrain/02", new[0][IDS.index(i)], new[1][IDS.index(i)])
    found = read_pseudolabels(tmp_path / "labels.h5")["image_id"].tolist()
    assert sorted(found) == sorted(expected)
    rounds, label, confidence = zip(*(expected[i] for i in found), strict=True)
    check_pseudolabels(tmp_path / "labels.h5", found, rounds, label, confidence)
    check_hdf5(tmp_path / "labels.h5", "pseudolabels", "fuse", {k: [v] for k, v in files.items()}, {})


@pytest.mark.parametrize("flag", [{}, {"previous": []}])
def test_fuse_without_earlier_labels_keeps_the_selected_images(cotrain, tmp_path, flag):
    """A flag without a path counts as none: the rule of the first cycle has no path to give."""
    label, confidence = maps(3)
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, label, confidence)
    selected = write_selected(tmp_path / "selected.csv", ["z", "city/d"])
    out = tmp_path / "labels.h5"
    assert cotrain("fuse", **flag, pseudolabels=pseudolabels, selected=selected, out=out).code == 0
    check_pseudolabels(out, ["city/d", "z"], ["selftrain/01"] * 2, label[[0, 5]], confidence[[0, 5]])


def test_fuse_of_no_selected_image_gives_the_earlier_labels_or_none(cotrain, tmp_path):
    """No image of a cycle may have a pseudo-label."""
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, *maps(3))
    files = {"pseudolabels": pseudolabels, "selected": write_selected(tmp_path / "selected.csv", [])}
    assert cotrain("fuse", **files, previous=pseudolabels, out=tmp_path / "same.h5").code == 0
    assert read_pseudolabels(tmp_path / "same.h5")["image_id"].tolist() == IDS
    assert cotrain("fuse", **files, out=tmp_path / "none.h5").code == 0
    assert read_pseudolabels(tmp_path / "none.h5")["label"].shape == (0, *SIZE)


def test_fuse_refuses_ids_that_are_not_there(refused, tmp_path):
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, *maps(3))
    selected = write_selected(tmp_path / "selected.csv", ["a", "nowhere"])
    message = refused("fuse", pseudolabels=pseudolabels, selected=selected, out=tmp_path / "labels.h5")
    assert message.startswith(f"error: {selected}: image nowhere is not in {pseudolabels}")


def test_fuse_refuses_earlier_labels_of_other_classes_or_size(refused, tmp_path):
    label, confidence = maps(3)
    pseudolabels = write_pseudolabels(tmp_path / "pseudolabels.h5", IDS, label, confidence)
    selected = write_selected(tmp_path / "selected.csv", ["a"])
    for size, classes in ((6, ("road", "car", "tree")), (4, CLASSES)):
        arrays = label[:, :size], confidence[:, :size]
        previous = write_pseudolabels(tmp_path / "previous.h5", IDS, *arrays, classes)
        files = {"previous": previous, "pseudolabels": pseudolabels, "selected": selected}
        assert f"{previous}: other size or classes" in refused("fuse", **files, out=tmp_path / "labels.h5")


# ---- measure ----------------------------------------------------------------------------------------------------


@pytest.fixture
def measured(tmp_path):
    """Pseudo-labels and the index of a target set in another order; label images are twice as large."""
    label, confidence = maps(4)
    rng = np.random.default_rng(0)
    truth = np.where(rng.random(SHAPE) < 0.4, rng.choice([0, 1, 2, VOID], SHAPE), label).astype(np.uint8)
    large = {i: truth[n].repeat(2, axis=0).repeat(2, axis=1) for n, i in reversed(list(enumerate(IDS)))}
    index = write_index(tmp_path / "target.csv", {i: np.zeros((12, 18, 3), np.uint8) for i in large}, large)
    return write_pseudolabels(tmp_path / "labels.h5", IDS, label, confidence), index, label, truth


def test_measure_counts_coverage_and_accuracy_pixel_by_pixel(cotrain, measured, tmp_path):
    labels, index, label, truth = measured
    out = tmp_path / "measure.json"
    assert cotrain("measure", {"labels": LABELS}, pseudolabels=labels, images=index, out=out).code == 0
    pairs = list(zip(label.ravel().tolist(), truth.ravel().tolist(), strict=True))
    known = [(p, t) for p, t in pairs if VOID not in (p, t)]
    labelled = [p for p, _ in pairs if p != VOID]
    found = json.loads(out.read_text())
    assert found["format"] == "cotrain-measure" and found["version"] == 1
    assert found["images"] == 6 and found["classes"] == list(CLASSES)
    assert found["coverage"] == pytest.approx(len(labelled) / len(pairs))
    assert found["accuracy"] == pytest.approx(sum(p == t for p, t in known) / len(known))
    for c in range(3):
        right = [p == t for p, t in known if p == c]
        assert found["precision"][c] == pytest.approx(sum(right) / len(right))
        assert found["class_share"][c] == pytest.approx(labelled.count(c) / len(labelled))
    inputs = {"pseudolabels": [labels], "images": [index]}
    check_provenance(found["provenance"], "measure", inputs, {})


def test_measure_without_truth_gives_coverage_alone(cotrain, measured, tmp_path):
    labels, _, label, _ = measured
    out = tmp_path / "measure.json"
    assert cotrain("measure", {"labels": {"classes": CLASSES}}, pseudolabels=labels, out=out).code == 0
    found = json.loads(out.read_text())
    assert found["coverage"] == pytest.approx((label != VOID).mean())
    assert found["accuracy"] is None and found["precision"] == [None] * 3


@pytest.mark.parametrize("classes", [CLASSES[:2], ("road", "car", "tree"), (*CLASSES, "tree")])
def test_measure_refuses_pseudolabels_of_other_classes(refused, measured, tmp_path, classes):
    settings = {"labels": {"classes": classes, "values": {"0": 0, "1": 1, "2": 255, "255": 255}}}
    labels, index, *_ = measured
    message = refused("measure", settings, pseudolabels=labels, images=index, out=tmp_path / "measure.json")
    assert str(labels) in message


def test_measure_refuses_an_index_without_those_images(refused, measured, tmp_path):
    image = np.zeros((*SIZE, 3), np.uint8)
    other = write_index(tmp_path / "other.csv", {"elsewhere": image}, {"elsewhere": image[..., 0]})
    settings = {"labels": LABELS}
    message = refused("measure", settings, pseudolabels=measured[0], images=other, out=tmp_path / "measure.json")
    assert f"{other}: image city/d is not in it" in message


# ---- summarize --------------------------------------------------------------------------------------------------

SCORES = {  # round: IoU per class
    "source_only": [0.30, 0.20, None],
    "selftrain/01": [0.50, 0.30, 0.10],
    "upper_bound": [0.90, 0.60, 0.30],
}
NAMES = {"source_only": "source only", "selftrain/01": "self-training 1", "upper_bound": "upper bound"}


@pytest.fixture
def scores(tmp_path):
    """Metrics of three rounds, and the measure of one, as the workflow lays them out."""
    paths = []
    for name, iou in SCORES.items():
        values = [value for value in iou if value is not None]
        content = {"classes": CLASSES, "images": 5, "miou": sum(values) / len(values), "iou": iou, "confusion": []}
        paths.append(tmp_path / "evaluation" / f"{name}.json")
        write_json(paths[-1], "metrics", content, MADE_BY)
    measure = tmp_path / "evaluation" / "pseudolabels" / "selftrain" / "01.json"
    write_json(measure, "measure", {"coverage": 0.625, "accuracy": 0.875}, MADE_BY)
    return {"metrics": paths, "measures": [measure], "out": tmp_path / "summary.csv", "text": tmp_path / "summary.txt"}


SUMMARY = {"rows": list(NAMES.items()), "source_only": "source_only", "upper_bound": "upper_bound"}


def test_summarize_joins_scores_gap_closed_and_pseudolabels(cotrain, scores):
    assert cotrain("summarize", SUMMARY, **scores).code == 0
    table = pd.read_csv(scores["out"])
    assert list(table) == ["round", "name", "miou", "gap_closed", "coverage", "accuracy", *CLASSES]
    assert table["round"].tolist() == list(NAMES) and table["name"].tolist() == list(NAMES.values())
    np.testing.assert_allclose(table["miou"], [0.25, 0.3, 0.6], atol=1e-6)
    np.testing.assert_allclose(table["gap_closed"], [0, 0.05 / 0.35, 1], atol=1e-6)
    np.testing.assert_allclose(table["coverage"], [np.nan, 0.625, np.nan])
    np.testing.assert_allclose(table["accuracy"], [np.nan, 0.875, np.nan])
    np.testing.assert_allclose(table["sky"], [np.nan, 0.1, 0.3])
    inputs = {"metrics_files": scores["metrics"], "measures": scores["measures"]}
    made_by = origins.read_provenance(scores["out"])
    assert sorted(made_by["inputs"].values(), key=len) == sorted(
        ([{"path": str(p), "sha256": hashes.sha256(p)} for p in paths] for paths in inputs.values()), key=len
    )
    (line,) = (line for line in scores["text"].read_text().splitlines() if "self-training 1" in line)
    assert [value in line for value in ("30.0", "14.3", "62.5", "87.5")] == [True] * 4


def test_summarize_without_bounds_leaves_the_gap_out(cotrain, scores):
    assert cotrain("summarize", {"rows": SUMMARY["rows"]}, **scores).code == 0
    assert pd.read_csv(scores["out"])["gap_closed"].isna().all()


def test_summarize_by_hand_finds_the_round_of_a_measure_in_this_folder(cotrain, scores, monkeypatch):
    monkeypatch.chdir(scores["measures"][0].parents[1])
    assert cotrain("summarize", SUMMARY, **scores | {"measures": ["selftrain/01.json"]}).code == 0
    assert pd.read_csv(scores["out"])["coverage"].tolist()[1] == 0.625


def test_summarize_refuses_another_number_of_files_and_other_kinds_of_file(refused, scores):
    message = refused("summarize", SUMMARY, **scores | {"metrics": scores["metrics"][:2]})
    assert message.startswith("error: --metrics: 2 files for 3 rows")
    message = refused("summarize", SUMMARY, **scores | {"metrics": [*scores["metrics"][:2], *scores["measures"]]})
    assert "01.json: not a cotrain-metrics file" in message


# ---- index, color, statistics -----------------------------------------------------------------------------------


def test_index_writes_the_table_of_a_folder(cotrain, tmp_path):
    for i in ("ulm/1", "aachen/1"):
        save(tmp_path / "images" / f"{i}.png", np.zeros((*SIZE, 3), np.uint8))
    settings = {"images": "images/{id}.png"}
    assert cotrain("index", settings, root=tmp_path, out=tmp_path / "index.csv").code == 0
    table = pd.read_csv(tmp_path / "index.csv", keep_default_na=False)
    assert list(table) == ["image_id", "image", "label", "height", "width"]
    assert table["image_id"].tolist() == ["aachen/1", "ulm/1"] and table["label"].tolist() == ["", ""]
    assert (table["height"] == 6).all() and (table["width"] == 9).all()
    made_by = origins.read_provenance(tmp_path / "index.csv")
    (root,) = made_by["inputs"].pop("root")
    assert root["path"] == str(tmp_path)
    check_provenance(made_by, "index", {}, settings)


def test_index_of_a_missing_folder_is_refused(refused, tmp_path):
    settings = {"images": "{id}.png"}
    message = refused("index", settings, root=tmp_path / "nowhere", out=tmp_path / "index.csv")
    assert "nowhere: no such folder" in message


def test_color_stores_the_statistics_of_each_source_image_and_of_its_target_image(cotrain, tmp_path):
    rng = np.random.default_rng(0)
    images = {i: rng.integers(0, 256, (16, 20, 3)).astype(np.uint8) for i in IDS}
    source = write_index(tmp_path / "source" / "index.csv", {i: images[i] for i in IDS[:4]})
    target = write_index(tmp_path / "target" / "index.csv", {i: images[i] for i in IDS[2:]})
    settings = {"source_size": [16, 20], "target_size": [16, 20], "seed": 3}
    out = tmp_path / "color.csv"
    assert cotrain("color", settings, source=source, target=target, out=out).code == 0
    table = pd.read_csv(out)
    assert table["image_id"].tolist() == IDS[:4] and set(table["target_id"]) <= set(IDS[2:])
    for row in table.to_dict("records"):
        for domain, i in (("source", row["image_id"]), ("target", row["target_id"])):
            lab = rgb2lab(images[i]).reshape(-1, 3)
            for moment, values in (("mean", lab.mean(axis=0)), ("std", lab.std(axis=0))):
                found = [row[f"{domain}_{moment}_{channel}"] for channel in "lab"]
                np.testing.assert_allclose(found, values, atol=0.5)
    check_provenance(origins.read_provenance(out), "color", {"source": [source], "target": [target]}, settings)
    before = out.read_bytes()
    cotrain("color", settings, source=source, target=target, out=out)
    assert out.read_bytes() == before
    others = set()
    for seed in range(12):
        cotrain("color", settings | {"seed": seed}, source=source, target=target, out=out)
        others.add(tuple(pd.read_csv(out)["target_id"]))
    assert len(others) > 6 and {i for ids in others for i in ids} == set(IDS[2:])


def test_statistics_count_the_pixels_of_each_class(cotrain, tmp_path):
    size = (16, 20)
    labels = dict(zip(IDS, random_maps(5, len(IDS), *size, classes=3)[0], strict=True))
    source = write_index(tmp_path / "source.csv", {i: np.zeros((*size, 3), np.uint8) for i in IDS}, labels)
    settings, out = {"labels": LABELS, "size": size}, tmp_path / "statistics.h5"
    assert cotrain("statistics", settings, source=source, out=out).code == 0
    with h5py.File(out) as file:
        assert file["image_id"].asstr()[:].tolist() == IDS and file["class_pixels"].dtype == np.int64
        for i, counts in zip(IDS, file["class_pixels"][:].tolist(), strict=True):
            assert counts == [labels[i].ravel().tolist().count(c) for c in range(3)]
    check_hdf5(out, "statistics", "statistics", {"source": [source]}, {})


# ---- explain ----------------------------------------------------------------------------------------------------


def test_explain_prints_what_made_a_file(capsys, cotrain, index, tmp_path):
    from cotrain.cli import main

    cotrain("draw", {"count": 2, "seed": 5}, index=index, out=tmp_path / "candidates.csv")
    assert main(["explain", "--json", str(tmp_path / "candidates.csv")]) == 0
    check_provenance(json.loads(capsys.readouterr().out), "draw", {"index": [index]}, {"count": 2, "seed": 5})
    assert main(["explain", str(tmp_path / "nothing.csv")]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path / 'nothing.csv'}: no such file")


# ---- settings at fault ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"cuont": 3}, ["--settings: cuont: unknown key; did you mean count?", "--settings: count: missing"]),
        ({"count": 3, "sed": 1}, ["--settings: sed: unknown key; did you mean seed?"]),
        ({"count": 0}, ["--settings: count: input should be greater than or equal to 1, got 0"]),
        ({"count": -5, "seed": "x"}, ["--settings: count: ", "--settings: seed: "]),
        ({"count": 2.5}, ["--settings: count: "]),
        ({"count": "2"}, ["--settings: count: "]),
        ({"count": True}, ["--settings: count: "]),
        ({"count": [2]}, ["--settings: count: "]),
        ({}, ["--settings: count: missing; add this key"]),
    ],
)
def test_every_fault_of_the_settings_is_a_line(refused, index, tmp_path, settings, expected):
    lines = refused("draw", settings, index=index, out=tmp_path / "candidates.csv").splitlines()
    assert len(lines) == len(expected)
    for text in expected:
        assert any(line.startswith(f"error: {text}") for line in lines), text


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"count": 1, "lambda": 1.01}, "lambda"),
        ({"count": 1, "lambda": -0.01}, "lambda"),
        ({"count": 1, "lambda": float("nan")}, "lambda"),
        ({"count": 1, "lamda": 0.5}, "lamda: unknown key; did you mean lambda?"),
        ({"count": 1, "rank_by": "size"}, "rank_by"),
        ({"count": 1, "min_class_fraction": 2}, "min_class_fraction"),
    ],
)
def test_exchange_refuses_settings_out_of_range(refused, exchanged, settings, key):
    assert refused("exchange", settings, **exchanged).startswith(f"error: --settings: {key}")


@pytest.mark.parametrize(
    "settings", [{"portion": 1.1}, {"portion": 0.5, "confidence_min": -1}, {"portion": 0.5, "policy": "other"}]
)
def test_threshold_refuses_settings_out_of_range(refused, tmp_path, settings):
    predictions = write_predictions(tmp_path / "predictions.h5", IDS, *maps(1))
    paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
    assert refused("threshold", settings, predictions=predictions, **paths).count("error:") == 1


def test_threshold_refuses_a_lower_bound_above_the_upper(refused, tmp_path):
    predictions = write_predictions(tmp_path / "predictions.h5", IDS, *maps(1))
    paths = {"out": tmp_path / "pseudolabels.h5", "table": tmp_path / "thresholds.csv"}
    settings = {"portion": 0.5, "confidence_min": 0.9, "confidence_max": 0.5}
    assert "confidence_min" in refused("threshold", settings, predictions=predictions, **paths)


def test_settings_may_be_a_file(index, tmp_path, capsys):
    from cotrain.cli import main

    (tmp_path / "settings.json").write_text('{"count": 2}')
    arguments = ["draw", "--index", str(index), "--out", str(tmp_path / "candidates.csv"), "--settings"]
    assert main([*arguments, str(tmp_path / "settings.json")]) == 0
    assert len(drawn(tmp_path / "candidates.csv")) == 2
    assert re.fullmatch(r"draw: \d+\.\d s, at most \d+ MiB of memory\n", capsys.readouterr().err)
    for text in (str(tmp_path / "none.json"), '{"count": ', "[1]", "\0", "x" * 5000, str(index), str(tmp_path)):
        assert main([*arguments, text]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: --settings") and error.count("\n") == 1


@pytest.mark.parametrize("out", [".", "..", "folder", "file/below.csv"])
def test_place_that_cannot_be_written_is_refused_and_what_is_there_is_kept(refused, index, tmp_path, monkeypatch, out):
    """All of these places lie deep inside the test's own folder, so that a fault here deletes nothing else."""
    here = tmp_path / "scratch" / "above" / "here"
    save(here / "folder" / "precious.png", np.zeros((2, 2), np.uint8))
    (here / "file").write_text("precious")
    monkeypatch.chdir(here)
    assert out in refused("draw", {"count": 2}, index=index, out=out)


# ---- weight -----------------------------------------------------------------------------------------------------


def test_stages_without_a_network_start_without_what_takes_long_to_import():
    """An import of torch takes over a second, in each of a hundred jobs; pandas takes as long as the rest together."""
    names = "draw merge threshold select combine exchange fuse index color measure statistics plot plan check render"
    slow = "torch torchvision pandas cv2 matplotlib bokeh jinja2 tqdm"
    assert _imported(names, slow) == []
    assert _imported("summarize compare report show", slow.replace("pandas ", "")) == []


def _imported(stages: str, libraries: str) -> list[str]:
    """Which of `libraries` were imported with these stages and the command, in a process of their own."""
    code = (
        f"import sys; from cotrain import cli; [cli.run_of(name) for name in '{stages}'.split()];"
        f"print(*[name for name in '{libraries}'.split() if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_the_command_looks_for_garbage_while_a_stage_works(tmp_path):
    code = (
        "import gc, sys; from cotrain import __main__, cli;"
        "cli.run_of = lambda stage: lambda: print(gc.isenabled(), gc.get_freeze_count() > 0);"
        "sys.argv = ['cotrain', 'plan']; sys.exit(__main__.main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
