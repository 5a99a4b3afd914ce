"""Objectives: the terms of a training's loss, one file for each.

To add one, write its class (see `objective.py`), and enter its name here and in `ObjectiveName` of the settings.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch

from cotrain.networks.heads import HeadedSegmenter, Outputs
from cotrain.settings.training import ObjectiveName, ObjectiveWeight
from cotrain.training.batches import Batch
from cotrain.training.objectives.objective import Objective
from cotrain.training.objectives.segmentation import Segmentation

OBJECTIVES: dict[ObjectiveName, Callable[[HeadedSegmenter], Objective]] = {
    "segmentation": Segmentation,
}


class Term(NamedTuple):
    """A value of an objective, and its weight in the loss."""

    name: str
    weight: float
    value: torch.Tensor


class Objectives:
    """The objectives of one training, with their weights. The loss is the weighted sum of their values."""

    def __init__(self, settings: Sequence[ObjectiveWeight], model: HeadedSegmenter):
        """Makes the objectives, which may attach heads to `model`."""
        self.weights = {chosen.name: chosen.weight for chosen in settings}
        self.objectives = {name: OBJECTIVES[name](model) for name in self.weights}

    def terms(self, batch: Batch, outputs: Outputs) -> list[Term]:
        """The values of all objectives."""
        terms = []
        for name, objective in self.objectives.items():
            for value_name, value in objective.loss(batch, outputs).items():
                terms.append(Term(value_name, self.weights[name], value))
        return terms

    def after_step(self, model: HeadedSegmenter) -> None:
        for objective in self.objectives.values():
            objective.after_step(model)

    def state_dict(self) -> dict[str, Any]:
        """The state of each objective, by its name."""
        return {name: objective.state() for name, objective in self.objectives.items()}

    def load_state_dict(self, states: dict[str, Any]) -> None:
        for name, objective in self.objectives.items():
            objective.load_state(states[name])
