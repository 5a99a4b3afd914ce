"""Stages that read the files of three or more models: combine, exchange, fuse."""

import numpy as np
import pandas as pd
import pytest
from conftest import (
    CLASSES,
    MADE_BY,
    VOID,
    random_maps,
    read_pseudolabels,
    statistics_of,
    write_predictions,
    write_pseudolabels,
    write_selected,
    write_thresholds,
)
from test_exchange import exchange_of_several, majority

from cotrain.files import tables

IDS = ["city/d", "city/b", "town/b", "a", "empty", "z"]
SIZE = (6, 9)
THRESHOLDS = [[0.9, 0.5, 0.6], [0.5, 0.9, 0.8], [0.6, 0.7, 0.8]]
MODELS = range(3)


@pytest.fixture
def models(tmp_path):
    """Files of three models, and the maps in them: pseudo-labels and confidences."""
    files = {"pseudolabels": [], "predictions": [], "thresholds": []}
    maps = []
    for m in MODELS:
        label, confidence = random_maps(2 * m, len(IDS), *SIZE, classes=3)
        label[IDS.index("empty")] = VOID
        kept = np.where(confidence > 30000, label, np.uint8(VOID))
        folder = tmp_path / str(m + 1)
        name = f"cotrain/01/{m + 1}"
        files["pseudolabels"].append(write_pseudolabels(folder / "labels.h5", IDS, kept, confidence, round=name))
        files["predictions"].append(write_predictions(folder / "predictions.h5", IDS, label, confidence))
        files["thresholds"].append(write_thresholds(folder / "thresholds.csv", THRESHOLDS[m]))
        maps.append((kept, confidence))
    return files, maps


def outputs(folder, ending: str) -> list:
    return [folder / "out" / f"{m + 1}{ending}" for m in MODELS]


def without(files: dict, *names: str) -> dict:
    return {name: paths for name, paths in files.items() if name not in names}


# ---- combine ----------------------------------------------------------------------------------------------------


def test_combine_of_three_models_adopts_the_majority(cotrain, models, tmp_path):
    files, maps = models
    out = outputs(tmp_path, ".h5")
    assert cotrain("combine", **without(files, "thresholds"), out=out).code == 0
    for m, path in enumerate(out):
        found = read_pseudolabels(path)
        assert found["image_id"].tolist() == IDS and set(found["round"]) == {f"cotrain/01/{m + 1}"}
        for i in range(len(IDS)):
            # the stage knows confidences of pseudo-labels alone
            confidences = [np.where(label[i] == VOID, 0, confidence[i]) for label, confidence in maps]
            expected, confidence = majority([label[i] for label, _ in maps], confidences, m)
            assert np.array_equal(found["label"][i], expected)
            statistics = statistics_of(expected, confidence, 3)
            assert found["confidence"][i] == pytest.approx(statistics.confidence, rel=1e-6)
            assert found["class_pixels"][i].tolist() == statistics.class_pixels.tolist()
            np.testing.assert_allclose(found["class_confidence"][i], statistics.class_confidence, rtol=1e-6)
        assert (found["label"] != maps[m][0]).any()


@pytest.mark.parametrize("stage", ["combine", "exchange"])
def test_files_of_one_model_are_refused_as_are_different_numbers(refused, models, tmp_path, stage):
    beside = {"combine": "predictions", "exchange": "thresholds"}[stage]
    files = {"pseudolabels": models[0]["pseudolabels"], beside: models[0][beside]}
    settings = {"count": 3} if stage == "exchange" else None
    for numbers in ((1, 1, 1), (3, 2, 3), (2, 3, 3), (3, 3, 2), (3, 3, 1)):
        paths = [*files.values(), outputs(tmp_path, ".out")]
        fewer = {flag: some[:n] for flag, some, n in zip((*files, "out"), paths, numbers, strict=True)}
        counts = ", ".join(f"--{flag} {len(some)}" for flag, some in fewer.items())
        message = refused(stage, settings, **fewer)
        advice = "give each flag one file per model, two or more, in the same order"
        assert message == f"error: number of files: {counts}; {advice}\n"


@pytest.mark.parametrize("wrong", ["pseudolabels", "predictions"])
def test_combine_refuses_a_third_model_of_other_images(refused, models, tmp_path, wrong):
    files, maps = models
    write = {"pseudolabels": write_pseudolabels, "predictions": write_predictions}[wrong]
    write(files[wrong][2], IDS[::-1], *maps[2])
    message = refused("combine", **without(files, "thresholds"), out=outputs(tmp_path, ".h5"))
    assert message.startswith(f"error: {files[wrong][2]}: other images or classes than {files['pseudolabels'][0]}")


# ---- exchange ---------------------------------------------------------------------------------------------------


def as_lists(label: np.ndarray, confidence: np.ndarray) -> list:
    """(id, image confidence, {class: (confidence, share of pixels)}) as a file keeps them."""
    images = []
    for i, image_id in enumerate(IDS):
        statistics = statistics_of(label[i], confidence[i], 3)
        seen = {}
        for c, pixels in enumerate(statistics.class_pixels.tolist()):
            if pixels:
                seen[c] = (float(np.float32(statistics.class_confidence[c])), pixels / label[i].size)
        images.append((image_id, float(np.float32(statistics.confidence)), seen))
    return images


