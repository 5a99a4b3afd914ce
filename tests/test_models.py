"""Every architecture is the same black box: one contract, run through by each pair of benchmarks/models.yaml."""

import pickle
import sys

import numpy as np
import pytest
import torch
import yaml
from conftest import CLASSES, MADE_BY, PROJECT, write_index

from cotrain.base.errors import BadInput
from cotrain.networks import build, checkpoint, segmenter
from cotrain.networks.heads import HeadedSegmenter
from cotrain.settings import architectures
from cotrain.settings.model import Model
from cotrain.settings.training import ObjectiveWeight, Optimizer
from cotrain.training import loop, optimizers
from cotrain.training.batches import batch_of
from cotrain.training.objectives import Objectives

PAIRS = yaml.safe_load((PROJECT / "benchmarks" / "models.yaml").read_text(encoding="utf-8"))
SEGMENTATION = [ObjectiveWeight(name="segmentation")]
OWN = "streetnets:small"
OWN_CODE = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self, classes, width):
        super().__init__()
        self.encoder = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.head = nn.ConvTranspose2d(width, classes, 2, stride=2)

    def forward(self, images):
        assert not any(side % 2 for side in images.shape[-2:]), "odd"
        return self.head(self.encoder(images).relu())


def small(classes, width=4):
    return Small(classes, width)


def coarse(classes):
    return nn.Conv2d(3, classes, 3, stride=2, padding=1)


def fewer(classes):
    return nn.Conv2d(3, classes - 1, 1)


def text(classes):
    return "a network"
"""


@pytest.fixture
def streetnets(tmp_path, monkeypatch):
    """A module of a person's own in the current folder."""
    (tmp_path / "streetnets.py").write_text(OWN_CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "streetnets", raising=False)
    yield tmp_path / "streetnets.py"
    sys.modules.pop("streetnets", None)


def own(**changes) -> Model:
    return Model(**{"architecture": OWN, "encoder": None, "weights": None, "multiple": 2} | changes)


def images(*size: int, count: int = 2) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, *size), dtype=np.uint8))


def logits(model: segmenter.Segmenter, *size: int) -> torch.Tensor:
    with torch.inference_mode():
        return model.eval()(images(*size))


def step(model: segmenter.Segmenter, least_batch: int = 1) -> float:
    """The loss of one training step on the smallest mini-batch that the architecture allows."""
    losses = []
    trained = HeadedSegmenter(model)
    objectives = Objectives(SEGMENTATION, trained)
    optimizer = optimizers.make_optimizer(trained, Optimizer(), 0.01)
    scheduler = optimizers.SCHEDULES["constant"](optimizer, 1)
    batch = batch_of(0, images(45, 61, count=least_batch), torch.ones(least_batch, 45, 61, dtype=torch.uint8))
    report = lambda batch, outputs, loss, values: losses.append(loss)  # noqa: E731
    loop.train(trained, objectives, [batch], optimizer, scheduler, report, lambda done: None)
    return losses[0]


# ---- the contract -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pair", [*PAIRS, {"architecture": OWN, "encoder": None, "multiple": 2}], ids=str)
def test_architecture_is_a_black_box(pair, tmp_path, streetnets):
    torch.manual_seed(0)
    settings = Model(**pair | {"weights": None})
    model = build.build(settings, CLASSES)

    # any size in, logits of the same size out
    for size in ((33, 49), (64, 96), (1, 70)):
        assert logits(model, *size).shape == (2, len(CLASSES), *size)

    # a step of training on the smallest mini-batch changes encoder and head
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    assert step(model, architectures.needs(settings.architecture).batch) > 0
    changed = {name for name, tensor in model.named_parameters() if not torch.equal(tensor, before[name])}
    encoders = {f"network.{name}" for name, part in model.network.named_children() if part is model.encoder}
    assert any(name.startswith((*encoders,)) for name in changed)
    assert any(not name.startswith((*encoders,)) for name in changed)

    # saved twice: the same bytes; loaded: the same logits, and saved again the same bytes
    one, two = tmp_path / "1" / "model.pt", tmp_path / "2" / "model.pt"
    checkpoint.save(one, model, MADE_BY)
    loaded = checkpoint.load(one, CLASSES, trust=[OWN])
    checkpoint.save(two, loaded, MADE_BY)
    assert one.read_bytes() == two.read_bytes()
    assert torch.equal(logits(loaded, 33, 49), logits(model, 33, 49))

    # the file has tensors and plain values alone, and says what built it
    content = torch.load(one, weights_only=True)
    assert content["model"] == settings.model_dump() and content["classes"] == list(CLASSES)
    assert content["built_by"].startswith(architectures.library(settings.architecture).replace("own", OWN))
    assert all(type(tensor) is torch.Tensor for tensor in content["state"].values())

    # and is refused for other classes
    with pytest.raises(BadInput, match="trained for 3 classes, the data has 2"):
        checkpoint.load(one, CLASSES[:2], trust=[OWN])


