"""Model files: tensors and plain settings; loading one executes no code."""

import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel
from torch import nn

from cotrain.base.errors import BadInput, in_short
from cotrain.files import atomic, contract
from cotrain.networks.build import skeleton
from cotrain.networks.segmenter import Segmenter
from cotrain.networks.tensors import check_archive, check_tensors
from cotrain.settings import architectures
from cotrain.settings.model import Model
from cotrain.settings.strict import parse
from cotrain.settings.types import Names

FORMAT = "cotrain-model"
BUILDERS = {
    architectures.SMP: (architectures.SMP, "timm"),
    architectures.TORCHVISION: ("torchvision",),
}  # library of an architecture → packages that build it

Tensors = dict[str, torch.Tensor]


def save(path: Path, model: Segmenter, made_by: dict, heads: nn.ModuleDict | None = None) -> None:
    """Write a model, with the heads that it was trained with, as tensors and plain settings."""
    content = {
        "format": FORMAT,
        "version": contract.FORMAT_VERSION,
        "classes": list(model.classes),
        "model": model.settings.model_dump(),
        "built_by": built_by(model.settings),
        "provenance": made_by,
        "state": _tensors_of(model),
    }
    if heads:
        content["heads"] = {name: _tensors_of(head) for name, head in heads.items()}
    buffer = io.BytesIO()  # torch.save to a path would write that path's temporary name into the file
    torch.save(content, buffer)
    atomic.write_bytes(path, buffer.getvalue())
    atomic.write_sidecar(path, made_by)


def _tensors_of(module: nn.Module) -> Tensors:
    return {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}


def built_by(settings: Model) -> str:
    """The libraries that built a network, with their versions; or the person's own function."""
    packages = BUILDERS.get(architectures.library(settings.architecture))
    if packages is None:
        return settings.architecture
    return ", ".join(f"{name} {version(name)}" for name in packages)


class _Description(BaseModel):
    """The part of a model file that is not tensors."""

    classes: Names
    model: Model
    provenance: dict


def read(path: Path) -> dict:
    """The content of a model file, checked; tensors on the CPU. Raises BadInput."""
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such model; run the stage that makes it") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"{path}: not a model file of cotrain ({in_short(error)}); train it again") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BadInput(f"{path}: not a model file of cotrain; give a model.pt")
    if content.get("version") != contract.FORMAT_VERSION:
        raise BadInput(f"{path}: format version {content.get('version')}, this code reads {contract.FORMAT_VERSION}")
    if not _are_tensors(content.get("state")) or not _are_heads(content.get("heads", {})):
        raise BadInput(f"{path}: its weights are not tensors; train it again")
    description = {name: value for name, value in content.items() if name not in ("state", "heads")}
    parse(_Description, description, str(path))
    return content


def _are_tensors(state: Any) -> bool:
    if not isinstance(state, dict):
        return False
    return all(isinstance(tensor, torch.Tensor) for tensor in state.values())


def _are_heads(heads: Any) -> bool:
    """Whether each entry is a head's name and its tensors."""
    return isinstance(heads, dict) and all(_are_tensors(state) for state in heads.values())


def load(path: Path, classes: tuple[str, ...] | None = None, trust: Sequence[str] = ()) -> Segmenter:
    """A model from its file, without its heads; `classes` are those it must have been trained for.

    `trust` names the `module:function`s that it may be built by: a file must not choose what code is run.
    Raises BadInput.
    """
    content = read(path)
    trained_for = tuple(content["classes"])
    if classes is not None:
        _check_classes(path, trained_for, classes)
    settings = Model.model_validate(content["model"])
    _check_trust(path, settings.architecture, trust)
    model = skeleton(settings, trained_for)
    try:
        model.load_state_dict(content["state"])
    except Exception as error:  # torch raises many kinds for tensors that do not fit
        raise BadInput(f"{path}: its weights do not fit its settings ({in_short(error)}); train it again") from None
    check_tensors(model, str(path))
    model.made_by = content["provenance"]
    return model


def load_heads(path: Path, heads: nn.ModuleDict) -> None:
    """Give heads the weights that a model file has for them; those it has none for stay as they are.

    Raises BadInput for weights of another size.
    """
    if not heads:
        return
    saved = read(path).get("heads", {})
    for name, head in heads.items():
        if name not in saved:
            continue
        try:
            head.load_state_dict(saved[name])
        except Exception as error:  # torch raises many kinds for tensors that do not fit
            raise BadInput(
                f"{path}: its head {name} is not the one of these settings ({in_short(error)}); use the settings that "
                "it was trained with, or start from another model"
            ) from None
        check_tensors(head, str(path))


def _check_classes(path: Path, trained_for: tuple[str, ...], classes: tuple[str, ...]) -> None:
    if trained_for == classes:
        return
    difference = f"{len(trained_for)} / {len(classes)}"
    for trained, expected in zip(trained_for, classes, strict=False):
        if trained != expected:
            difference = f"{trained} / {expected}"
            break
    raise BadInput(
        f"{path}: trained for {len(trained_for)} classes, the data has {len(classes)} "
        f"(first difference: {difference}); use the label set it was trained with"
    )


def _check_trust(path: Path, architecture: str, trust: Sequence[str]) -> None:
    if architectures.library(architecture) == architectures.OWN and architecture not in trust:
        raise BadInput(
            f"{path}: it is built by {architecture}, which is not of cotrain's libraries; if you know that code, "
            f'allow it with the setting "trust": ["{architecture}"]'
        )
