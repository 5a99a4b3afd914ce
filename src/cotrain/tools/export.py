"""Turns a model into a file for other programs: ONNX, or TorchScript, for images of any number and size."""

import io
import json
import tempfile
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import torch

from cotrain.base.errors import BadInput, in_short
from cotrain.base.roles import READ, WRITE
from cotrain.files import atomic, contract
from cotrain.networks import checkpoint
from cotrain.networks.segmenter import Segmenter
from cotrain.settings.tools import Export

TOLERANCE = 1e-4  # of the logits, and of the largest where that is above 1
INPUT, OUTPUT = "image", "logits"
ONNX, TORCHSCRIPT = ".onnx", ".ts"

Logits = Callable[[torch.Tensor], torch.Tensor]  # images (B, 3, H, W) uint8 → (B, C, H, W)


class Exported(NamedTuple):
    data: bytes  # of the file
    logits: Logits  # by the program that the file is for


def run(settings: Export, model: Annotated[Path, READ], out: Annotated[Path, WRITE]) -> None:
    """`--out` ends in .onnx, or in .ts for TorchScript.

    Both take images (B, 3, H, W) uint8, sRGB, and give logits (B, C, H, W).
    Normalisation and padding are inside. Before the file is written it is compared with the model, at sizes that it
    was not made with. Classes, normalisation and provenance are in its metadata.
    """
    if out.suffix not in (ONNX, TORCHSCRIPT):
        raise BadInput(f"--out: {out.name} ends in neither .onnx nor .ts (TorchScript); name it so")
    if out.suffix == ONNX and not (find_spec("onnx") and find_spec("onnxruntime")):
        raise BadInput('--out: ONNX needs the packages onnx and onnxruntime; pip install "cotrain[export]"')
    network = checkpoint.load(model, trust=settings.trust).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of sizes that become constants, which the comparison would notice
        try:
            exported, difference = _export(network, out.suffix, settings.opset)
        except Exception as error:  # exporters raise many kinds
            reason = f"it cannot be exported as {out.suffix} ({in_short(error)})"
            raise BadInput(f"{model}: {reason}; try the other") from None
    if not difference <= TOLERANCE:
        reason = f"exported as {out.suffix} its logits are {difference:.1g} off at other sizes"
        raise BadInput(f"{model}: {reason}; try the other")
    atomic.write_bytes(out, exported.data)
    size = f"{len(exported.data) / 1e6:.1f} MB, {len(network.classes)} classes"
    print(f"{out}: {size}, at most {difference:.1g} off the model's logits")


def _export(network: Segmenter, suffix: str, opset: int) -> tuple[Exported, float]:
    """The exported network, and how far its logits are off at sizes that it was not made with."""
    unit = max(network.multiple, network.side, 32)
    example = _random_images(2, unit + 5, 2 * unit - 7)
    exported = _onnx(network, example, opset) if suffix == ONNX else _torchscript(network, example)
    differences = []
    for count, height, width in ((1, unit + 1, unit), (3, 33, 3 * unit)):
        images = _random_images(count, height, width)
        differences.append(_difference(network(images), exported.logits(images)))
    return exported, max(differences)


def _random_images(count: int, height: int, width: int) -> torch.Tensor:
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(0, 256, (count, 3, height, width), dtype=np.uint8))


def _difference(expected: torch.Tensor, logits: torch.Tensor) -> float:
    """The largest difference of any logit, over the largest logit if that is above 1; infinite for another shape."""
    if logits.shape != expected.shape:
        return float("inf")
    largest = float(expected.abs().max())
    return float((logits - expected).abs().max()) / max(1.0, largest)


def _metadata(network: Segmenter) -> dict[str, str]:
    """Name → text or JSON."""
    mean = (network.mean.flatten() / 255).tolist()
    std = (network.std.flatten() / 255).tolist()
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
    texts = {}
    for name, value in values.items():
        texts[name] = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return texts


def _onnx(network: Segmenter, example: torch.Tensor, opset: int) -> Exported:
    import onnx
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=False,  # but by tracing: torch.export of a demo's model for any size had not ended after minutes
            opset_version=opset,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={
                INPUT: {0: "batch", 2: "height", 3: "width"},
                OUTPUT: {0: "batch", 2: "height", 3: "width"},
            },
        )
        graph = onnx.load(path)
    onnx.helper.set_model_props(graph, _metadata(network))
    onnx.checker.check_model(graph)
    data = graph.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def logits(images: torch.Tensor) -> torch.Tensor:
        [array] = session.run([OUTPUT], {INPUT: images.numpy()})
        return torch.from_numpy(array)

    return Exported(data, logits)


def _torchscript(network: Segmenter, example: torch.Tensor) -> Exported:
    traced = torch.jit.trace(network, (example,), check_trace=False)
    buffer = io.BytesIO()
    torch.jit.save(traced, buffer, _extra_files=_metadata(network))
    data = buffer.getvalue()
    return Exported(data, torch.jit.load(io.BytesIO(data)))
