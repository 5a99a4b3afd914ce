"""Joins a cycle's selected pseudo-labels with those of earlier cycles (Sect. III-A and III-B, Fuse)."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, NamedTuple

from cotrain.base.errors import BadInput
from cotrain.base.roles import READ, WRITE
from cotrain.files import hdf5, labelfiles, members, tables
from cotrain.method.labelmaps import ImageStatistics
from cotrain.method.selection import fuse
from cotrain.settings.pseudolabels import Fuse


class _Image(NamedTuple):
    """A pseudo-labelled image in an open file."""

    file: hdf5.Contents
    position: int
    confidence: float
    round_name: str


def run(
    settings: Fuse,
    pseudolabels: Annotated[list[Path], READ],
    selected: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    previous: Annotated[Path | None, READ] = None,
) -> None:
    """`--pseudolabels` is the file of the model that the selected images come from.

    If they come from several models, give the files of all models in order: the column `model` of `--selected` says
    which of them has an image.
    """
    sender_of = _senders(selected, len(pseudolabels))
    with ExitStack() as stack:
        files = [stack.enter_context(hdf5.open_hdf5(path, "pseudolabels")) for path in pseudolabels]
        members.check_same_images(files)
        members.check_same_size(files)
        new = _selected_images(files, sender_of, selected)
        earlier = {}
        if previous:
            previous_file = stack.enter_context(hdf5.open_hdf5(previous, "pseudolabels"))
            _check_same_run(previous_file, files[0])
            earlier = _images(previous_file)
        fused = {}
        for image_id, origin in fuse(_confidences(earlier), _confidences(new)).items():
            images = new if origin == "new" else earlier
            fused[image_id] = images[image_id]
        _write(out, fused, files[0], made_by)


def _senders(selected: Path, files: int) -> dict[str, int]:
    """Position of the file with the pseudo-labels of each selected image."""
    table = tables.read_table(selected, "selected")
    ids = table["image_id"].tolist()
    if files == 1:
        if "model" in table and table["model"].nunique() > 1:
            raise BadInput(f"{selected}: its images come from several models; give --pseudolabels of all, in order")
        return dict.fromkeys(ids, 0)
    if "model" not in table:
        raise BadInput(f"{selected}: no column model, and {files} --pseudolabels; give the one that its images are of")
    if not table["model"].isin(range(1, files + 1)).all():
        raise BadInput(f"{selected}: column model must be 1 to {files}, as many as --pseudolabels; give those of all")
    positions = table["model"].astype(int) - 1
    return dict(zip(ids, positions.tolist(), strict=True))


def _selected_images(
    files: list[hdf5.Contents],
    sender_of: dict[str, int],
    selected: Path,
) -> dict[str, _Image]:
    """The selected images by id, each in the file of its sender; they are in the order of the files."""
    candidates = [_images(file) for file in files]
    unknown = sender_of.keys() - candidates[0].keys()
    if unknown:
        raise BadInput(f"{selected}: image {min(unknown)} is not in {files[0].path}; give files of one cycle")
    images = {}
    for image_id in candidates[0]:
        if image_id in sender_of:
            sender = sender_of[image_id]
            images[image_id] = candidates[sender][image_id]
    return images


def _images(file: hdf5.Contents) -> dict[str, _Image]:
    """All images of a file by id, in its order."""
    confidences = file["confidence"][:]
    rounds = file["round"].asstr()[:]
    images = {}
    for position, image_id in enumerate(hdf5.image_ids(file)):
        images[image_id] = _Image(file, position, confidences[position], rounds[position])
    return images


def _check_same_run(previous: hdf5.Contents, new: hdf5.Contents) -> None:
    previous_size = previous["label"].shape[1:]
    new_size = new["label"].shape[1:]
    if previous_size != new_size or previous.classes != new.classes:
        raise BadInput(f"{previous.path}: other size or classes than {new.path}; give files of one run")


def _confidences(images: dict[str, _Image]) -> dict[str, float]:
    return {image_id: image.confidence for image_id, image in images.items()}


def _write(
    out: Path,
    images: dict[str, _Image],
    like: hdf5.Contents,
    made_by: dict,
) -> None:
    """Copy images to a new file with the size and classes of `like`."""
    ids = list(images)
    rounds = [image.round_name for image in images.values()]
    size = like["label"].shape[1:]
    with labelfiles.create_pseudolabels(out, like.classes, ids, rounds, size, made_by) as write:
        for i, image in enumerate(images.values()):
            label = image.file["label"][image.position]
            statistics = ImageStatistics(
                confidence=image.confidence,
                class_confidence=image.file["class_confidence"][image.position],
                class_pixels=image.file["class_pixels"][image.position],
            )
            write(i, label, statistics)
