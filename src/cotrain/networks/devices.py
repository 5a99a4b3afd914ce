"""The processor or GPU that a network runs on."""

import torch

from cotrain.base.errors import BadInput
from cotrain.base.malloc import keep_freed


def prepare(threads: int) -> None:
    """Set this process up for a network: its threads, and that freed memory is kept for the next step."""
    torch.set_num_threads(threads)
    keep_freed()


def device_of(name: str) -> torch.device:
    """`cpu`, `cuda`, or `auto`: CUDA where there is a GPU. Raises BadInput for `cuda` without one."""
    if name == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda")
    if name == "cuda":
        raise BadInput("device: cuda was asked for and none is available; set device to auto or cpu")
    return torch.device("cpu")
