"""HDF5, CSV and JSON files that are damaged, foreign or false."""

import json

import h5py
import numpy as np
from box import CLASSES, IDS, SIZE, collector, cut, flip, orphan, write
from conftest import MADE_BY, PROJECT, write_predictions, write_pseudolabels, write_selected, write_thresholds

from cotrain.files import hdf5, scores

CASES, case = collector()
INDEX = "image_id,image,label,height,width\n"


def chunk_of(path, name: str, image: int = 0) -> int:
    """Where in the file the compressed map of an image has its middle."""
    with h5py.File(path) as file:
        info = file[name].id.get_chunk_info(image)
    return info.byte_offset + info.size // 2


def changed(path, change):
    """The file after `change(h5py file)`, without its sidecar."""
    with h5py.File(path, "a") as file:
        change(file)
    return orphan(path)


def replace(name: str, data):
    def change(file):
        del file[name]
        file[name] = data

    return change


# ---- HDF5 -------------------------------------------------------------------------------------------------------


@case("labels.h5: damaged, or changed after it was made", "delete")
def bit_flipped_in_a_label_map(box):
    flip(box.pseudolabels, chunk_of(box.pseudolabels, "label"))
    return box.fuse()


@case("labels.h5: damaged", "run the stage that makes it again")
def bit_flipped_in_a_label_map_whose_sidecar_is_lost(box):
    flip(orphan(box.pseudolabels), chunk_of(box.pseudolabels, "label"))
    return box.fuse()


@case("predictions.h5: damaged", "run the stage that makes it again")
def bit_flipped_in_predictions_names_the_file_that_is_read_and_not_the_one_that_is_written(box):
    made = box / "kept.h5"
    with hdf5.create_hdf5(made, "predictions", CLASSES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", IDS)
        for name, values, filters in zip(
            ("label", "confidence"), box.maps, (hdf5.LABEL_FILTER, hdf5.CONFIDENCE_FILTER), strict=True
        ):
            hdf5.create_maps(file, name, (len(IDS), 1, *SIZE), values.dtype.type, filters)[...] = values[:, None]
        file["histogram"] = np.zeros((3, 65536), np.int64)
    orphan(made).rename(box.predictions)
    flip(orphan(box.predictions), chunk_of(box.predictions, "confidence", 2))
    return box.threshold()


@case("labels.h5: damaged, or changed")
def bit_flipped_in_an_image_id(box):
    path = box.pseudolabels
    flip(path, path.read_bytes().index(b"city/a"))
    return box.select()


@case("labels.h5: ", "stage that makes it")
def hdf5_without_its_end(box):
    cut(orphan(box.pseudolabels), 0.7)
    return box.select()


@case("labels.h5: not a whole HDF5 file", "delete it")
def empty_file_named_hdf5(box):
    orphan(write(box.pseudolabels, ""))
    return box.select()


@case("labels.h5: its format is unknown, not one of cotrain")
def hdf5_of_another_program(box):
    box.pseudolabels.unlink()
    with h5py.File(orphan(box.pseudolabels), "w") as file:
        file["label"] = np.zeros(3)
    return box.select()


@case("labels.h5: its format is cotrain-pseudolabels, expected cotrain-predictions")
def hdf5_of_another_stage(box):
    return box.command("threshold", {"portion": 0.5}, predictions=box.pseudolabels, table=box / "table.csv")


@case("labels.h5: format version 9, this code reads 1")
def hdf5_of_a_later_version(box):
    changed(box.pseudolabels, lambda file: file.attrs.modify("version", 9))
    return box.select()


@case("labels.h5: damaged", "it has no class_pixels")
def hdf5_without_a_dataset(box):
    changed(box.pseudolabels, lambda file: file.__delitem__("class_pixels"))
    return box.select()


@case("labels.h5: damaged", "class_confidence has shape (3, 2)")
def hdf5_whose_datasets_are_of_different_sizes(box):
    changed(box.pseudolabels, replace("class_confidence", np.zeros((3, 2), np.float32)))
    return box.select()


@case("labels.h5: damaged", "label has shape", "float64")
def labels_that_are_no_integers(box):
    changed(box.pseudolabels, replace("label", np.zeros((3, *SIZE))))
    return box.measure()


@case("labels.h5: damaged", "label: class 7 of 3")
def label_map_of_a_class_that_does_not_exist(box):
    changed(box.pseudolabels, replace("label", np.full((3, *SIZE), 7, np.uint8)))
    return box.fuse()


@case("labels.h5: damaged", "confidence: a value that is not a number")
def image_confidence_that_is_not_a_number(box):
    changed(box.pseudolabels, replace("confidence", np.array([0.5, np.nan, 0.5], np.float32)))
    return box.select()


@case("labels.h5: damaged", "confidence: a value outside [0, 1]")
def image_confidence_above_one(box):
    changed(box.pseudolabels, replace("confidence", np.array([0.5, 70, 0.5], np.float32)))
    return box.select()


@case("predictions.h5: damaged", "histogram: a negative number")
def negative_pixels_in_a_histogram(box):
    changed(box.predictions, replace("histogram", np.full((3, 65536), -1)))
    return box.threshold()


@case("labels.h5: image_id city/a occurs twice")
def two_images_of_one_id_in_hdf5(box):
    write_pseudolabels(box.pseudolabels, ["city/a", "city/b", "city/a"], *box.maps)
    return box.select()


@case("labels.h5: damaged", "label lies in another file")
def dataset_that_reads_another_file(box):
    secret = write(box / "secret", bytes(3 * SIZE[0] * SIZE[1]))

    def change(file):
        del file["label"]
        file.create_dataset("label", (3, *SIZE), np.uint8, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])

    changed(box.pseudolabels, change)
    return box.measure()