@pytest.mark.parametrize("rank_by", ["image", "class"])
@pytest.mark.parametrize("count", [1, 4])
def test_exchange_of_three_models_says_whose_labels_each_image_has(cotrain, models, tmp_path, rank_by, count):
    files, maps = models
    out = outputs(tmp_path, ".csv")
    settings = {"count": count, "lambda": 0.75, "rank_by": rank_by}
    assert cotrain("exchange", settings, **without(files, "predictions"), out=out).code == 0
    images = [as_lists(*of_model) for of_model in maps]
    senders = set()
    for m, path in enumerate(out):
        table = pd.read_csv(path)
        assert list(table) == ["image_id", "confidence", "reason", "model"]
        expected = exchange_of_several(images, THRESHOLDS, m, count, 0.75, rank_by, 0)
        rows = zip(table["image_id"], table["reason"], table["model"], strict=True)
        assert list(rows) == [(image_id, CLASSES[c], sender + 1) for image_id, c, sender in expected]
        for image_id, score, sender in zip(table["image_id"], table["confidence"], table["model"], strict=True):
            assert score == pytest.approx(images[sender - 1][IDS.index(image_id)][1], rel=1e-6)
        senders |= {(m + 1, sender) for sender in table["model"]}
        assert tables.read_table(path, "selected")["image_id"].tolist() == table["image_id"].tolist()
    assert count == 1 or len(senders) > 3  # some model receives from both others


def test_exchange_of_two_models_has_no_column_model(cotrain, models, tmp_path):
    files = {name: paths[:2] for name, paths in without(models[0], "predictions").items()}
    out = outputs(tmp_path, ".csv")[:2]
    assert cotrain("exchange", {"count": 3}, **files, out=out).code == 0
    assert all(path.read_text().startswith("image_id,confidence,reason\n") for path in out)


def test_exchange_of_three_models_says_when_fewer_images_qualify(cotrain, models, tmp_path):
    result = cotrain(
        "exchange", {"count": 100, "lambda": 0}, **without(models[0], "predictions"), out=outputs(tmp_path, ".csv")
    )
    lines = [line for line in result.err.splitlines() if line.startswith("exchange: model")]
    assert lines == [
        "exchange: models 2, 3 send to model 1: 5 of 100 images qualify",
        "exchange: models 1, 3 send to model 2: 5 of 100 images qualify",
        "exchange: models 1, 2 send to model 3: 5 of 100 images qualify",
    ]


def test_exchange_refuses_a_third_model_of_other_images_or_classes(refused, models, tmp_path):
    files, maps = models
    third = files["pseudolabels"][2]
    arguments = without(files, "predictions") | {"out": outputs(tmp_path, ".csv")}
    write_pseudolabels(third, [f"other/{i}" for i in IDS], *maps[2])
    message = refused("exchange", {"count": 3}, **arguments)
    assert message.startswith(f"error: {third}: other images or classes than {files['pseudolabels'][0]}")
    write_pseudolabels(third, IDS, *maps[2])
    write_thresholds(files["thresholds"][2], [0.5, 0.5, 0.5], ("road", "car", "tree"))
    message = refused("exchange", {"count": 3}, **arguments)
    assert message.startswith(f"error: {files['thresholds'][2]}: other classes than {files['pseudolabels'][0]}")


# ---- fuse -------------------------------------------------------------------------------------------------------


def write_received(path, senders: dict[str, object]):
    """What a model receives: image id → number of the sender."""
    rows = [{"image_id": i, "confidence": 0.5, "reason": "car", "model": sender} for i, sender in senders.items()]
    tables.write_table(path, "received", rows, MADE_BY)
    return path


def test_fuse_takes_each_image_from_its_sender(cotrain, models, tmp_path):
    files, maps = models
    senders = {"z": 3, "town/b": 1, "a": 2, "city/d": 3}
    earlier = {"first/b": 0, "a": 1, "z": 2}  # "a" comes again less confident than before, "z" more
    label, confidence = (array[:3] for array in random_maps(10, len(IDS), *SIZE, classes=3))
    confidence[1], confidence[2] = 65535, 1
    previous = write_pseudolabels(tmp_path / "previous.h5", list(earlier), label, confidence, round="cotrain/00/1")
    selected = write_received(tmp_path / "selected.csv", senders)
    out = tmp_path / "labels.h5"
    arguments = {"pseudolabels": files["pseudolabels"], "selected": selected, "previous": previous, "out": out}
    assert cotrain("fuse", **arguments).code == 0

    expected = {i: ("cotrain/00/1", label[n], confidence[n]) for i, n in earlier.items()}
    for i in ("city/d", "town/b", "z"):  # in the order of the candidates
        of_sender = maps[senders[i] - 1]
        expected[i] = (f"cotrain/01/{senders[i]}", of_sender[0][IDS.index(i)], of_sender[1][IDS.index(i)])
    found = read_pseudolabels(out)
    assert found["image_id"].tolist() == ["first/b", "a", "z", "city/d", "town/b"]
    for n, i in enumerate(found["image_id"]):
        name, of_image, sure = expected[i]
        assert found["round"][n] == name and np.array_equal(found["label"][n], of_image)
        statistics = statistics_of(of_image, sure, 3)
        assert found["confidence"][n] == pytest.approx(statistics.confidence, rel=1e-6)
        np.testing.assert_allclose(found["class_confidence"][n], statistics.class_confidence, rtol=1e-6)
        assert found["class_pixels"][n].tolist() == statistics.class_pixels.tolist()


