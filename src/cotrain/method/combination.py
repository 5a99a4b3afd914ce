"""Combination of the pseudo-labels of several models (Gómez et al. 2022, Sect. III-B)."""

from collections.abc import Sequence

import numpy as np

from cotrain.method.kernels import fill_void
from cotrain.method.labelmaps import SCALE, VOID


def combine(
    labels: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray],
    model: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill one model's void pixels with labels of the other models; disagreements stay (Sect. III-B, Combination).

    Class maps (H, W) uint8 and confidences (H, W) uint16 of N ≥ 2 models; `model` is the position of the one whose map
    is filled. Returns the filled map and its confidences. The paper has two models; of more, a void pixel takes the
    label that most of the others have (`adopt_majority`).
    """
    label = labels[model]
    confidence = confidences[model]
    if len(labels) == 2:
        other = 1 - model
        return fill_void(label, confidence, labels[other], confidences[other])

    void = label == VOID
    adopted, adopted_confidence = adopt_majority(
        confidence[void],
        [values[void] for values in labels],  # the model itself is void there and has no vote
        [values[void] for values in confidences],
    )
    combined = label.copy()
    combined[void] = adopted
    combined_confidence = confidence.copy()
    combined_confidence[void] = adopted_confidence
    return combined, combined_confidence


def adopt_majority(
    confidence: np.ndarray,
    labels: Sequence[np.ndarray],
    confidences: Sequence[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """The label that most models have at each pixel, with the highest confidence of the models that have it.

    Of labels that equally many models have, the one of higher confidence counts, then the one of the earlier model.
    labels (n,) uint8, confidences (n,) uint16 of each model. Returns (n,) and (n,): where all models are void, VOID and
    what `confidence` (n,) has there.
    """
    adopted = np.full(confidence.shape, VOID, np.uint8)
    adopted_confidence = confidence.copy()
    best_score = np.zeros(confidence.shape, np.int64)
    for label, label_confidence in zip(labels, confidences, strict=True):
        votes = np.zeros(confidence.shape, np.int64)
        for voter in labels:
            votes += voter == label
        score = votes * (SCALE + 1) + label_confidence  # votes count first, confidences decide between equal votes
        score[label == VOID] = 0
        better = score > best_score  # so equal scores stay with the earlier model
        adopted[better] = label[better]
        adopted_confidence[better] = label_confidence[better]
        best_score[better] = score[better]
    return adopted, adopted_confidence