@case("labels.h5: damaged", "lies in another file")
def link_into_another_file(box):
    other = write_pseudolabels(box / "other.h5", IDS, *box.maps)

    def change(file):
        del file["label"]
        file["label"] = h5py.ExternalLink(str(other), "label")

    changed(box.pseudolabels, change)
    return box.measure()


@case("labels.h5: damaged", "too large")
def hdf5_bomb_of_terabytes_that_were_never_written(box):
    def change(file):
        for name in ("image_id", "round", "label", "confidence", "class_confidence", "class_pixels"):
            tail, dtype = file[name].shape[1:], file[name].dtype
            del file[name]
            file.create_dataset(name, (10**11, *tail), dtype, chunks=(1, *tail))

    changed(box.pseudolabels, change)
    return box.select()


# ---- CSV --------------------------------------------------------------------------------------------------------


def table(box, text: str | bytes, kind: str = "index") -> list[str]:
    """The command that reads a table of that text."""
    path = write(orphan(getattr(box, kind)), text)
    assert path.read_bytes()
    return {"index": box.draw, "selected": box.fuse, "thresholds": lambda: exchange(box)}[kind]()


def exchange(box) -> list[str]:
    files = {"pseudolabels": [box.pseudolabels] * 2, "thresholds": [box.thresholds] * 2}
    return box.command("exchange", {"count": 1}, **files, out=[box / "1.csv", box / "2.csv"])


@case("labels.h5: damaged, or changed after it was made", "delete")
def labels_edited_without_saying_so(box):
    with h5py.File(box.pseudolabels, "r+") as file:
        file["confidence"][0] = 0.5
    return box.fuse()


@case("index.csv: column height is missing", "image_id, image, label, height, width")
def csv_without_a_column(box):
    return table(box, "image_id,image,label,width\na,a.png,,3\n")


@case("index.csv: it lists no images")
def csv_of_a_head_line_alone(box):
    return table(box, INDEX)


@case("index.csv: it lists images without labels")
def index_without_labels_where_labels_are_needed(box):
    table(box, INDEX + f"a,{box.photograph},,24,32\n")
    return box.statistics()


@case("selected.csv: image sea/x is not in", "labels.h5")
def csv_with_a_foreign_id(box):
    write_selected(box.selected, ["city/a", "sea/x"])
    return box.fuse()


@case("index.csv: image_id b occurs twice")
def csv_with_an_id_twice(box):
    return table(box, INDEX + "b,b.png,,1,1\nb,c.png,,1,1\n")


@case("thresholds.csv: column threshold must hold only float values")
def csv_with_nan(box):
    return table(box, "class,name,pixels,portion,threshold\n0,road,5,0.5,nan\n", "thresholds")


