"""Architectures by name: where each comes from and what it needs of images, known without loading a library."""

import sys
from difflib import get_close_matches
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

SMP, TORCHVISION, OWN = "segmentation-models-pytorch", "torchvision", "own"
BUNDLED_ENCODER = "tu-tf_efficientnet_lite0"
TIMM = "tu-"  # begins the names of timm's encoders in segmentation-models-pytorch


class Needs(NamedTuple):
    """What a network needs of its images: they are padded to it; mini-batches that are too small are refused."""

    strides: int = 1  # sides are multiples of so many strides of the encoder
    side: int = 1  # least side, pixels
    batch: int = 1  # least mini-batch: 2 where BatchNorm sees one value of each image


ARCHITECTURES = {
    "Unet": Needs(),
    "UnetPlusPlus": Needs(),
    "MAnet": Needs(),
    "Linknet": Needs(),
    "FPN": Needs(),
    "PSPNet": Needs(),
    "DeepLabV3": Needs(batch=2),
    "DeepLabV3Plus": Needs(batch=2),
    "PAN": Needs(side=128, batch=2),  # it halves the coarsest features three times
    "UPerNet": Needs(batch=2),
    "Segformer": Needs(),
    "DPT": Needs(strides=2),  # it halves the tokens and doubles them again
}
TORCHVISION_ARCHITECTURES = {
    "deeplabv3_mobilenet_v3_large": Needs(batch=2),
    "deeplabv3_resnet50": Needs(batch=2),
    "deeplabv3_resnet101": Needs(batch=2),
    "fcn_resnet50": Needs(),
    "fcn_resnet101": Needs(),
    "lraspp_mobilenet_v3_large": Needs(),
}


def library(architecture: str) -> str:
    """Which library has an architecture; OWN for a `module:function`. ValueError for a name that none has."""
    if architecture in ARCHITECTURES:
        return SMP
    if architecture in TORCHVISION_ARCHITECTURES:
        return TORCHVISION
    module, _, function = architecture.partition(":")
    if function.isidentifier() and all(part.isidentifier() for part in module.split(".")):
        return OWN
    known = [*ARCHITECTURES, *TORCHVISION_ARCHITECTURES]
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(architecture.lower(), by_lower, 1)
    hint = f"did you mean {by_lower[close[0]]}" if close else f"there are {', '.join(known)}"
    raise ValueError(f"no such architecture; {hint}, or a module:function of your own?")


def needs(architecture: str) -> Needs:
    return (ARCHITECTURES | TORCHVISION_ARCHITECTURES).get(architecture, Needs())


def check_encoder(architecture: str, encoder: str | None) -> None:
    """ValueError unless the architecture can be built on the encoder."""
    if library(architecture) != SMP:
        if encoder is not None:
            raise ValueError(f"set it to null, {architecture} has an encoder of its own")
    elif encoder is None:
        raise ValueError(f"name one for {architecture}, such as resnet50 or {BUNDLED_ENCODER}")
    elif architecture == "DPT" and not encoder.startswith(TIMM):
        raise ValueError("it has to be a vision transformer of timm, such as tu-vit_small_patch14_dinov2")


def check_weights(architecture: str, encoder: str | None, weights: str | None) -> None:
    """ValueError unless there can be such weights for the encoder; files and hubs are not looked at."""
    if weights is None or weights_file(weights):
        return
    where = library(architecture)
    if weights == "bundled" and encoder != BUNDLED_ENCODER:
        raise ValueError(f"bundled are the weights of {BUNDLED_ENCODER} alone; give imagenet, a file or null")
    if where == OWN:
        raise ValueError("a network of your own takes a file or null")
    if weights not in ("imagenet", "bundled") and (where == TORCHVISION or encoder.startswith(TIMM)):
        raise ValueError("give imagenet, a file or null; timm's other weights are named by the encoder: tu-NAME.TAG")


def check_options(architecture: str, encoder: str | None, options: dict) -> None:
    """ValueError for what would fail only when the network sees an image."""
    if architecture == "DPT" and "patch14" in encoder and "patch_size" not in options:
        raise ValueError("patches of 14 pixels do not fit DPT; give {patch_size: 16}, and timm resamples hub weights")


def weights_file(weights: str | None) -> str | None:
    """The path that weights are read from; None for a name that the hub knows, and for `bundled`."""
    is_path = weights and ("/" in weights or weights.endswith((".pt", ".pth", ".bin", ".safetensors")))
    return weights if is_path else None


def source_file(architecture: str) -> str | None:
    """The file of a person's own `module:function`, found without running it; None if it is none or is not there."""
    if library(architecture) != OWN:
        return None
    places, found = [*sys.path, str(Path.cwd())], None
    for part in architecture.partition(":")[0].split("."):
        found = PathFinder.find_spec(part, places)
        if found is None:
            return None
        places = found.submodule_search_locations or []
    return found.origin
