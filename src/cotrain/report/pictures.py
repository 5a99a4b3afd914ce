"""The images that the page shows: each with its labels and predictions of all rounds as layers."""

from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.data import indexing
from cotrain.data.images import read_image
from cotrain.data.labels import read_label
from cotrain.files import hdf5
from cotrain.files.tables import read_table
from cotrain.report import thumbnails
from cotrain.report.results import Results, check_classes
from cotrain.settings.report import Report


class LayeredImage(NamedTuple):
    """One image of the viewer."""

    image_id: str
    size: tuple[int, int]  # height and width of the layers, pixels
    layers: dict[str, str]  # name → data URI, in the order of the rounds


class Album(NamedTuple):
    """A set of images that the viewer offers."""

    title: str
    images: list[LayeredImage]


def albums(results: Results, settings: Report, target: Path, validation: Path | None) -> list[Album]:
    """Target images, and validation images if evaluations kept pictures of them; none without an image.

    target, validation: index tables.
    """
    candidates = []
    if settings.images:
        candidates.append(Album("Target images", _target_images(results, settings, target)))
    if results.evaluated and validation:
        candidates.append(Album("Validation images", _validation_images(results, settings, validation)))
    return [album for album in candidates if album.images]


def _target_images(results: Results, settings: Report, target: Path) -> list[LayeredImage]:
    """Photograph, truth if its labels are given, and of each round pseudo-label and, if kept, prediction."""
    image_ids_by_round = {name: labelled.image_ids for name, labelled in results.pseudolabels.items()}
    image_ids = spread(image_ids_by_round, settings.images)
    rows = indexing.by_id(read_table(target, "index"), image_ids, target)
    if settings.labels:
        indexing.check_labelled(rows, target)
    first_round = next(iter(results.pseudolabels.values()))
    size = thumbnails.fitted(first_round.size, settings.width)
    images = []
    for row in progress(rows.itertuples(), "report", "image", len(rows)):
        layers = {"photograph": thumbnails.photograph(read_image(row.image, size))}
        if settings.labels:
            truth = read_label(row.label, settings.labels.coding(row.image_id), size)
            layers["truth"] = thumbnails.class_map(truth, results.class_colors, size)
        images.append(LayeredImage(row.image_id, size, layers))
    for round_name in results.pseudolabels:
        _add_round(images, round_name, results)
    return images


def spread(image_ids: dict[str, list[str]], count: int) -> list[str]:
    """Up to `count` ids, sorted: first those in the most rounds; of equally frequent ones, evenly spread over the set.

    image_ids: round → the images that it labelled.
    """
    frequency: dict[str, int] = {}
    for ids_of_round in image_ids.values():
        for image_id in ids_of_round:
            frequency[image_id] = frequency.get(image_id, 0) + 1
    chosen: list[str] = []
    for rounds in sorted(set(frequency.values()), reverse=True):
        candidates = sorted(image_id for image_id, number in frequency.items() if number == rounds)
        room = min(count - len(chosen), len(candidates))
        places = np.linspace(0, len(candidates) - 1, room).round().astype(int)
        chosen += [candidates[place] for place in places]
    return sorted(chosen)


def _add_round(images: list[LayeredImage], round_name: str, results: Results) -> None:
    """Adds a round's layers to the images that it labelled."""
    labelled = results.pseudolabels[round_name]
    places = {image_id: place for place, image_id in enumerate(labelled.image_ids)}
    title = results.names[round_name]
    colors = results.class_colors
    with ExitStack() as stack:
        labels = stack.enter_context(hdf5.open_hdf5(labelled.path, "pseudolabels"))
        predictions = _open_predictions(stack, round_name, results)
        for image in progress(images, f"report {round_name}", "image"):
            place = places.get(image.image_id)
            if place is None:
                continue
            if predictions:
                prediction = predictions["label"][place, 0]
                image.layers[f"prediction for {title}"] = thumbnails.class_map(prediction, colors, image.size)
            label = labels["label"][place]
            image.layers[f"pseudo-label for {title}"] = thumbnails.class_map(label, colors, image.size)
            if predictions:
                confidence = predictions["confidence"][place, 0]
                image.layers[f"confidence for {title}"] = thumbnails.confidence_map(confidence, image.size)


def _open_predictions(stack: ExitStack, round_name: str, results: Results) -> hdf5.Contents | None:
    """The open predictions that a round's pseudo-labels were made from; None if they were not kept."""
    path = results.predictions.get(round_name)
    if path is None:
        return None
    labelled = results.pseudolabels[round_name]
    predictions = stack.enter_context(hdf5.open_hdf5(path, "predictions"))
    if hdf5.image_ids(predictions) != labelled.image_ids:
        raise BadInput(f"{path}: other images than {labelled.path}; give files of one run")
    return predictions


def _validation_images(results: Results, settings: Report, validation: Path) -> list[LayeredImage]:
    """Photograph, truth and the predictions of all rounds, for the images whose predictions the evaluations kept."""
    colors = results.class_colors
    images = []
    with ExitStack() as stack:
        files = _open_evaluations(stack, results)
        first_file = next(iter(files.values()))
        image_ids = hdf5.image_ids(first_file)
        rows = indexing.by_id(read_table(validation, "index"), image_ids, validation)
        for row in progress(rows.itertuples(), "report", "image", len(rows)):
            truth = first_file[f"truth/{row.image_id}"][:]
            size = thumbnails.fitted(truth.shape, settings.width)
            layers = {
                "photograph": thumbnails.photograph(read_image(row.image, size)),
                "truth": thumbnails.class_map(truth, colors, size),
            }
            for title, file in files.items():
                prediction = file[f"prediction/{row.image_id}"][:]
                layers[f"prediction of {title}"] = thumbnails.class_map(prediction, colors, size)
            images.append(LayeredImage(row.image_id, size, layers))
    return images


def _open_evaluations(stack: ExitStack, results: Results) -> dict[str, hdf5.Contents]:
    """Name of a round → the open pictures of its evaluation."""
    files = {}
    for round_name, path in results.evaluated.items():
        file = stack.enter_context(hdf5.open_hdf5(path, "pictures"))
        check_classes(path, file.classes, results.classes)
        files[results.names[round_name]] = file
    return files