@case("thresholds.csv: column threshold holds 7.0, expected 0 to 1")
def threshold_that_is_no_probability(box):
    write_thresholds(box.thresholds, [0.5, 7, 0.5])
    return exchange(box)


@case("thresholds.csv: column class must count 0, 1, 2")
def thresholds_in_another_order(box):
    rows = "0,road,5,0.5,0.5\n2,sky,5,0.5,0.5\n1,car,5,0.5,0.5\n"
    return table(box, "class,name,pixels,portion,threshold\n" + rows, "thresholds")


@case("index.csv: column height holds 1e+300")
def csv_with_a_number_no_integer_can_hold(box):
    return table(box, INDEX + "a,a.png,,1e300,3\n")


@case("index.csv: not a CSV table", "utf-8")
def csv_in_another_encoding(box):
    return table(box, (INDEX + "Zürich,a.png,,1,1\n").encode("latin-1"))


@case("index.csv: ")
def csv_in_utf16(box):
    return table(box, (INDEX + "a,a.png,,1,1\n").encode("utf-16"))


@case("index.csv: column height must hold only int values")
def csv_cut_in_the_middle_of_a_row(box):
    return table(box, INDEX + "a,a.png,,1,1\nb,b.p")


@case("index.csv: its rows have more cells than its head line")
def csv_with_a_cell_too_many_in_each_row(box):
    return table(box, INDEX + "x,a,a.png,,1,1\ny,b,b.png,,1,1\n")


@case("index.csv: column image_id occurs twice")
def csv_with_a_column_twice(box):
    return table(box, "image_id,image_id,image,label,height,width\na,b,a.png,,1,1\n")


@case("index.csv: not a CSV table")
def csv_with_an_open_quote(box):
    return table(box, INDEX + '"a,a.png,,1,1\n')


@case("index.csv: ")
def csv_that_is_an_image(box):
    return table(box, box.photograph.read_bytes())


@case("no plain relative path")
def csv_with_a_field_of_ten_megabytes(box):
    return table(box, INDEX + "/" + "a" * 10_000_000 + ",a.png,,1,1\n")


@case("index.csv: image_id '/etc/passwd' is no plain relative path", "rename")
def absolute_id(box):
    return table(box, INDEX + "/etc/passwd,a.png,,1,1\n")


@case("index.csv: image_id '../../a' is no plain relative path", "rename")
def id_that_climbs_out(box):
    return table(box, INDEX + "../../a,a.png,,1,1\n")


@case("index.csv: image_id 'a\\nerror: b' is no plain relative path")
def id_with_a_line_break_makes_no_second_line(box):
    return table(box, INDEX + '"a\nerror: b",a.png,,1,1\n')


@case("index.csv: image_id a is also the folder of a/b")
def id_that_is_the_folder_of_another(box):
    return table(box, INDEX + "a,a.png,,1,1\na/b,b.png,,1,1\n")


# ---- JSON -------------------------------------------------------------------------------------------------------

METRICS = {"format": "cotrain-metrics", "version": 1, "classes": CLASSES, "miou": 0.5, "iou": [0.5, 0.5, None]}


def summarize(box, text: str) -> list[str]:
    metrics = write(box / "metrics.json", text)
    return box.command("summarize", {"rows": [["final", "last"]]}, metrics=metrics, text=box / "summary.txt")


@case("metrics.json: not JSON")
def json_cut_short(box):
    return summarize(box, json.dumps(METRICS)[:50])


@case("metrics.json: not a cotrain-metrics file")
def json_that_is_a_list(box):
    return summarize(box, "[1, 2]")


@case("metrics.json: iou: missing")
def json_without_a_key(box):
    return summarize(box, json.dumps({k: v for k, v in METRICS.items() if k != "iou"}))


@case("metrics.json", "2 values of iou for 3 classes")
def json_with_a_score_too_few(box):
    return summarize(box, json.dumps(METRICS | {"iou": [0.5, 0.5]}))


@case("metrics.json: miou: nan is not a finite number")
def json_with_nan(box):
    return summarize(box, json.dumps(METRICS | {"miou": float("nan")}))


