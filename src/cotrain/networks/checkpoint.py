"""Model files: tensors and plain settings; loading one executes no code."""

import io
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from pydantic import BaseModel

from cotrain.base.errors import BadInput, in_short
from cotrain.files import atomic, contract
from cotrain.networks.build import skeleton
from cotrain.networks.segmenter import Segmenter
from cotrain.networks.tensors import check_archive, check_tensors
from cotrain.settings import architectures
from cotrain.settings.model import Model
from cotrain.settings.strict import parse
from cotrain.settings.types import Names


def save(path: Path, model: Segmenter, made_by: dict) -> None:
    """Write tensors and plain settings; loading such a file executes no code."""
    content = {
        "format": "cotrain-model",
        "version": contract.FORMAT_VERSION,
        "classes": list(model.classes),
        "model": model.settings.model_dump(),
        "built_by": built_by(model.settings),
        "provenance": made_by,
        "state": {name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()},
    }
    buffer = io.BytesIO()  # torch.save to a path would write that path's temporary name into the file
    torch.save(content, buffer)
    atomic.write_bytes(path, buffer.getvalue())
    atomic.write_sidecar(path, made_by)


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
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such model; run the stage that makes it") from None
    except Exception as error:  # torch.load raises many kinds for a bad file
        raise BadInput(f"{path}: not a model file of cotrain ({in_short(error)}); train it again") from None
    if not isinstance(content, dict) or content.get("format") != "cotrain-model":
        raise BadInput(f"{path}: not a model file of cotrain; give a model.pt")
    if content.get("version") != contract.FORMAT_VERSION:
        raise BadInput(f"{path}: format version {content.get('version')}, this code reads {contract.FORMAT_VERSION}")
    state = content.get("state")
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise BadInput(f"{path}: its weights are not tensors; train it again")
    parse(_Described, {name: value for name, value in content.items() if name != "state"}, str(path))
    return content


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
    model = skeleton(settings, found)
    try:
        model.load_state_dict(content["state"])
    except Exception as error:  # torch raises many kinds for tensors that do not fit
        raise BadInput(f"{path}: its weights do not fit its settings ({in_short(error)}); train it again") from None
    check_tensors(model, str(path))
    model.made_by = content["provenance"]
    return model