def test_fuse_follows_exchange_of_three_models(cotrain, models, tmp_path):
    files, maps = models
    out = outputs(tmp_path, ".csv")
    assert cotrain("exchange", {"count": 4, "lambda": 0.75}, **without(files, "predictions"), out=out).code == 0
    for path in out:
        labels = tmp_path / "labels.h5"
        assert cotrain("fuse", pseudolabels=files["pseudolabels"], selected=path, out=labels).code == 0
        sender_of = pd.read_csv(path).set_index("image_id")["model"].to_dict()
        found = read_pseudolabels(labels)
        assert set(found["image_id"]) == set(sender_of)
        for n, i in enumerate(found["image_id"]):
            assert found["round"][n] == f"cotrain/01/{sender_of[i]}"
            assert np.array_equal(found["label"][n], maps[sender_of[i] - 1][0][IDS.index(i)])


def test_fuse_of_nothing_received_is_empty(cotrain, models, tmp_path):
    selected = write_received(tmp_path / "selected.csv", {})
    for files in (models[0]["pseudolabels"], models[0]["pseudolabels"][:1]):
        assert cotrain("fuse", pseudolabels=files, selected=selected, out=tmp_path / "labels.h5").code == 0
        assert len(read_pseudolabels(tmp_path / "labels.h5")["image_id"]) == 0


def test_fuse_of_one_file_takes_images_of_one_sender(cotrain, models, tmp_path):
    selected = write_received(tmp_path / "selected.csv", {"z": 2, "a": 2})
    out = tmp_path / "labels.h5"
    assert cotrain("fuse", pseudolabels=models[0]["pseudolabels"][1], selected=selected, out=out).code == 0
    assert set(read_pseudolabels(out)["round"]) == {"cotrain/01/2"}


def test_fuse_of_one_file_refuses_images_of_several_senders(refused, models, tmp_path):
    selected = write_received(tmp_path / "selected.csv", {"z": 2, "a": 3})
    files = {"pseudolabels": models[0]["pseudolabels"][1], "selected": selected}
    message = refused("fuse", **files, out=tmp_path / "labels.h5")
    assert message.startswith(f"error: {selected}: its images come from several models; give --pseudolabels of all")


def test_fuse_of_several_files_needs_the_column_model(refused, models, tmp_path):
    selected = write_selected(tmp_path / "selected.csv", ["z", "a"])
    message = refused("fuse", pseudolabels=models[0]["pseudolabels"], selected=selected, out=tmp_path / "labels.h5")
    assert message.startswith(f"error: {selected}: no column model, and 3 --pseudolabels")


@pytest.mark.parametrize("sender", [0, 4, -1, 1.5, "2a", ""])
def test_fuse_refuses_a_sender_without_a_file(refused, models, tmp_path, sender):
    selected = write_received(tmp_path / "selected.csv", {"z": 2, "a": sender})
    message = refused("fuse", pseudolabels=models[0]["pseudolabels"], selected=selected, out=tmp_path / "labels.h5")
    assert message.startswith(f"error: {selected}: column model must be 1 to 3")


def test_fuse_refuses_files_of_other_images_classes_or_size(refused, models, tmp_path):
    files, (_, _, (label, confidence)) = models
    third = files["pseudolabels"][2]
    selected = write_received(tmp_path / "selected.csv", {"z": 3})
    arguments = {"pseudolabels": files["pseudolabels"], "selected": selected, "out": tmp_path / "labels.h5"}
    for ids, size, classes, fault in (
        (IDS[::-1], 6, CLASSES, "images or classes"),
        (IDS, 6, ("road", "car", "tree"), "images or classes"),
        (IDS, 4, CLASSES, "size"),
    ):
        write_pseudolabels(third, ids, label[:, :size], confidence[:, :size], classes)
        message = refused("fuse", **arguments)
        assert message.startswith(f"error: {third}: other {fault} than {files['pseudolabels'][0]}")


def test_fuse_refuses_an_image_that_no_file_has(refused, models, tmp_path):
    selected = write_received(tmp_path / "selected.csv", {"z": 3, "nowhere": 1})
    files = models[0]["pseudolabels"]
    message = refused("fuse", pseudolabels=files, selected=selected, out=tmp_path / "labels.h5")
    assert message.startswith(f"error: {selected}: image nowhere is not in {files[0]}")
