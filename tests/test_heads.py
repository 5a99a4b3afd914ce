"""Heads on an encoder's last feature map: in training they are there, and nothing else sees them."""

import shutil

import h5py
import numpy as np
import pytest
import torch
from conftest import CLASSES, MADE_BY, save, write_index
from test_models import images, own, streetnets  # noqa: F401  (fixture)
from torch.nn import functional as F

from cotrain.base.errors import BadInput
from cotrain.networks import build, checkpoint
from cotrain.networks.heads import HeadedSegmenter, ImageClassifier, encoder_channels, with_features
from cotrain.settings.model import Model

SIZE = (32, 48)
WIDTH = 16
FPN = Model(architecture="FPN", encoder="resnet18", weights=None)


def headed(settings: Model = FPN) -> HeadedSegmenter:
    torch.manual_seed(0)
    model = HeadedSegmenter(build.build(settings, CLASSES))
    model.attach("image_classes", ImageClassifier(encoder_channels(model.segmenter), len(CLASSES), WIDTH))
    return model


@pytest.fixture
def files(tmp_path):
    """A model with a head, and the same without."""
    model = headed()
    checkpoint.save(tmp_path / "headed.pt", model.segmenter, MADE_BY, model.heads)
    checkpoint.save(tmp_path / "plain.pt", model.segmenter, MADE_BY)
    return tmp_path / "headed.pt", tmp_path / "plain.pt"


# ---- the image classifier ---------------------------------------------------------------------------------------


def test_image_classifier_is_two_convolutions_the_mean_and_two_layers():
    torch.manual_seed(0)
    head = ImageClassifier(5, len(CLASSES), WIDTH)
    features = torch.randn(2, 5, 3, 4)
    state = head.state_dict()
    x = F.relu(F.conv2d(features, state["reduce.weight"], state["reduce.bias"]))
    assert x.shape == (2, WIDTH, 3, 4)
    x = F.relu(F.conv2d(F.pad(x, (1, 1, 1, 1)), state["context.weight"], state["context.bias"]))
    pooled = torch.stack([image.flatten(1).sum(dim=1) / 12 for image in x])
    x = F.relu(pooled @ state["hidden.weight"].T + state["hidden.bias"])
    assert x.shape == (2, 512)
    expected = x @ state["classes.weight"].T + state["classes.bias"]
    torch.testing.assert_close(head(features), expected)


def test_image_classifier_has_the_papers_width_by_default():
    state = ImageClassifier(8, 19).state_dict()
    assert state["reduce.weight"].shape == (2048, 8, 1, 1) and state["context.weight"].shape == (2048, 2048, 3, 3)
    assert state["hidden.weight"].shape == (512, 2048) and state["classes.weight"].shape == (19, 512)


# ---- feature maps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "channels"),
    [
        (FPN, 512),
        (Model(architecture="DPT", encoder="tu-vit_tiny_patch16_224", weights=None), 192),
        (Model(architecture="Segformer", encoder="mit_b0", weights=None), 256),
        (Model(architecture="UPerNet", encoder="tu-convnext_atto", weights=None), 320),
        (Model(architecture="lraspp_mobilenet_v3_large", encoder=None, weights=None), 960),
        (Model(architecture="fcn_resnet50", encoder=None, weights=None), 2048),
    ],
    ids=lambda value: getattr(value, "architecture", None),
)
def test_head_sees_the_last_feature_map_of_any_architecture(settings, channels):
    model = headed(settings).eval()
    assert encoder_channels(model.segmenter) == channels
    with torch.inference_mode():
        outputs = model(images(45, 61))
        logits, features = with_features(model.segmenter, images(45, 61))
        plain = model.segmenter(images(45, 61))
    assert features.shape[:2] == (2, channels)
    assert torch.equal(outputs.logits, plain) and torch.equal(logits, plain)
    assert outputs.heads.keys() == {"image_classes"} and outputs.heads["image_classes"].shape == (2, len(CLASSES))


def test_head_on_code_of_ones_own_sees_its_encoder(streetnets):  # noqa: F811
    assert encoder_channels(build.build(own(), CLASSES)) == 4


def test_head_without_an_encoder_is_refused(streetnets):  # noqa: F811
    streetnets.write_text("from torch import nn\ndef small(classes):\n    return nn.Conv2d(3, classes, 1)")
    with pytest.raises(BadInput, match="streetnets:small has no part named encoder or backbone, which a head needs"):
        headed(own())


