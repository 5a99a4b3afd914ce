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
    """ValueError for a file that is damaged or would grow when read: torch looks at neither."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("its parts overlap")
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} is wrong")


def check_tensors(model: nn.Module, where: str) -> None:
    """A sum is finite only if all of its terms are, and far quicker to look at."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not math.isfinite(tensor.sum(dtype=torch.float64)):
            raise BadInput(f"{where}: {name} has values that are not finite numbers; train it again")