@case("metrics.json: not JSON", "'miou' occurs twice")
def json_with_a_key_twice(box):
    return summarize(box, json.dumps(METRICS)[:-1] + ', "miou": 0.9}')


@case("metrics.json: not JSON", "nested too deeply")
def json_of_endless_brackets(box):
    return summarize(box, "[" * 100_000)


@case("--settings: rows: a round occurs twice")
def summary_of_a_round_twice(box):
    metrics = write(box / "metrics.json", json.dumps(METRICS))
    settings = {"rows": [["final", "a"], ["final", "b"]]}
    return box.command("summarize", settings, metrics=[metrics, metrics], text=box / "summary.txt")


@case("b.json: other classes than", "give files of one run")
def scores_of_different_classes(box):
    paths = [write(box / f"{name}.json", json.dumps(METRICS | {"classes": [name, "car", "sky"]})) for name in "ab"]
    settings = {"rows": [["source", "a"], ["final", "b"]]}
    return box.command("summarize", settings, metrics=paths, text=box / "summary.txt")


@case("predictions.h5: not a shard", "`cotrain infer` makes with its setting `shard`")
def whole_predictions_as_a_shard(box):
    return box.command("merge", predictions=[box.predictions])


@case("predictions.h5: damaged")
def shard_without_its_end(box):
    cut(box.predictions, 0.8)
    return box.command("merge", predictions=[box.predictions])


@case("labels.h5: its format is cotrain-pseudolabels, expected cotrain-predictions")
def pseudolabels_as_a_shard(box):
    return box.command("merge", predictions=[box.pseudolabels])


@case("rates.json: small: ", "rates.json: network: missing", lines=13)
def rates_that_are_words(box):
    rates = write(box / "rates.json", '{"small": "fast"}')
    return ["plan", str(PROJECT / "config.yaml"), "--rates", str(rates)]


@case("summary.csv: column miou is missing")
def summary_without_scores(box):
    summary = write(box / "summary.csv", "round,name\nfinal,last\n")
    with hdf5.create_hdf5(box / "pictures.h5", "pictures", CLASSES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", [])
    settings = {"colors": [[c, [0, 0, 0]] for c in CLASSES], "columns": ["last"], "series": [["a", ["final"]]]}
    paths = {"summary": summary, "predictions": box / "pictures.h5", "images": box.index}
    return box.command("plot", settings, **paths, out=[box / "1.png", box / "2.png"])


# ---- the report -------------------------------------------------------------------------------------------------


@case("predictions.h5: damaged", "run the stage that makes it again")
def report_of_predictions_with_a_flipped_bit(box):
    flip(box.predictions, chunk_of(box.predictions, "label"))
    return box.report()


@case("final.h5: other images than", "give files of one run")
def report_of_predictions_of_other_images(box):
    others = write_predictions(box / "predictions.h5", ["x", "y", "z"], *box.maps)
    return box.report(predictions=others.rename(box.folder / "final.h5"))


@case("selected.csv: of none of the rounds of settings.rounds", "its path must end with one")
def report_of_a_file_of_no_round(box):
    return box.report(selected=box.selected)


@case("--predictions: of other rounds than --pseudolabels")
def report_of_files_of_different_rounds(box):
    rounds = [["final", "last"], ["selftrain/01", "first"]]
    other = write(box / "selftrain" / "01" / "predictions.h5", box.predictions.read_bytes())
    return box.report({"rounds": rounds}, predictions=other)


@case("thresholds.csv: other classes than settings.colors")
def report_of_thresholds_of_other_classes(box):
    write_thresholds(box.thresholds, [0.5, 0.6, 0.7], ("road", "car", "sea"))
    return box.report()


@case("final.json: ", "confusion is not 3 rows of 3 numbers")
def report_of_scores_with_half_a_confusion(box):
    content = {"classes": CLASSES, "images": 1, "miou": 0.5, "iou": [0.5] * 3, "confusion": [[1, 2, 3]]}
    scores.write_json(box / "final.json", "metrics", content, MADE_BY)
    return box.report(metrics=box / "final.json")


@case("summary.csv: column coverage is missing")
def report_of_a_summary_without_a_column(box):
    return box.report(summary=write(box / "summary.csv", "round,name,miou,gap_closed\n"))
