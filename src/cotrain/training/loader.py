"""Mini-batches made ahead of the steps by other processes."""

from collections.abc import Iterator

import torch
from torch.utils.data import DataLoader, Dataset

from cotrain.base.errors import BadInput, in_short
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.training.batches import Batches, _Read


class _Told(Dataset):
    """Batches, or what they are made of; or the BadInput that came up: DataLoader would pass on a traceback."""

    def __init__(self, batches: Batches, made: bool):
        self.batches, self.made = batches, made

    def __getitem__(self, step: int) -> tuple[torch.Tensor, torch.Tensor] | list[_Read] | BadInput:
        try:
            return self.batches[step] if self.made else list(self.batches.read(step))
        except BadInput as fault:
            return fault


def ahead(
    batches: Batches, first: int, workers: int, pinned: bool, device: torch.device | None = None
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The batches from step `first` on, read by `workers` processes ahead of the steps, or by this one with 0.

    They are augmented there too, or on `device` if one is given. `pinned` puts what was read or made in memory that a
    GPU copies from while it computes. BadInput if a process was killed.
    """
    steps = range(first, len(batches))
    told = _Told(batches, made=device is None)
    loader = DataLoader(told, batch_size=None, sampler=steps, num_workers=workers, pin_memory=pinned)
    given = _whole(iter(loader))  # draws a number of torch's generator here, not when the first batch is asked for
    if device is None:
        return given
    return (batches.made(step, [read.to(device) for read in places]) for step, places in zip(steps, given, strict=True))


def _whole(loader: Iterator) -> Iterator:
    try:
        for batch in loader:
            if isinstance(batch, BadInput):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise BadInput(
            f"training.workers: a process that makes mini-batches ended ({in_short(error)}); if memory was short, "
            "lower it or training.cache_mb"
        ) from None
