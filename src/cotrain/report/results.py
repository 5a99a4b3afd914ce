"""What the stages of a run wrote, by round: all that the report tells, but for the maps and photographs themselves."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.data.colors import Color


class Pseudolabels(NamedTuple):
    """A round's pseudo-labels of N images of C classes, without their maps."""

    path: Path
    image_ids: list[str]
    confidence: np.ndarray  # (N,), mean over the labelled pixels of an image
    class_pixels: np.ndarray  # (N, C)
    size: tuple[int, int]  # height and width, pixels

    @property
    def coverage(self) -> float:
        """Share of all pixels that have a label."""
        height, width = self.size
        pixels = len(self.image_ids) * height * width
        return float(self.class_pixels.sum() / max(1, pixels))


@dataclass(frozen=True)
class Results:
    """Contents of a run's files. All dicts but `colors` go from a round to what belongs to it, in their order."""

    names: dict[str, str]  # as people read them
    colors: dict[str, Color]  # of the classes, in their order
    summary: pd.DataFrame | None
    thresholds: dict[str, pd.DataFrame]
    pseudolabels: dict[str, Pseudolabels]
    predictions: dict[str, Path]  # that the pseudo-labels were made from, if they are kept
    selected: dict[str, pd.DataFrame]
    metrics: dict[str, dict]
    evaluated: dict[str, Path]  # pictures of the evaluations
    measures: dict[str, dict]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.colors)

    @property
    def class_colors(self) -> list[Color]:
        return list(self.colors.values())

    @property
    def without_predictions(self) -> list[str]:
        """Rounds of which only the pseudo-labels can be pictured."""
        return [name for name in self.pseudolabels if name not in self.predictions]


def check_classes(path: Path, classes: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Raises BadInput if the classes of a file are not the expected ones, in their order."""
    if tuple(classes) != tuple(expected):
        raise BadInput(f"{path}: other classes than settings.colors; use the label set of its run")
