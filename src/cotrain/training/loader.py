"""Mini-batches made ahead of the steps by other processes."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from cotrain.base.errors import BadInput, in_short
from cotrain.networks import torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.training.batches import Batch, Batches, Decoded


class _Steps(Dataset):
    """What workers make for each step: its batch, or only its decoded images.

    Returns a worker's BadInput instead of raising it, so that no traceback is printed.
    """

    def __init__(self, batches: Batches, augmented: bool):
        self.batches = batches
        self.augmented = augmented

    def __getitem__(self, step: int) -> Batch | list[Decoded] | BadInput:
        try:
            if self.augmented:
                return self.batches[step]
            return list(self.batches.decoded(step))
        except BadInput as fault:
            return fault


def ahead(
    batches: Batches,
    first: int,
    workers: int,
    pinned: bool,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """The batches from step `first` on, made by `workers` processes ahead of the steps; with 0, by this process.

    They are augmented by the workers too, or on `device` if one is given. `pinned` puts them into memory that a GPU
    copies from while it computes. Raises BadInput if a worker was killed.
    """
    steps = range(first, len(batches))
    loader = DataLoader(
        _Steps(batches, augmented=device is None),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        pin_memory=pinned,
    )
    results = _checked(iter(loader))  # draws a number of torch's generator here, not when the first batch is asked for
    if device is None:
        return results
    return _augmented_on(device, batches, steps, results)


def _augmented_on(
    device: torch.device, batches: Batches, steps: range, results: Iterator[list[Decoded]]
) -> Iterator[Batch]:
    for step, decoded in zip(steps, results, strict=True):
        yield batches.assembled(step, [images.to(device) for images in decoded])


def _checked(results: Iterator) -> Iterator[Any]:
    """The results of the workers; raises the BadInput that one of them met."""
    try:
        for result in results:
            if isinstance(result, BadInput):
                raise result
            yield result
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise BadInput(
            f"training.workers: a process that makes mini-batches ended ({in_short(error)}); if memory was short, "
            "lower it or training.cache_mb"
        ) from None
