"""The stage commands that run a network, by hand on a few toycity scenes, against torch called directly."""

import h5py
import numpy as np
import pytest
import torch
from conftest import VOID, save, write_index, write_thresholds
from PIL import Image

from cotrain.files import scores
from cotrain.method import sampling
from cotrain.networks import build, checkpoint
from cotrain.settings.model import Model
from cotrain.toycity import streets

CLASSES = tuple(streets.CLASSES)
SIZE = (32, 48)
LABELS = {"classes": CLASSES, "values": {str(c): c for c in range(len(CLASSES))} | {"255": VOID}}
MODEL = {"architecture": "FPN"}
TRAIN = {
    "model": MODEL,
    "source": LABELS,
    "source_size": SIZE,
    "augmentation": {"crop": SIZE},
    "optimizer": {"name": "adamw"},
    "course": {"steps": 3, "schedule": "constant"},
    "batch": 2,
}


@pytest.fixture
def scenes(tmp_path):
    rendered = {f"town/{i}": streets.render(0, i, "camera", *SIZE) for i in range(3)}
    images, labels = ({i: pair[k] for i, pair in rendered.items()} for k in (0, 1))
    return write_index(tmp_path / "index.csv", images, labels), images, labels


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "model.pt", build.build(Model(**MODEL), CLASSES), {})
    return tmp_path / "model.pt"


def softmax(path, image: np.ndarray) -> torch.Tensor:
    """Probabilities (C, H, W) of one image."""
    with torch.inference_mode():
        logits = checkpoint.load(path).eval()(torch.from_numpy(image).permute(2, 0, 1)[None])
    return logits[0].softmax(dim=0)


def test_infer_stores_the_most_probable_classes_and_their_histogram(cotrain, scenes, model, tmp_path):
    index, images, _ = scenes
    settings = {"classes": CLASSES, "size": SIZE, "keep_classes": 3, "batch": 2}
    assert cotrain("infer", settings, model=model, images=index, out=tmp_path / "p.h5").code == 0
    with h5py.File(tmp_path / "p.h5") as file:
        assert file["image_id"].asstr()[:].tolist() == list(images)
        assert file["label"].shape == file["confidence"].shape == (3, 3, *SIZE)
        counted = np.zeros((len(CLASSES), 65536), np.int64)
        for n, image in enumerate(images.values()):
            best, order = softmax(model, image).sort(dim=0, descending=True, stable=True)
            np.testing.assert_allclose(file["confidence"][n] / 65535, best[:3].numpy(), atol=2e-4)
            clear = (best[0] - best[1] > 1e-3).numpy()
            assert (file["label"][n, 0] == order[0].numpy())[clear].all()
            np.add.at(counted, (file["label"][n, 0], file["confidence"][n, 0]), 1)
        assert np.array_equal(file["histogram"][:], counted)


def test_ensemble_is_the_mean_of_the_softmaxes(cotrain, scenes, model, tmp_path):
    index, images, _ = scenes
    other = tmp_path / "other.pt"
    torch.manual_seed(1)
    checkpoint.save(other, build.build(Model(**MODEL), CLASSES), {})
    settings = {"classes": CLASSES, "size": SIZE}
    assert cotrain("infer", settings, model=[model, other], images=index, out=tmp_path / "p.h5").code == 0
    with h5py.File(tmp_path / "p.h5") as file:
        for n, image in enumerate(images.values()):
            mean = (softmax(model, image) + softmax(other, image)) / 2
            np.testing.assert_allclose(file["confidence"][n, 0] / 65535, mean.amax(dim=0).numpy(), atol=2e-4)


def test_pixels_of_the_own_vehicle_are_void_and_uncounted(cotrain, scenes, model, tmp_path):
    mask = np.zeros(SIZE, np.uint8)
    mask[20:] = 255
    settings = {"classes": CLASSES, "size": SIZE, "ego_mask": str(save(tmp_path / "ego.png", mask))}
    assert cotrain("infer", settings, model=model, images=scenes[0], out=tmp_path / "p.h5").code == 0
    with h5py.File(tmp_path / "p.h5") as file:
        assert (file["label"][:, 0, 20:] == VOID).all() and (file["label"][:, 0, :20] != VOID).all()
        assert file["histogram"][:].sum() == 3 * 20 * SIZE[1]


def test_evaluate_scores_one_confusion_matrix_over_the_set(cotrain, scenes, model, tmp_path):
    index, images, labels = scenes
    out = tmp_path / "metrics.json"
    assert cotrain("evaluate", {"labels": LABELS, "size": SIZE}, model=model, images=index, out=out).code == 0
    predicted = np.stack([softmax(model, image).argmax(dim=0).numpy() for image in images.values()])
    truth = np.stack(list(labels.values()))
    expected = []
    for c in range(len(CLASSES)):
        union = ((predicted == c) | (truth == c)).sum()
        expected.append(((predicted == c) & (truth == c)).sum() / union if union else np.nan)
    found = scores.read_json(out, "metrics")
    np.testing.assert_allclose([np.nan if v is None else v for v in found["iou"]], expected, atol=1e-3)
    assert found["miou"] == pytest.approx(np.nanmean(expected), abs=1e-3)


