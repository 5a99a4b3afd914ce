"""The processor or GPU that a network runs on."""

import torch

from cotrain.base.errors import BadInput
from cotrain.base.malloc import keep_freed


def prepare(threads: int) -> None:
    """Set this process up for a network: threads, and that memory once freed is kept for the next step."""
    torch.set_num_threads(threads)
    keep_freed()


def device_of(name: str) -> torch.device:
    """`auto` is CUDA where there is one."""
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("device: cuda was asked for and none is available; set device to auto or cpu")
    return torch.device("cuda" if name == "cuda" or (name == "auto" and torch.cuda.is_available()) else "cpu")
