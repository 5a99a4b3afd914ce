"""Fills each model's void pixels with the other model's pseudo-labels (Sect. III-B, Combination)."""

from contextlib import ExitStack
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.files import hdf5, labelfiles
from cotrain.method.combination import combine
from cotrain.method.labelmaps import confidence_of, image_statistics
from cotrain.settings.pseudolabels import Combine


def run(
    settings: Combine,
    pseudolabels: tuple[Path, Path],
    predictions: tuple[Path, Path],
    out: tuple[Path, Path],
    made_by: dict,
) -> None:
    with ExitStack() as stack:
        labels = [stack.enter_context(hdf5.open_hdf5(path, "pseudolabels")) for path in pseudolabels]
        stored = [stack.enter_context(hdf5.open_hdf5(path, "predictions")) for path in predictions]
        ids, classes, size = hdf5.image_ids(labels[0]), hdf5.classes_of(labels[0]), labels[0]["label"].shape[1:]
        for file, path in zip(labels + stored, pseudolabels + predictions, strict=True):
            same = hdf5.image_ids(file) == ids and hdf5.classes_of(file) == classes
            if not same or file["label"].shape[-2:] != size:
                raise BadInput(f"{path}: other images, classes or size than {pseudolabels[0]}; give files of one cycle")
        writers = [
            stack.enter_context(
                labelfiles.create_pseudolabels(path, classes, ids, file["round"].asstr()[:].tolist(), size, made_by)
            )
            for path, file in zip(out, labels, strict=True)
        ]
        assigned_maps = [file["label"] for file in labels]
        stored_maps = [(file["label"], file["confidence"]) for file in stored]
        for i in progress(range(len(ids)), "combine", "image"):
            assigned = [maps[i] for maps in assigned_maps]
            confidences = [
                confidence_of(label, probable[i], sure[i])
                for label, (probable, sure) in zip(assigned, stored_maps, strict=True)
            ]
            maps = list(zip(assigned, confidences, strict=True))
            for write, own, other in zip(writers, maps, reversed(maps), strict=True):
                label, confidence = combine(*own, *other)
                write(i, label, image_statistics(label, confidence, len(classes)))
