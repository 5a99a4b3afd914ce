"""The train stage with a small network: how long it trains, and what it refuses."""

import shutil

import numpy as np
import pytest
import torch
from conftest import CLASSES, MADE_BY, VOID, save, write_index, write_pseudolabels, write_thresholds

from cotrain.files import hdf5

SIZE = (32, 48)
IDENTITY = {"0": 0, "1": 1, "2": 2}


def settings(**changes) -> dict:
    return {
        "source": {"classes": CLASSES, "values": IDENTITY},
        "source_size": SIZE,
        "target_size": SIZE,
        "model": {"architecture": "FPN", "encoder": "resnet18", "weights": None},
        "augmentation": {"crop": SIZE},
        "batch": 4,
    } | changes


def course(**length) -> dict:
    return {"steps": None, "learning_rate": 0.01, "schedule": "poly"} | length


@pytest.fixture
def paths(tmp_path):
    """Four source images; six target images, of which one has no pseudo-label; class 2 is in one of them."""
    rng = np.random.default_rng(0)
    images = {i: rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8) for i in "abcdef"}
    labels = {i: rng.integers(0, 2, SIZE).astype(np.uint8) for i in "abcde"}
    source = write_index(tmp_path / "source" / "index.csv", {i: images[i] for i in "abcd"}, labels)
    target = write_index(tmp_path / "target" / "index.csv", images)
    label = np.stack([labels[i] for i in "abcdea"])
    label[3], label[2, 10, 20] = VOID, 2
    confidence = np.full(label.shape, 60000, np.uint16)
    return {
        "source": source,
        "target": target,
        "pseudolabels": write_pseudolabels(tmp_path / "labels.h5", list(images), label, confidence),
        "thresholds": write_thresholds(tmp_path / "thresholds.csv", [0.5, 0.6, 0.7]),
    }


def trained(cotrain, out, options: dict, **paths) -> dict[str, torch.Tensor]:
    result = cotrain("train", settings(**options), out=out, **paths)
    assert result.code == 0, result.err
    return torch.load(out, weights_only=True)["state"]


def same(one: dict, other: dict) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_epochs_count_the_target_images_with_pseudolabels(cotrain, paths, tmp_path):
    """Two passes over 5 images at 3 in each mini-batch of 4 are 4 steps."""
    mix = {"target_share": 0.75}
    found = trained(cotrain, tmp_path / "e.pt", mix | {"course": course(epochs=2)}, **paths)
    assert same(found, trained(cotrain, tmp_path / "s.pt", mix | {"course": course(steps=4)}, **paths))
    assert not same(found, trained(cotrain, tmp_path / "s.pt", mix | {"course": course(steps=5)}, **paths))


def test_epochs_of_a_source_training_count_the_source_images(cotrain, paths, tmp_path):
    """One and a half passes over 4 images at 4 a step are 2 steps."""
    found = trained(cotrain, tmp_path / "e.pt", {"course": course(epochs=1.5)}, source=paths["source"])
    assert same(found, trained(cotrain, tmp_path / "s.pt", {"course": course(steps=2)}, source=paths["source"]))


def test_epochs_without_a_target_image_in_the_mini_batch_are_refused(refused, paths, tmp_path):
    message = refused("train", settings(course=course(epochs=1), target_share=0.1), out=tmp_path / "m.pt", **paths)
    assert "course.epochs: a mini-batch has no target image" in message


def test_class_balanced_training_sees_the_images_with_rare_classes_more_often(cotrain, paths, tmp_path):
    """At a low temperature only class 2 is drawn, which one source image has: the others might as well be black."""
    statistics = tmp_path / "statistics.h5"
    with hdf5.create_hdf5(statistics, "statistics", CLASSES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", [*"abcd"])
        file["class_pixels"] = [[500, 500, 0], [500, 500, 0], [500, 499, 1], [500, 500, 0]]
    options = {"balance_temperature": 0.001, "course": course(steps=2)}
    found = trained(cotrain, tmp_path / "a.pt", options, source=paths["source"], statistics=statistics)
    for i in "abd":
        save(tmp_path / "source" / "images" / f"{i}.png", np.zeros((*SIZE, 3), np.uint8))
    assert same(found, trained(cotrain, tmp_path / "b.pt", options, source=paths["source"], statistics=statistics))
    save(tmp_path / "source" / "images" / "c.png", np.zeros((*SIZE, 3), np.uint8))
    assert not same(found, trained(cotrain, tmp_path / "c.pt", options, source=paths["source"], statistics=statistics))


def test_rare_crops_change_the_training_and_need_thresholds_and_pseudolabels(cotrain, refused, paths, tmp_path):
    rare = {"target_share": 0.5, "course": course(steps=2), "rare_crops": 1.0, "rare_share": 0.5}
    zoomed = {"augmentation": {"crop": SIZE, "zoom": (1.5, 1.5)}}
    with_crops = trained(cotrain, tmp_path / "a.pt", rare | zoomed, **paths)  # class 2 has a third of the pixels
    assert not same(with_crops, trained(cotrain, tmp_path / "b.pt", rare | zoomed | {"rare_crops": 0.0}, **paths))
    del paths["thresholds"]
    message = refused("train", settings(**rare), out=tmp_path / "m.pt", **paths)
    assert message.startswith("error: rare_crops: they need --thresholds and --pseudolabels")


def test_mini_batches_made_on_the_models_device_are_the_same(cotrain, paths, tmp_path):
    """Here that is the CPU too; on a GPU zooms round otherwise."""
    options = {"target_share": 0.5, "collage_share": 0.5, "rare_crops": 0.5, "course": course(steps=3)}
    augmentation = {"crop": SIZE, "jitter": 0.3}
    found = trained(cotrain, tmp_path / "read.pt", options | {"augmentation": augmentation}, **paths)
    options["augmentation"] = augmentation | {"on_device": True}
    assert same(found, trained(cotrain, tmp_path / "device.pt", options, **paths))


# ---- compiled ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Settings of a network of two layers: to compile one takes as long as it has kinds of layers."""
    (tmp_path / "twolayers.py").write_text(
        "from torch import nn\n\ndef net(classes):\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, classes, 1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    model = {"architecture": "twolayers:net", "encoder": None, "weights": None}
    return {"model": model, "trust": [model["architecture"]], "course": course(steps=4)}


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_a_compiled_training_is_the_same_but_for_rounding(cotrain, paths, tmp_path, small):
    plain = trained(cotrain, tmp_path / "plain.pt", small, source=paths["source"])
    compiled = trained(cotrain, tmp_path / "compiled.pt", small | {"compile": True}, source=paths["source"])
    assert list(tmp_path.glob("compiled/**/*.so"))
    assert plain.keys() == compiled.keys()
    assert all(torch.allclose(plain[name], compiled[name], atol=1e-5) for name in plain)


def test_a_network_that_cannot_be_compiled_is_refused(cotrain, paths, tmp_path, small):
    from torch._inductor import config

    torch.compiler.reset()
    with config.patch({"cpp.cxx": ("/nonexistent",)}):
        result = cotrain("train", settings(**small, compile=True), out=tmp_path / "model.pt", source=paths["source"])
    assert result.code == 2 and result.err.count("error: ") == 1, result.err
    assert "training.compile: torch cannot compile twolayers:net here" in result.err
    assert not (tmp_path / "model.pt").exists()
