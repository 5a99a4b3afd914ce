"""Checks of files that come one per model, for stages that read those of several models."""

from collections.abc import Sequence
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files import hdf5


def check_one_per_model(**flags: Sequence[Path]) -> None:
    """BadInput unless every flag has the same number of files, two or more."""
    counts = {len(paths) for paths in flags.values()}
    if len(counts) == 1 and min(counts) >= 2:
        return
    listed = ", ".join(f"--{flag} {len(paths)}" for flag, paths in flags.items())
    raise BadInput(f"number of files: {listed}; give each flag one file per model, two or more, in the same order")


def check_same_images(files: Sequence[hdf5.Contents]) -> None:
    """BadInput unless all files have the same images, in the same order, and the same classes."""
    first, *others = files
    ids = hdf5.image_ids(first)
    for file in others:
        if hdf5.image_ids(file) != ids or file.classes != first.classes:
            raise BadInput(f"{file.path}: other images or classes than {first.path}; give files of one cycle")


def check_same_size(files: Sequence[hdf5.Contents]) -> None:
    """BadInput unless the label maps of all files have the same height and width."""
    first, *others = files
    size = first["label"].shape[-2:]
    for file in others:
        if file["label"].shape[-2:] != size:
            raise BadInput(f"{file.path}: other size than {first.path}; give files of one cycle")
