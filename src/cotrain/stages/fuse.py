"""Joins a cycle's selected pseudo-labels with those of earlier cycles (Sect. III-A and III-B, Fuse)."""

from contextlib import ExitStack
from pathlib import Path

from cotrain.base.errors import BadInput
from cotrain.files import hdf5, labelfiles, tables
from cotrain.method.labelmaps import ImageStatistics
from cotrain.method.selection import fuse
from cotrain.settings.pseudolabels import Fuse


def run(
    settings: Fuse, pseudolabels: Path, selected: Path, out: Path, made_by: dict, previous: Path | None = None
) -> None:
    chosen = set(tables.read_table(selected, "selected")["image_id"])
    with ExitStack() as stack:
        files = {"new": stack.enter_context(hdf5.open_hdf5(pseudolabels, "pseudolabels"))}
        if previous:
            files["previous"] = stack.enter_context(hdf5.open_hdf5(previous, "pseudolabels"))
        size, classes = files["new"]["label"].shape[1:], hdf5.classes_of(files["new"])
        if previous and (files["previous"]["label"].shape[1:] != size or hdf5.classes_of(files["previous"]) != classes):
            raise BadInput(f"{previous}: other size or classes than {pseudolabels}; give files of one run")
        position = {k: {image: i for i, image in enumerate(hdf5.image_ids(f))} for k, f in files.items()}
        if unknown := chosen - position["new"].keys():
            raise BadInput(f"{selected}: image {min(unknown)} is not in {pseudolabels}; give files of one cycle")
        confidence = {k: dict(zip(position[k], f["confidence"][:], strict=True)) for k, f in files.items()}
        new = {image: c for image, c in confidence["new"].items() if image in chosen}
        origin = fuse(confidence.get("previous", {}), new)
        rounds = [files[k]["round"].asstr()[position[k][image]] for image, k in origin.items()]
        with labelfiles.create_pseudolabels(out, classes, list(origin), rounds, size, made_by) as write:
            for i, (image, k) in enumerate(origin.items()):
                file, at = files[k], position[k][image]
                statistics = (file[name][at] for name in ImageStatistics._fields)
                write(i, file["label"][at], ImageStatistics(*statistics))
