"""Turns a model into a file for other programs: ONNX, or TorchScript, for images of any number and size."""

import io
import json
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from cotrain.base.errors import BadInput, in_short
from cotrain.files import atomic, contract
from cotrain.networks import checkpoint, segmenter
from cotrain.settings.tools import Export

TOLERANCE = 1e-4  # of the logits, and of the largest where that is above 1
INPUT, OUTPUT = "image", "logits"

Network = Callable[[torch.Tensor], torch.Tensor]


def run(settings: Export, model: Path, out: Path) -> None:
    """`--out` ends in .onnx, or in .ts for TorchScript.

    Both take images (B, 3, H, W) uint8, sRGB, and give logits (B, C, H, W).
    Normalisation and padding are inside. Before the file is written it is compared with the model, at sizes that it
    was not made with. Classes, normalisation and provenance are in its metadata.
    """
    if out.suffix not in (".onnx", ".ts"):
        raise BadInput(f"--out: {out.name} ends in neither .onnx nor .ts (TorchScript); name it so")
    if out.suffix == ".onnx" and not (find_spec("onnx") and find_spec("onnxruntime")):
        raise BadInput('--out: ONNX needs the packages onnx and onnxruntime; pip install "cotrain[export]"')
    network = checkpoint.load(model, trust=settings.trust).eval()
    unit = max(network.multiple, network.side, 32)
    example = _images(2, unit + 5, 2 * unit - 7)
    about = _about(network)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of sizes that become constants, which the comparison would notice
        try:
            if out.suffix == ".onnx":
                data, exported = _onnx(network, example, about, settings.opset)
            else:
                data, exported = _torchscript(network, example, about)
            off = max(_difference(network, exported, _images(*s)) for s in ((1, unit + 1, unit), (3, 33, 3 * unit)))
        except Exception as error:  # exporters raise many kinds
            raise BadInput(
                f"{model}: it cannot be exported as {out.suffix} ({in_short(error)}); try the other"
            ) from None
    if not off <= TOLERANCE:
        raise BadInput(f"{model}: exported as {out.suffix} its logits are {off:.1g} off at other sizes; try the other")
    atomic.write_bytes(out, data)
    print(f"{out}: {len(data) / 1e6:.1f} MB, {len(network.classes)} classes, at most {off:.1g} off the model's logits")


def _images(count: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, height, width), dtype=np.uint8))


def _difference(network: Network, exported: Network, images: torch.Tensor) -> float:
    """The largest of any logit, over the largest logit if that is above 1."""
    expected, found = network(images), exported(images)
    if found.shape != expected.shape:
        return float("inf")
    return float((found - expected).abs().max() / max(1.0, float(expected.abs().max())))


def _about(network: segmenter.Segmenter) -> dict[str, str]:
    """The metadata: name → text or JSON."""
    mean, std = ((values.flatten() / 255).tolist() for values in (network.mean, network.std))
    values = {
        "format": "cotrain-export",
        "version": contract.FORMAT_VERSION,
        "classes": list(network.classes),
        "input": "uint8 sRGB (batch, 3, height, width), any size; normalised inside: (image / 255 - mean) / std",
        "mean": [round(value, 6) for value in mean],
        "std": [round(value, 6) for value in std],
        "output": "logits (batch, classes, height, width)",
        "model": network.settings.model_dump(mode="json"),
        "provenance": network.made_by,
    }
    return {name: v if isinstance(v, str) else json.dumps(v, sort_keys=True) for name, v in values.items()}


def _onnx(network: segmenter.Segmenter, example: torch.Tensor, about: dict, opset: int) -> tuple[bytes, Network]:
    import onnx
    import onnxruntime

    axes = {0: "batch", 2: "height", 3: "width"}
    names = {"input_names": [INPUT], "output_names": [OUTPUT], "dynamic_axes": {INPUT: axes, OUTPUT: axes}}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        # By tracing: torch.export of a demo's model for any size had not ended after minutes.
        torch.onnx.export(network, (example,), path, dynamo=False, opset_version=opset, **names)
        graph = onnx.load(path)
    onnx.helper.set_model_props(graph, about)
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return data, lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _torchscript(network: segmenter.Segmenter, example: torch.Tensor, about: dict) -> tuple[bytes, Network]:
    traced = torch.jit.trace(network, (example,), check_trace=False)
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files=about)
    return buffer.getvalue(), torch.jit.load(io.BytesIO(buffer.getvalue()))