def test_tables_of_architectures_are_those_of_the_libraries():
    import segmentation_models_pytorch as smp
    from torchvision.models import list_models, segmentation

    assert {name.lower() for name in architectures.ARCHITECTURES} == smp.MODEL_ARCHITECTURES_MAPPING.keys()
    assert all(hasattr(smp, name) for name in architectures.ARCHITECTURES)
    assert architectures.TORCHVISION_ARCHITECTURES.keys() == set(list_models(module=segmentation))
    tried = {pair["architecture"] for pair in PAIRS}
    assert architectures.ARCHITECTURES.keys() <= tried


@pytest.mark.parametrize("name", [name for name, needs in architectures.ARCHITECTURES.items() if needs.batch == 2])
def test_mini_batch_of_one_is_refused_in_words_where_the_table_says_so(name):
    model = build.build(Model(architecture=name, encoder="resnet18", weights=None), CLASSES)
    with pytest.raises(BadInput, match=rf"batch, augmentation\.crop: 1 images of 45×61 are too little to train {name}"):
        step(model)


# ---- sizes ------------------------------------------------------------------------------------------------------


def test_padding_repeats_the_border_and_is_cut_off_again(streetnets):
    model = build.build(own(), CLASSES)
    odd = images(5, 7)
    padded = torch.nn.functional.pad(odd.float(), (0, 1, 0, 1), mode="replicate").to(torch.uint8)
    with torch.inference_mode():
        assert torch.equal(model.eval()(odd), model(padded)[..., :5, :7])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"multiple": None}, r"streetnets:small does not take images of any size \(odd\); set model.multiple"),
        ({"architecture": "streetnets:coarse"}, r"gives logits of shape \(1, 3, 17, 25\) for \(1, 3, 33, 49\)"),
        ({"architecture": "streetnets:fewer"}, r"gives logits of shape \(1, 2, 33, 49\) for \(1, 3, 33, 49\)"),
        ({"architecture": "streetnets:text"}, "streetnets:text returns no torch.nn.Module"),
        ({"architecture": "streetnets:large"}, "streetnets has no function large"),
        ({"architecture": "hamlets:small"}, "no module hamlets"),
        ({"options": {"depth": 9}}, "cannot build streetnets:small.*depth"),
        (
            {"architecture": "FPN", "encoder": "tu-hiera_tiny_224", "multiple": None},
            "FPN with encoder tu-hiera_tiny_224 does not take images of any size",
        ),
        ({"architecture": "FPN", "encoder": "resnet19", "multiple": None}, "cannot build FPN with encoder resnet19"),
    ],
)
def test_network_that_does_not_fit_is_refused_when_it_is_built(streetnets, changes, message):
    with pytest.raises(BadInput, match=message):
        build.build(own(**changes), CLASSES)


# ---- code of one's own ------------------------------------------------------------------------------------------


def test_model_file_cannot_choose_what_code_is_run(streetnets, tmp_path):
    checkpoint.save(tmp_path / "model.pt", build.build(own(), CLASSES), MADE_BY)
    sys.modules.pop("streetnets")
    streetnets.write_text("from pathlib import Path\nPath('run').touch()")
    for trust in ((), ["streetnets:other"]):
        with pytest.raises(BadInput, match=r'built by streetnets:small.*"trust": \["streetnets:small"\]'):
            checkpoint.load(tmp_path / "model.pt", trust=trust)
    assert not (tmp_path / "run").exists()


def test_edited_code_of_ones_own_is_another_input(streetnets):
    from cotrain.files.provenance import named_files

    assert named_files({"model": own().model_dump()}) == [str(streetnets)]
    assert named_files({"trust": [OWN]}) == [str(streetnets)]
    assert named_files({"trust": ["hamlets:small"], "model": Model().model_dump()}) == []


def test_network_of_ones_own_goes_through_the_stages(streetnets, cotrain, tmp_path):
    rng = np.random.default_rng(0)
    photographs = {i: rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for i in "abcd"}
    index = write_index(tmp_path / "index.csv", photographs, {i: p[..., 0] % 3 for i, p in photographs.items()})
    labels = {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2}}
    train = {"source": labels, "source_size": [20, 30], "model": own().model_dump(), "course": {"steps": 2}}
    train |= {"augmentation": {"crop": [16, 16]}}
    model = tmp_path / "model.pt"
    result = cotrain("train", train, source=index, out=model)
    assert result.code == 0, result.err
    infer = {"classes": CLASSES, "size": [20, 30]}
    refused = cotrain("infer", infer, model=model, images=index, out=tmp_path / "p.h5")
    assert refused.code == 2 and "which is not of cotrain's libraries" in refused.err
    for stage, settings in (("infer", infer), ("evaluate", {"labels": labels, "size": [20, 30]})):
        result = cotrain(stage, settings | {"trust": [OWN]}, model=model, images=index, out=tmp_path / f"{stage}.out")
        assert result.code == 0, result.err