def test_training_lowers_the_loss_and_repeats_to_the_byte(cotrain, scenes, tmp_path):
    index, images, labels = scenes
    settings = TRAIN | {"course": {"steps": 20, "schedule": "constant"}, "augmentation": {"crop": SIZE, "flip": 0}}
    for name in ("a.pt", "b.pt"):
        assert cotrain("train", settings, source=index, out=tmp_path / name).code == 0
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert cotrain("train", settings | {"workers": 2}, source=index, out=tmp_path / "w.pt").code == 0
    assert _equal(tmp_path / "a.pt", tmp_path / "w.pt")
    other = settings | {"seed": 1}
    assert cotrain("train", other, source=index, out=tmp_path / "c.pt").code == 0
    assert not _equal(tmp_path / "a.pt", tmp_path / "c.pt")
    untrained = tmp_path / "untrained.pt"
    checkpoint.save(untrained, build.build(Model(**MODEL), CLASSES), {})
    image, label = images["town/0"], torch.from_numpy(labels["town/0"]).long()
    probability = [
        softmax(path, image).gather(0, label[None]).log().mean().item() for path in (untrained, tmp_path / "a.pt")
    ]
    assert probability[1] > probability[0] + 0.2


def _equal(a, b) -> bool:
    first, second = checkpoint.read(a)["state"], checkpoint.read(b)["state"]
    return all(torch.equal(first[name], second[name]) for name in first)


def test_class_balance_picks_images_by_the_counts_of_the_statistics(cotrain, scenes, tmp_path, monkeypatch):
    index, _, labels = scenes
    statistics = tmp_path / "statistics.h5"
    assert cotrain("statistics", {"labels": LABELS, "size": SIZE}, source=index, out=statistics).code == 0
    counts, picked, balanced = [np.bincount(x.ravel(), minlength=256) for x in labels.values()], [], sampling.balanced

    def spy(position, class_pixels, temperature, seed):
        assert class_pixels.tolist() == [c[: len(CLASSES)].tolist() for c in counts] and temperature == 0.01
        picked.append(position)
        return balanced(position, class_pixels, temperature, seed)

    monkeypatch.setattr(sampling, "balanced", spy)
    settings = TRAIN | {"balance_temperature": 0.01}
    assert cotrain("train", settings, source=index, statistics=statistics, out=tmp_path / "model.pt").code == 0
    assert sorted(picked) == list(range(TRAIN["course"]["steps"] * TRAIN["batch"]))


def test_fine_tuning_reads_pseudolabels_and_not_the_targets_own_labels(cotrain, scenes, model, tmp_path):
    index, images, _ = scenes
    target = write_index(tmp_path / "target" / "target.csv", images)
    assert (
        cotrain("infer", {"classes": CLASSES, "size": SIZE}, model=model, images=target, out=tmp_path / "p.h5").code
        == 0
    )
    policy = {"portion": 1.0, "confidence_min": 0.0, "confidence_max": 0.5}
    pseudolabels, table = tmp_path / "l.h5", tmp_path / "t.csv"
    made = cotrain("threshold", policy, predictions=tmp_path / "p.h5", out=pseudolabels, table=table)
    assert made.code == 0
    settings = TRAIN | {"target_size": SIZE, "target_share": 0.5, "collage_share": 0.5}
    paths = {"init": model, "source": index, "target": target, "pseudolabels": pseudolabels, "thresholds": table}
    assert cotrain("train", settings, **paths, out=tmp_path / "tuned.pt").code == 0
    assert not _equal(model, tmp_path / "tuned.pt")


def test_predict_writes_classes_at_the_photographs_own_size(cotrain, model, tmp_path):
    from cotrain.cli import main

    image, _ = streets.render(0, 5, "camera", 50, 70)
    photograph = save(tmp_path / "a photo.png", image)
    assert main(["predict", "--model", str(model), str(photograph), "--out", str(tmp_path / "out")]) == 0
    expected = softmax(model, image).argmax(dim=0).numpy()
    found = np.asarray(Image.open(tmp_path / "out" / "a photo.png"))
    assert found.shape == (50, 70) and (found == expected).mean() > 0.999
    assert Image.open(tmp_path / "out" / "a photo_overlay.jpg").size == (70, 50)


def test_model_of_other_classes_is_refused(refused, scenes, model, tmp_path):
    settings = {"classes": CLASSES[:-1], "size": SIZE}
    line = refused("infer", settings, model=model, images=scenes[0], out=tmp_path / "p.h5")
    assert "trained for 17 classes, the data has 16" in line


def test_ensemble_of_models_of_other_classes_is_refused(model, tmp_path, capsys):
    from cotrain.cli import main

    checkpoint.save(tmp_path / "b.pt", build.build(Model(**MODEL), CLASSES[:5]), {})
    photograph = save(tmp_path / "photo.png", streets.render(0, 5, "camera", *SIZE)[0])
    both = ["--model", str(model), "--model", str(tmp_path / "b.pt")]
    assert main(["predict", *both, str(photograph), "--out", str(tmp_path / "out")]) == 2
    assert "trained for 5 classes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_thresholds_of_other_classes_are_refused(refused, scenes, model, tmp_path):
    table = write_thresholds(tmp_path / "t.csv", [0.5, 0.5, 0.5])
    settings = TRAIN | {"collage_share": 0.5}
    line = refused("train", settings, init=model, source=scenes[0], thresholds=table, out=tmp_path / "m.pt")
    assert "other classes than the source labels" in line
