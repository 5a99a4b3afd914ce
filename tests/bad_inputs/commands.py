"""The command line misused, and places where nothing can be written."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from box import collector, write

CASES, case = collector()


@case("invalid choice: 'trian'", "see cotrain --help")
def unknown_stage(box):
    return ["trian"]


@case("required: STAGE", "see cotrain --help")
def no_stage(box):
    return []


@case("required: --out", "see cotrain draw --help")
def flag_left_out(box):
    return ["draw", "--index", str(box.index), "--settings", '{"count": 2}']


@case("unrecognized arguments: --fast")
def unknown_flag(box):
    return [*box.draw(), "--fast"]


@case("--out: expected one argument")
def flag_without_its_path(box):
    return [*box.draw()[:3], "--index", str(box.index), "--out"]


@case("none.csv: no such file", "run the stage that makes it")
def input_that_does_not_exist(box):
    return box.command("draw", {"count": 2}, index=box / "none.csv")


@case("images: a folder, expected a file")
def folder_as_input(box):
    return box.command("draw", {"count": 2}, index=box.index.parent / "images")


@case("/dev/zero: a device, pipe or socket, expected a file")
def device_as_input(box):
    return box.command("draw", {"count": 2}, index="/dev/zero")


@case("cannot be read", "File name too long")
def input_of_a_name_too_long(box):
    return box.command("draw", {"count": 2}, index="x" * 5000)


@case("index.csv: it is an input too", "write elsewhere")
def output_that_is_the_input(box):
    return box.command("draw", {"count": 2}, index=box.index, out=box.index)


@case("alias.csv: it is an input too")
def output_that_is_a_link_to_the_input(box):
    (box / "alias.csv").symlink_to(box.index)
    return box.command("draw", {"count": 2}, index=box.index, out=box / "alias.csv")


@case("a.png: it is an input too")
def prediction_over_the_photograph(box):
    return [*box.predict()[:-1], str(box.photograph.parent)]


def predict(box, *photographs: object) -> list[str]:
    """The command, with further photographs."""
    command = box.predict()
    return [*command[:4], *map(str, photographs), *command[4:]]


@case("none.jpg: no such file or folder")
def prediction_of_a_photograph_that_is_missing(box):
    return predict(box, box / "none.jpg")


@case("cannot be read", "File name too long")
def prediction_of_a_name_too_long(box):
    return predict(box, "x" * 5000)


@case("/dev/zero: a device, pipe or socket, expected a file or folder")
def prediction_of_a_device(box):
    return predict(box, "/dev/zero")


@case("notes: no photograph or video in this folder")
def prediction_of_a_folder_of_notes(box):
    write(box / "notes" / "a.txt", "none")
    return predict(box, box / "notes")


@case("a.png has the same name, a;", "predict them into different folders")
def predictions_of_one_name(box):
    return predict(box, write(box / "other" / "a.jpg", b"not looked at"))


@case("clip.mp4: not a readable video")
def prediction_of_a_damaged_video(box):
    return predict(box, write(box / "clip.mp4", b"\0\0\0\x20ftypisom" + bytes(5000)))


@case("clip_overlay.mp4: it is an input too, and would be lost")
def prediction_over_a_video(box):
    for name in ("clip.mp4", "clip_overlay.mp4"):
        write(box / name, b"not looked at")
    return [*box.predict()[:3], str(box / "clip.mp4"), str(box / "clip_overlay.mp4"), "--out", str(box.folder)]


@case("none.yaml: no such file", "there are: ")
def convention_that_does_not_exist(box):
    return [*box.predict(), "--settings", '{"convention": "workflow/datasets/none.yaml"}']


@case("dataset own: 2 label values mean the class 'car'", "one value for each class")
def convention_with_two_values_for_a_class(box):
    text = "{name: own, images: '{id}', values: {0: road, 1: sky, 2: van, 3: bus}, classes: {x: {van: car, bus: car}}}"
    path = write(box / "own.yaml", text)
    return [*box.predict(), "--settings", f'{{"convention": "{path}"}}']


@case("dataset own: no label value means the class 'sky'")
def convention_without_a_class(box):
    path = write(box / "own.yaml", "{name: own, images: '{id}', values: {0: road, 1: car}}")
    return [*box.predict(), "--settings", f'{{"convention": "{path}"}}']


@case("model.tflite ends in neither .onnx nor .ts", "name it so")
def export_to_another_format(box):
    return ["export", "--model", str(box.photograph), "--out", str(box / "model.tflite")]


@case("not a model file of cotrain")
def export_of_what_is_no_model(box):
    return ["export", "--model", str(box.index), "--out", str(box / "model.ts")]


@case("notes.txt: not a file that can be shown", "give an HDF5, CSV, JSON or model file")
def file_that_cannot_be_shown(box):
    return ["show", str(write(box / "notes.txt", "none"))]


@case("index.csv: nothing in it can be pictured", "leave out --png")
def pictures_of_a_table(box):
    return ["show", str(box.index), "--png", str(box / "pictures")]


@case("x.json: it has no classes", "give a file of evaluate or measure")
def shown_json_of_another_kind(box):
    return ["show", str(write(box / "x.json", "{}"))]


@case("x.h5: not a whole HDF5 file")
def shown_file_that_is_damaged(box):
    return ["show", str(write(box / "x.h5", b"\x89HDF\r\n\x1a\n" + bytes(50)))]


@case("images: it has no summary.csv", "give the folder of a finished run")
def comparison_of_what_is_no_run(box):
    return ["compare", str(box.index.parent / "images")]


@case("summary.csv: no row of the round final", "there are: source_only")
def comparison_of_a_round_that_is_not_there(box):
    write(box / "run" / "summary.csv", "round,name,miou,gap_closed,coverage,accuracy,road\nsource_only,a,0.5,,,,0.5\n")
    return ["compare", str(box / "run"), "--round", "final"]


@case("summary.csv: the row of final holds what is no number")
def comparison_of_scores_that_are_no_numbers(box):
    write(box / "run" / "summary.csv", "round,name,miou,gap_closed,coverage,accuracy,road\nfinal,a,0.5,,,,half\n")
    return ["compare", str(box / "run"), "--out", str(box.out)]


@case("run: given twice")
def comparison_of_a_run_with_itself(box):
    return ["compare", str(box / "run"), str(box / "run")]


@case("x: it is an input too, or written twice")
def two_outputs_of_one_name(box):
    paths = {"predictions": box.predictions, "out": box / "x", "table": box / "x"}
    return box.command("threshold", {"portion": 0.5}, **paths)


@case("images: a folder is in the way")
def folder_as_output(box):
    return box.command("draw", {"count": 2}, index=box.index, out=box.index.parent / "images")


@case("below.csv: cannot be written")
def output_below_a_file(box):
    return box.command("draw", {"count": 2}, index=box.index, out=box.index / "below.csv")


@case("number of files: --pseudolabels 1, --thresholds 2, --out 2; give each flag one file per model")
def one_model_where_two_are_needed(box):
    files = {"pseudolabels": box.pseudolabels, "thresholds": [box.thresholds] * 2}
    return box.command("exchange", {"count": 1}, **files, out=[box / "1.csv", box / "2.csv"])


@case("a\\nb.csv: no such file")
def line_break_in_an_argument_makes_no_second_line(box):
    return box.command("draw", {"count": 2}, index=box / "a\nb.csv")


@case("own.csv: nothing is known of how it was made", "was it made by cotrain?")
def explanation_of_a_file_of_others(box):
    return ["explain", str(write(box / "own.csv", "a\n1\n"))]


@case("selected.csv: nothing is known of how it was made")
def explanation_from_a_damaged_sidecar(box):
    write(box.selected.with_name(".selected.csv.provenance.json"), '{"sha256": 5}')
    return ["explain", str(box.selected)]


# ---- places -----------------------------------------------------------------------------------------------------


def run(*command: object) -> None:
    """A system command that only the superuser may give; without it the case cannot be."""
    if shutil.which(str(command[0])) is None or os.geteuid() != 0:
        pytest.skip(f"{command[0]} needs to be there, and the rights of the superuser")
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} cannot: {done.stderr.strip()}")


def mounted(folder: Path, size: str) -> Path:
    """A small file system of its own in a folder."""
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    return folder


def unlock(folder: Path) -> None:
    """Undo what the cases did to the file system."""
    for place in folder.iterdir():
        if place.is_mount():
            subprocess.run(["umount", str(place)], check=True)


@case("out.csv: cannot be written", "check its permissions")
def folder_that_is_read_only(box):
    index, place = box.index, mounted(box / "place", "1m")
    run("mount", "-o", "remount,ro", place)
    return box.command("draw", {"count": 2}, index=index, out=place / "out.csv")


@case("out.csv: cannot be written", "No space left on device", "check space")
def table_on_a_full_disk(box):
    index, place = box.index, mounted(box / "place", "64k")
    fill(place)
    return box.command("draw", {"count": 2}, index=index, out=place / "out.csv")


@case("labels.h5: cannot be written", "check space")
def hdf5_on_a_full_disk(box):
    place = mounted(box / "place", "64k")
    fill(place)
    files = {"predictions": box.predictions, "out": place / "labels.h5", "table": box / "table.csv"}
    return box.command("threshold", {"portion": 0.5}, **files)


@case("table.csv: cannot be written", "check space")
def second_output_on_a_full_disk_leaves_no_first(box):
    place = mounted(box / "place", "64k")
    fill(place)
    files = {"predictions": box.predictions, "out": box / "labels.h5", "table": place / "table.csv"}
    return box.command("threshold", {"portion": 0.5}, **files)


@case("a.png: cannot be written", "check space")
def prediction_on_a_full_disk(box):
    place = mounted(box / "place", "64k")
    fill(place)
    return [*box.predict()[:-1], str(place)]


def fill(place: Path) -> None:
    """Leave not a byte."""
    with pytest.raises(OSError, match="No space"), (place / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