# ---- encoder weights --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pair",
    [
        {"architecture": "FPN", "encoder": "resnet18"},
        {"architecture": "UPerNet", "encoder": "tu-convnext_atto"},
        {"architecture": "lraspp_mobilenet_v3_large", "encoder": None},
        {"architecture": OWN, "encoder": None, "multiple": 2},
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_weights_of_a_file_become_those_of_the_encoder(pair, ending, tmp_path, streetnets):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    model = build.build(Model(**pair | {"weights": None}), CLASSES)
    saved = {name: tensor.contiguous() for name, tensor in model.encoder.state_dict().items()}
    write = torch.save if ending == "pth" else save_file
    write(saved | {"classifier": torch.zeros(3)}, tmp_path / f"w.{ending}")
    torch.manual_seed(2)
    model = build.build(Model(**pair | {"weights": str(tmp_path / f"w.{ending}")}), CLASSES)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in model.encoder.state_dict().items())


def test_weights_as_timm_names_them_will_do(tmp_path):
    import timm

    torch.manual_seed(1)
    saved = timm.create_model("convnext_atto").state_dict()
    torch.save(saved, tmp_path / "w.pth")
    settings = Model(architecture="UPerNet", encoder="tu-convnext_atto", weights=str(tmp_path / "w.pth"))
    found = build.build(settings, CLASSES).encoder.state_dict()
    assert torch.equal(found["model.stages_1.blocks.0.mlp.fc1.weight"], saved["stages.1.blocks.0.mlp.fc1.weight"])


def test_weights_that_lack_a_tensor_or_hold_code_are_refused(tmp_path):
    class Payload:
        def __reduce__(self):
            return (tmp_path / "run").touch, ()

    saved = build.build(Model(architecture="FPN", encoder="resnet18", weights=None), CLASSES).encoder.state_dict()
    lacking = {name: tensor for name, tensor in saved.items() if name != "layer1.0.conv1.weight"}
    torch.save(lacking, tmp_path / "lacking.pth")
    (tmp_path / "code.pth").write_bytes(pickle.dumps(Payload()))
    (tmp_path / "code.safetensors").write_bytes(pickle.dumps(Payload()))
    for file, words in (
        ("lacking.pth", "1 of 120 tensors are missing, such as layer1.0.conv1.weight"),
        ("code.pth", "not weights"),
        ("code.safetensors", "not weights"),
        ("none.pth", "no such file"),
    ):
        settings = Model(architecture="FPN", encoder="resnet18", weights=str(tmp_path / file))
        with pytest.raises(BadInput, match=f"{file}: .*{words}"):
            build.build(settings, CLASSES)
    assert not (tmp_path / "run").exists()


# ---- learning rates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "adamw"])
@pytest.mark.parametrize("schedule", list(optimizers.SCHEDULES))
def test_encoder_has_a_share_of_the_learning_rate_all_along(name, schedule):
    model = build.build(Model(architecture="FPN", encoder="resnet18", weights=None), CLASSES)
    optimizer = optimizers.make_optimizer(HeadedSegmenter(model), Optimizer(name=name, encoder_factor=0.1), 0.01)
    encoder, others = optimizer.param_groups
    assert {id(p) for p in encoder["params"]} == {id(p) for p in model.network.encoder.parameters()}
    assert len(encoder["params"]) + len(others["params"]) == len(list(model.parameters()))
    scheduler = optimizers.SCHEDULES[schedule](optimizer, 10)
    rates = []
    for _ in range(10):
        rates.append(others["lr"])
        assert encoder["lr"] == pytest.approx(0.1 * others["lr"])
        optimizer.step()
        scheduler.step()
    step, poly = [0.01] * 3 + [0.001] * 3 + [0.0001] * 4, [0.01 * (1 - i / 10) ** 0.9 for i in range(10)]
    expected = {"constant": [0.01] * 10, "step": step, "poly": poly}
    assert rates == pytest.approx(expected[schedule]) if schedule in expected else max(rates) == pytest.approx(0.01)


def test_factor_of_an_encoder_that_is_not_there_is_refused(streetnets):
    streetnets.write_text("from torch import nn\ndef small(classes):\n    return nn.Conv2d(3, classes, 1)")
    model = HeadedSegmenter(build.build(own(), CLASSES))
    assert len(optimizers.make_optimizer(model, Optimizer(), 0.01).param_groups) == 1
    with pytest.raises(BadInput, match=r"optimizer.encoder_factor: streetnets:small has no part named encoder"):
        optimizers.make_optimizer(model, Optimizer(encoder_factor=0.1), 0.01)


def test_a_network_is_the_one_of_its_library():
    """What is left out of building it, because it takes long, changes no weight."""
    import segmentation_models_pytorch as smp

    settings = Model(architecture="FPN", encoder="tu-tf_efficientnet_lite0", weights=None)
    torch.manual_seed(3)
    ours = build.build(settings, CLASSES).network.state_dict()
    torch.manual_seed(3)
    theirs = smp.create_model("FPN", settings.encoder, encoder_weights=None, classes=len(CLASSES)).state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
