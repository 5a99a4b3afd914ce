"""Fills each model's void pixels with pseudo-labels of the other models (Sect. III-B, Combination)."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from cotrain.base.progress import progress
from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, labelfiles, members
from cotrain.method.combination import combine
from cotrain.method.labelmaps import confidence_of, image_statistics
from cotrain.settings.pseudolabels import Combine


class _Model(NamedTuple):
    """Open maps of one model, read image by image."""

    pseudolabels: hdf5.Values  # (N, H, W) uint8
    classes: hdf5.Values  # (N, K, H, W) uint8: the K most probable classes
    confidences: hdf5.Values  # (N, K, H, W) uint16


def run(
    settings: Combine,
    pseudolabels: Annotated[list[Path], READ],
    predictions: Annotated[list[Path], READ],
    out: Annotated[list[Path], WRITE],
    made_by: dict,
) -> None:
    """Each flag takes one file per model, two or more, in the same order.

    Of more than two models, a void pixel takes the label that most of the others have there.
    """
    members.check_one_per_model(pseudolabels=pseudolabels, predictions=predictions, out=out)
    with ExitStack() as stack:
        label_files = [stack.enter_context(hdf5.open_hdf5(path, "pseudolabels")) for path in pseudolabels]
        prediction_files = [stack.enter_context(hdf5.open_hdf5(path, "predictions")) for path in predictions]
        files = [*label_files, *prediction_files]
        members.check_same_images(files)
        members.check_same_size(files)
        ids = hdf5.image_ids(label_files[0])
        classes = label_files[0].classes
        size = label_files[0]["label"].shape[1:]

        models = []
        writers = []
        for path, label_file, prediction_file in zip(out, label_files, prediction_files, strict=True):
            model = _Model(
                pseudolabels=label_file["label"],
                classes=prediction_file["label"],
                confidences=prediction_file["confidence"],
            )
            models.append(model)
            rounds = label_file["round"].asstr()[:].tolist()
            writer = labelfiles.create_pseudolabels(path, classes, ids, rounds, size, made_by)
            writers.append(stack.enter_context(writer))

        for image in progress(range(len(ids)), "combine", "image"):
            labels, confidences = _read(models, image)
            for number, write in enumerate(writers):
                label, confidence = combine(labels, confidences, number)
                write(image, label, image_statistics(label, confidence, len(classes)))


def _read(models: list[_Model], image: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Each model's pseudo-labels of an image, (H, W) uint8, and their confidences, (H, W) uint16."""
    labels = []
    confidences = []
    for model in models:
        label = model.pseudolabels[image]
        confidence = confidence_of(label, model.classes[image], model.confidences[image])
        labels.append(label)
        confidences.append(confidence)
    return labels, confidences
