"""Files of tensors, checked before they are read."""

import math
import zipfile
from pathlib import Path

import torch
from torch import nn

from cotrain.base.errors import BadInput


def read_tensors(file: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file, by name; no code in it is run."""
    if file.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(file)
    if zipfile.is_zipfile(file):
        check_archive(file)
    return torch.load(file, map_location="cpu", weights_only=True)


def check_archive(path: Path) -> None:
    """ValueError for a file that is damaged or would grow when it is read: torch checks neither."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("its parts overlap")
        damaged = archive.testzip()
        if damaged:
            raise ValueError(f"the checksum of {damaged} is wrong")


def check_tensors(model: nn.Module, where: str) -> None:
    """BadInput if a weight is infinite or not a number."""
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            continue
        total = tensor.sum(dtype=torch.float64)  # finite only if all terms are, and far quicker to check
        if not math.isfinite(total):
            raise BadInput(f"{where}: {name} has values that are not finite numbers; train it again")
