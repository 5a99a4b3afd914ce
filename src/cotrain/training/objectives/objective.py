"""What a training asks of an objective, a term of its loss."""

from typing import Any, Protocol

import torch

from cotrain.networks.heads import HeadedSegmenter, Outputs
from cotrain.training.batches import Batch


class Objective(Protocol):
    """A term of the loss. It may keep tensors of its own, such as the averaged weights of a teacher.

    Where several processes share a training, each has the objective, with the same state.
    """

    def __init__(self, model: HeadedSegmenter):
        """`model` is on its device, not trained yet and in no optimizer: here heads are attached to it."""

    def loss(self, batch: Batch, outputs: Outputs) -> dict[str, torch.Tensor]:
        """The term's values by name, scalars on the model's device; no other objective has values of these names.

        A value is this process's share: summed over the processes, it is the value for the whole mini-batch.
        """

    def after_step(self, model: HeadedSegmenter) -> None:
        """Called after each step of the optimizer."""

    def state(self) -> dict[str, Any]:
        """Tensors and plain values that a restart file keeps."""

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave before the training was killed."""


class Stateless:
    """Base of objectives that keep nothing from one step to the next."""

    def __init__(self, model: HeadedSegmenter):
        """Takes nothing from the model."""

    def after_step(self, model: HeadedSegmenter) -> None:
        """Does nothing."""

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Does nothing."""