def test_gradients_of_a_head_reach_the_encoder_and_not_the_decoder():
    model = headed()
    model(images(45, 61)).heads["image_classes"].sum().backward()
    network = model.segmenter.network
    assert all(parameter.grad is not None for parameter in network.encoder.parameters())
    assert all(parameter.grad is None for parameter in network.decoder.parameters())


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_network_has_the_heads_and_their_gradients(streetnets, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch.compiler.reset()
    model = headed(own()).train()
    compiled = torch.compile(model, dynamic=False)
    gradients = []
    for network in (model, compiled, compiled):  # the second time as it was compiled
        model.zero_grad()
        outputs = network(images(6, 8))
        (outputs.logits.sum() + outputs.heads["image_classes"].square().sum()).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    assert list(tmp_path.glob("compiled/**/*.so"))
    for found in gradients[1:]:
        for gradient, expected in zip(found, gradients[0], strict=True):
            torch.testing.assert_close(gradient, expected, atol=1e-3, rtol=1e-3)


def test_finding_the_channels_leaves_the_network_as_it_was():
    model = build.build(FPN, CLASSES).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch.manual_seed(3)
    encoder_channels(model)
    assert model.training and torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(3)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# ---- model files ------------------------------------------------------------------------------------------------


def test_file_of_a_model_without_heads_says_nothing_of_them(files):
    with_head, without = (torch.load(path, weights_only=True) for path in files)
    assert list(with_head) == [*without, "heads"]
    assert with_head["state"].keys() == without["state"].keys()
    assert all(torch.equal(tensor, with_head["state"][name]) for name, tensor in without["state"].items())


def test_loaded_heads_have_their_weights_and_those_that_are_not_in_the_file_stay(files):
    with_head, without = files
    model = headed()
    saved = {name: tensor.clone() for name, tensor in model.heads["image_classes"].state_dict().items()}
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter += 1
    checkpoint.load_heads(without, model.heads)
    assert not torch.equal(model.heads["image_classes"].hidden.bias, saved["hidden.bias"])
    checkpoint.load_heads(with_head, model.heads)
    state = model.heads["image_classes"].state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in saved.items())


def test_stages_that_label_and_score_do_not_see_heads(cotrain, files, tmp_path):
    rng = np.random.default_rng(0)
    photographs = {i: rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8) for i in "abc"}
    index = write_index(tmp_path / "index.csv", photographs, {i: p[..., 0] % 3 for i, p in photographs.items()})
    labels = {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2}}
    photograph = save(tmp_path / "photo.png", photographs["a"])
    results = []
    for model in files:
        folder = tmp_path / model.stem
        infer = cotrain("infer", {"classes": CLASSES, "size": SIZE}, model=model, images=index, out=folder / "p.h5")
        evaluate = cotrain(
            "evaluate", {"labels": labels, "size": SIZE}, model=model, images=index, out=folder / "m.json"
        )
        from cotrain.cli import main

        assert main(["predict", "--model", str(model), str(photograph), "--out", str(folder / "labelled")]) == 0
        assert main(["export", "--model", str(model), "--out", str(folder / "model.ts")]) == 0
        assert infer.code == evaluate.code == 0
        with h5py.File(folder / "p.h5") as file:
            maps = [file[name][:] for name in ("label", "confidence", "histogram")]
        exported = torch.jit.load(folder / "model.ts")
        with torch.no_grad():
            logits = exported(images(45, 61))
        scores = (folder / "m.json").read_text().partition('"provenance"')[0]
        labelled = {path.name: path.read_bytes() for path in (folder / "labelled").iterdir()}
        results.append((maps, logits, scores, labelled, sorted(name for name, _ in exported.named_parameters())))
    (maps, logits, scores, labelled, names), (plain_maps, plain_logits, *others) = results
    assert all(np.array_equal(found, expected) for found, expected in zip(maps, plain_maps, strict=True))
    assert torch.equal(logits, plain_logits)
    assert [scores, labelled, names] == others


@pytest.mark.parametrize("heads", [3, {"image_classes": 3}, {"image_classes": {"hidden.bias": [1.0]}}])
def test_heads_that_are_no_tensors_are_refused(files, heads):
    content = torch.load(files[0], weights_only=True)
    torch.save(content | {"heads": heads}, files[0])
    with pytest.raises(BadInput, match=r"headed\.pt: its weights are not tensors; train it again"):
        checkpoint.load(files[0])


def test_heads_that_are_not_finite_are_refused(files):
    content = torch.load(files[0], weights_only=True)
    content["heads"]["image_classes"]["hidden.bias"][0] = float("nan")
    torch.save(content, files[0])
    with pytest.raises(BadInput, match=r"headed\.pt: hidden\.bias has values that are not finite numbers"):
        checkpoint.load_heads(files[0], headed().heads)
