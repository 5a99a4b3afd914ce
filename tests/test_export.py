"""Exported models, opened by ONNX Runtime and TorchScript alone, give the logits of the model."""

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import CLASSES, MADE_BY

from cotrain.cli import main
from cotrain.networks import build, checkpoint, segmenter
from cotrain.settings.model import Model

NETWORKS = [
    {"architecture": "FPN", "encoder": "tu-mobilenetv3_small_050"},
    {"architecture": "DeepLabV3Plus", "encoder": "resnet18"},
    {"architecture": "lraspp_mobilenet_v3_large", "encoder": None},
]
SIZES = [(1, 1, 70), (4, 64, 96), (1, 45, 211)]  # none is one that `export` tries


@pytest.fixture(params=NETWORKS, ids=lambda network: network["architecture"])
def trained(request, tmp_path) -> segmenter.Segmenter:
    torch.manual_seed(0)
    model = build.build(Model(**request.param, weights=None), CLASSES).eval()
    checkpoint.save(tmp_path / "model.pt", model, MADE_BY)
    return model


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def export(folder, ending: str):
    out = folder / f"exported{ending}"
    assert main(["export", "--model", str(folder / "model.pt"), "--out", str(out)]) == 0
    return out


def check(trained: segmenter.Segmenter, exported) -> None:
    for count, height, width in SIZES:
        batch = images(count, 3, height, width)
        with torch.no_grad():
            expected = trained(torch.from_numpy(batch)).numpy()
        found = exported(batch)
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1, abs(expected).max()))


def test_onnx_gives_the_logits_of_the_model(trained, tmp_path):
    path = export(tmp_path, ".onnx")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    check(trained, lambda batch: session.run(["logits"], {"image": batch})[0])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["classes"]) == list(CLASSES)
    assert json.loads(about["mean"]) == pytest.approx((trained.mean.flatten() / 255).tolist(), abs=1e-6)
    assert json.loads(about["std"]) == pytest.approx((trained.std.flatten() / 255).tolist(), abs=1e-6)
    assert json.loads(about["provenance"]) == MADE_BY
    assert [(i.domain, i.version) for i in onnx.load(path).opset_import] == [("", 18)]
    assert session.get_inputs()[0].shape[1:2] == [3] and session.get_inputs()[0].type == "tensor(uint8)"


def test_torchscript_gives_the_logits_of_the_model(trained, tmp_path):
    about = dict.fromkeys(("classes", "mean", "std"), "")
    loaded = torch.jit.load(export(tmp_path, ".ts"), _extra_files=about)
    with torch.no_grad():
        check(trained, lambda batch: loaded(torch.from_numpy(batch)).numpy())
    assert json.loads(about["classes"]) == list(CLASSES) and len(json.loads(about["mean"])) == 3


def test_export_that_differs_is_refused(tmp_path, monkeypatch, capsys):
    """A network whose sizes tracing would fix."""
    model = build.build(Model(architecture="FPN", encoder="tu-mobilenetv3_small_050", weights=None), CLASSES)
    checkpoint.save(tmp_path / "model.pt", model, MADE_BY)
    forward = segmenter.Segmenter.forward

    def sized(self, x):
        return forward(self, x) + (1.0 if int(x.shape[-1]) % 2 else 0.0)  # a constant in the trace

    monkeypatch.setattr(segmenter.Segmenter, "forward", sized)
    out = tmp_path / "exported.ts"
    assert main(["export", "--model", str(tmp_path / "model.pt"), "--out", str(out)]) == 2
    assert "off at other sizes" in capsys.readouterr().err and not out.exists()
