"""Files are whole or absent, the same for the same content, checked when read, and know what made them."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import CLASSES, MADE_BY, random_maps, read_pseudolabels, save, write_pseudolabels, write_thresholds

from cotrain.base import locks
from cotrain.base.errors import BadInput
from cotrain.data import images
from cotrain.files import atomic, hashes, hdf5, labelfiles, origins, scores, tables
from cotrain.files.provenance import provenance
from cotrain.method.labelmaps import ImageStatistics

IDS = ["city/b", "city/a", "Zürich/ä 1"]
INDEX = "image_id,image,label,height,width\n"


@pytest.fixture
def labels(tmp_path):
    return write_pseudolabels(tmp_path / "labels.h5", IDS, *random_maps(0, 3, 8, 12, classes=3))


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---- whole files ------------------------------------------------------------------------------------------------


def test_file_appears_at_the_end_only(tmp_path):
    with atomic.replacing(tmp_path / "new" / "file") as temporary:
        temporary.write_text("whole")
        assert temporary.parent.parent == tmp_path / "new"  # a rename is atomic within a file system
        assert not (tmp_path / "new" / "file").exists()
    assert files(tmp_path / "new") == ["file"] and (tmp_path / "new" / "file").read_text() == "whole"


def test_error_leaves_neither_file_nor_temporary(tmp_path):
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert files(tmp_path) == []


def test_error_leaves_an_existing_file_as_it_was(tmp_path):
    (tmp_path / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(tmp_path / "file") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert files(tmp_path) == ["file"] and (tmp_path / "file").read_text() == "old"


def test_error_while_a_folder_is_written_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), atomic.replacing(tmp_path / "folder") as temporary:
        temporary.mkdir()
        (temporary / "half").write_text("half")
        raise RuntimeError
    assert files(tmp_path) == []


def test_folder_is_replaced_whole(tmp_path):
    for name in ("first", "second"):
        with atomic.replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
        atomic.write_sidecar(tmp_path / "folder", {"stage": "render"})
    assert files(tmp_path / "folder") == ["second"]


def test_folder_of_a_person_is_not_replaced(tmp_path):
    (tmp_path / "photographs").mkdir()
    (tmp_path / "photographs" / "precious").write_text("1")
    with pytest.raises(BadInput, match="photographs"), atomic.replacing(tmp_path / "photographs") as temporary:
        temporary.mkdir()
    assert files(tmp_path) == ["photographs"] and files(tmp_path / "photographs") == ["precious"]


def test_folder_is_not_replaced_by_a_file(tmp_path):
    """`cotrain draw --out results` must not delete the folder of that name."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "precious").write_text("model")
    with pytest.raises(BadInput, match="results"):
        atomic.write_bytes(tmp_path / "results", b"table")
    assert (tmp_path / "results" / "precious").read_text() == "model" and files(tmp_path) == ["results"]


def test_error_inside_an_hdf5_file_leaves_nothing(tmp_path):
    label = np.zeros((2, 2), np.uint8)
    with (
        pytest.raises(RuntimeError),
        labelfiles.create_pseudolabels(tmp_path / "labels.h5", CLASSES, IDS, IDS, (2, 2), MADE_BY) as write,
    ):
        write(0, label, ImageStatistics(0.5, np.zeros(3), np.zeros(3, int)))
        raise RuntimeError
    assert files(tmp_path) == []


def test_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"file/table\.csv: cannot be written"):
        atomic.write_bytes(tmp_path / "file" / "table.csv", b"x")


KILL_WHILE_WRITING = """
import os, signal, sys
from pathlib import Path
from cotrain.files import atomic
with atomic.replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_leftovers_of_killed_processes_are_removed_and_those_of_live_ones_are_not(tmp_path):
    path = tmp_path / "a [file]"
    killed = subprocess.run([sys.executable, "-c", KILL_WHILE_WRITING, path], check=False)
    assert killed.returncode == -signal.SIGKILL and len(files(tmp_path)) == 1
    with atomic.replacing(path) as live:
        assert files(tmp_path) == [live.parent.name]
        live.write_text("of the live one")
        atomic.write_bytes(path, b"of another")
        assert path.read_text() == "of another" and live.exists()
    assert path.read_text() == "of the live one" and files(tmp_path) == ["a [file]"]


def test_workplace_that_is_cleaned_up_before_it_is_locked_is_made_anew(tmp_path, monkeypatch):
    acquire, taken = locks.acquire, []

    def late(path):
        if not taken:
            taken.append(path)
            shutil.rmtree(path.parent)
        return acquire(path)

    monkeypatch.setattr(locks, "acquire", late)
    atomic.write_bytes(tmp_path / "file", b"whole")
    assert taken and files(tmp_path) == ["file"]


def test_readers_see_the_old_file_or_the_new_one_while_it_is_replaced(tmp_path):
    path, contents = tmp_path / "file", {bytes([i]) * 300_000 for i in range(2)}
    atomic.write_bytes(path, min(contents))
    with path.open("rb") as opened_before, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(lambda: [atomic.write_bytes(path, data) for _ in range(20) for data in sorted(contents)])
        while not writing.done():
            assert path.read_bytes() in contents
        writing.result()
        assert opened_before.read() == min(contents)


def test_bytes_and_names_are_on_disk_before_what_follows(tmp_path, monkeypatch):
    """A power cut may come between any two of these."""
    done, fsync, rename = [], os.fsync, Path.rename
    opened = Path("/proc/self/fd")
    monkeypatch.setattr(os, "fsync", lambda f: (done.append((opened / str(f)).readlink().name), fsync(f)))
    monkeypatch.setattr(Path, "rename", lambda old, new: (done.append(f"rename to {Path(new).name}"), rename(old, new)))
    with atomic.replacing(tmp_path / "folder") as temporary:
        (temporary / "images").mkdir(parents=True)
        (temporary / "images" / "0.png").write_text("0")
    assert sorted(done[:3]) == ["0.png", "images", "new"] and done[3:] == ["rename to folder", tmp_path.name]


def test_stage_that_sigterm_ends_leaves_nothing(tmp_path):
    out = tmp_path / "scenes"
    settings = '{"look": "camera", "count": 100000, "size": [32, 48]}'
    stage = subprocess.Popen([sys.executable, "-m", "cotrain", "render", "--out", out, "--settings", settings])
    while not files(tmp_path):
        assert stage.poll() is None
        time.sleep(0.01)
    stage.terminate()
    assert stage.wait(60) == 143 and files(tmp_path) == []


# ---- same content, same bytes -----------------------------------------------------------------------------------


def test_same_content_gives_the_same_bytes_a_second_later(tmp_path):
    label, confidence = random_maps(0, 3, 8, 12, classes=3)
    for name in ("a", "b"):
        write_pseudolabels(tmp_path / name / "labels.h5", IDS, label, confidence)
        write_thresholds(tmp_path / name / "thresholds.csv", [0.1, 1 / 3, 0.9])
        scores.write_json(tmp_path / name / "metrics.json", "metrics", {"miou": 1 / 3}, MADE_BY)
        time.sleep(1.1)  # time stamps of HDF5 count seconds
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_pseudolabels_come_back_as_written(labels):
    label, _ = random_maps(0, 3, 8, 12, classes=3)
    found = read_pseudolabels(labels)
    assert found["image_id"].tolist() == IDS and found["round"].tolist() == ["selftrain/01"] * 3
    assert np.array_equal(found["label"], label)
    types = {name: (array.dtype, array.shape) for name, array in found.items() if array.dtype != object}
    assert types == {
        "label": (np.uint8, (3, 8, 12)),
        "confidence": (np.float32, (3,)),
        "class_confidence": (np.float32, (3, 3)),
        "class_pixels": (np.int64, (3, 3)),
    }
    with h5py.File(labels) as file:
        assert file["label"].chunks == (1, 8, 12)  # any image reads alone


def test_file_of_no_images_can_be_written_and_read(tmp_path):
    """What is left when no image has a pseudo-label."""
    none = np.zeros((0, 8, 12), np.uint8)
    found = read_pseudolabels(write_pseudolabels(tmp_path / "labels.h5", [], none, none))
    assert found["label"].shape == (0, 8, 12) and found["class_pixels"].shape == (0, 3)


# ---- HDF5 at fault ----------------------------------------------------------------------------------------------


def opened(path, kind="pseudolabels") -> None:
    with hdf5.open_hdf5(path, kind) as file:
        for name in ("label", "image_id", "confidence"):
            _ = file[name][:]


def test_missing_hdf5_file(tmp_path):
    with pytest.raises(BadInput, match=r"none\.h5: no such file"):
        opened(tmp_path / "none.h5")


def test_hdf5_of_another_stage(labels):
    with pytest.raises(BadInput, match=r"labels\.h5: its format is cotrain-pseudolabels, expected cotrain-predictions"):
        opened(labels, "predictions")


def test_hdf5_of_another_program(tmp_path):
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["label"] = np.zeros(3)
    for kind in ("pseudolabels", None):
        with pytest.raises(BadInput, match=r"foreign\.h5: .*format"):
            opened(tmp_path / "foreign.h5", kind)


def test_hdf5_of_a_later_version(labels):
    with h5py.File(labels, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(BadInput, match=r"labels\.h5: format version 2, this code reads 1"):
        opened(labels)


def test_carriage_return_is_refused_and_not_lost(tmp_path):
    row = {"image_id": "a", "image": "\r/a.png", "label": "", "height": 1, "width": 2}
    with pytest.raises(BadInput, match=r"'\\r/a.png' has a carriage return"):
        tables.write_table(tmp_path / "index.csv", "index", [row], MADE_BY)
    assert list(tmp_path.iterdir()) == []


def test_text_of_variable_length_is_refused_and_not_read(labels):
    """A damaged one can keep HDF5 reading for ever."""
    with h5py.File(labels, "a") as file:
        ids = file["image_id"].asstr()[:]
        del file["image_id"]
        file["image_id"] = np.array(ids, object)
    with pytest.raises(BadInput, match=r"labels\.h5: damaged \(image_id has values of variable length\)"):
        opened(labels)
    with h5py.File(labels, "a") as file:
        file.attrs["note"] = "text"
    with pytest.raises(BadInput, match=r"labels\.h5: damaged \(note has values of variable length\)"):
        opened(labels)


def test_long_text_is_kept_whole(tmp_path):
    """HDF5 keeps attributes of more than 64 KiB in another way."""
    made_by = {"settings": {"é": "x" * 200_000}, "stage": "draw", "inputs": {}}
    with hdf5.create_hdf5(tmp_path / "long.h5", "pictures", ("a", "b"), made_by) as file:
        hdf5.write_strings(file, "image_id", ["é", "longer"])
    with hdf5.open_hdf5(tmp_path / "long.h5") as file:
        assert json.loads(file.attrs["provenance"]) == made_by and hdf5.image_ids(file) == ["é", "longer"]


def test_text_file_named_h5(tmp_path):
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(BadInput, match=r"text\.h5: not a whole HDF5 file"):
        opened(tmp_path / "text.h5")


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_hdf5_file(labels, share):
    whole = labels.read_bytes()
    labels.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(BadInput, match=r"labels\.h5: "):
        opened(labels)


def test_damaged_map_in_an_hdf5_file(tmp_path):
    label, confidence = random_maps(0, 1, 64, 64, classes=3)
    path = write_pseudolabels(tmp_path / "labels.h5", ["a"], label, confidence)
    with h5py.File(path) as file:
        chunk = file["label"].id.get_chunk_info(0)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    path.write_bytes(data)
    with pytest.raises(BadInput, match=r"labels\.h5: damaged"):
        opened(path)


def test_hdf5_without_a_dataset_it_should_have(labels):
    with h5py.File(labels, "a") as file:
        del file["confidence"]
    with pytest.raises(BadInput, match=r"labels\.h5: damaged .*confidence"):
        opened(labels)


# ---- files that the system does not let us read -----------------------------------------------------------------

CUT_OFF = {
    errno.EIO: "Input/output error",
    errno.ENOLCK: "No locks available",
    errno.ESTALE: "Stale file handle",
    errno.EACCES: "Permission denied",
    errno.ENOMEM: "Cannot allocate memory",
}
READERS = {
    "labels.h5": (lambda path: opened(path), "h5py.File"),
    "table.csv": (lambda path: tables.read_table(path, "selected"), "pandas.read_csv"),
    "measure.json": (lambda path: scores.read_json(path, "measure"), "pathlib.Path.read_bytes"),
    "photograph.png": (lambda path: images.read_image(path), "PIL.Image.open"),
    "any": (lambda path: hashes.sha256(path), "pathlib.Path.open"),
}


def good_file(folder: Path, name: str) -> Path:
    path = folder / name
    if name == "labels.h5":
        write_pseudolabels(path, IDS, *random_maps(0, 3, 8, 12, classes=3))
    elif name == "table.csv":
        tables.write_table(path, "selected", [], MADE_BY)
    elif name == "measure.json":
        scores.write_json(path, "measure", {"coverage": 1, "accuracy": 1}, MADE_BY)
    elif name == "photograph.png":
        save(path, np.zeros((2, 2, 3), np.uint8))
    else:
        path.touch()
    return path


def advises_to_give_up_the_file(message: str) -> bool:
    return any(word in message for word in ("delete", "remove", "replace", "make it again", "damaged", "not a whole"))


@pytest.mark.parametrize("number", CUT_OFF, ids=errno.errorcode.get)
@pytest.mark.parametrize("name", READERS)
def test_good_file_that_cannot_be_read_is_not_called_damaged(name, number, tmp_path, monkeypatch):
    path = good_file(tmp_path, name)
    read, library = READERS[name]
    read(path)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(library, refuse)
    with pytest.raises(BadInput, match=rf"{name}: cannot be read \({CUT_OFF[number]}\); \w+") as refused:
        read(path)
    assert not advises_to_give_up_the_file(str(refused.value))


@pytest.mark.parametrize("name", READERS)
def test_error_of_the_disk_is_told_as_such(name, tmp_path):
    """The memory of a process is a file that gives real errors."""
    path = tmp_path / name
    path.symlink_to("/proc/self/mem")
    with pytest.raises(BadInput, match=r": cannot be read \(Input/output error\); check the disk"):
        READERS[name][0](path)


def test_error_of_the_disk_within_a_file_is_told_as_such(labels, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, "Can't read data (file read failed: errno = 5)")

    with hdf5.open_hdf5(labels, "pseudolabels") as file:
        monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
        with pytest.raises(BadInput, match=r"labels\.h5: cannot be read \(Input/output error\)"):
            _ = file["label"][0]


@pytest.mark.parametrize(
    "error", [MemoryError(), OSError("Can't read data (memory allocation failed for raw data chunk)")]
)
def test_lack_of_memory_is_told_as_such(error, labels, monkeypatch):
    def fail(*_):
        raise error

    with hdf5.open_hdf5(labels, "pseudolabels") as file:
        monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
        with pytest.raises(BadInput, match=r"labels\.h5: cannot be read .*use a machine with more memory"):
            _ = file["label"][0]


EDIT = """
import sys, h5py
with h5py.File(sys.argv[1], "r+"):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_file_that_another_program_writes_to_is_not_called_damaged(labels):
    command = [sys.executable, "-c", EDIT, labels]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as editor:
        assert editor.stdout.readline() == "open\n"
        with pytest.raises(BadInput, match=r"labels\.h5: another program writes to it") as refused:
            opened(labels)
        editor.communicate("")
    assert not advises_to_give_up_the_file(str(refused.value))
    opened(labels)


# ---- tables -----------------------------------------------------------------------------------------------------


def read(tmp_path, text: str | bytes, kind: str = "index"):
    path = tmp_path / "table.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tables.read_table(path, kind)


def test_table_comes_back_as_written_and_text_stays_text(tmp_path):
    rows = [
        {"image_id": "00042", "image": "/data/a,b.png", "label": "", "height": 4, "width": 6},
        {"image_id": "NA", "image": 'quoted "c".png', "label": "1.50", "height": 5, "width": 7},
    ]
    tables.write_table(tmp_path / "index.csv", "index", rows, MADE_BY)
    assert tables.read_table(tmp_path / "index.csv", "index").to_dict("records") == rows


def test_threshold_comes_back_exactly(tmp_path):
    thresholds = [1 / 3, 32768 / 65535, 0.1 + 0.2]
    table = tables.read_table(write_thresholds(tmp_path / "thresholds.csv", thresholds), "thresholds")
    assert table["threshold"].tolist() == thresholds


def test_table_of_no_rows_keeps_its_columns(tmp_path):
    tables.write_table(tmp_path / "selected.csv", "selected", [], MADE_BY)
    table = tables.read_table(tmp_path / "selected.csv", "selected")
    assert len(table) == 0 and list(table) == ["image_id", "confidence", "reason"]


def test_missing_column_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"table\.csv: column height is missing; a index table has image_id, image"):
        read(tmp_path, "image_id,image,label,width\na,a.png,,3\n")


def test_id_that_occurs_twice_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"table\.csv: image_id b occurs twice"):
        read(tmp_path, INDEX + "a,a.png,,1,1\nb,b.png,,1,1\nb,c.png,,1,1\n")


@pytest.mark.parametrize("value", ["tall", "", "1.5", "nan"])
def test_wrong_value_in_a_column_of_integers_is_an_error(tmp_path, value):
    with pytest.raises(BadInput, match=r"table\.csv: column height must hold only int"):
        read(tmp_path, INDEX + f"a,a.png,,{value},3\n")


@pytest.mark.parametrize("value", ["high", "", "nan"])
def test_wrong_value_in_a_column_of_numbers_is_an_error(tmp_path, value):
    with pytest.raises(BadInput, match=r"table\.csv: column threshold must hold only float"):
        read(tmp_path, f"class,name,pixels,portion,threshold\n0,road,5,0.5,{value}\n", "thresholds")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n\xff\xfe\x00", b'image_id,image\n"a\n', b"\x00" * 50])
def test_file_that_is_no_table(tmp_path, content):
    with pytest.raises(BadInput, match=r"table\.csv: "):
        read(tmp_path, content)


def test_missing_table_and_folder_in_its_place(tmp_path):
    with pytest.raises(BadInput, match=r"none\.csv: no such file"):
        tables.read_table(tmp_path / "none.csv", "index")
    with pytest.raises(BadInput, match="not a CSV table"):
        tables.read_table(tmp_path, "index")


def test_json_of_another_kind_or_none_at_all(tmp_path):
    scores.write_json(tmp_path / "measure.json", "measure", {}, MADE_BY)
    with pytest.raises(BadInput, match=r"measure\.json: not a cotrain-metrics file"):
        scores.read_json(tmp_path / "measure.json", "metrics")
    for text in ("{", "[1]", "\xff"):
        (tmp_path / "other.json").write_text(text, encoding="latin-1")
        with pytest.raises(BadInput, match=r"other\.json: not"):
            scores.read_json(tmp_path / "other.json", "metrics")


# ---- provenance -------------------------------------------------------------------------------------------------


@pytest.fixture
def made_by(tmp_path):
    source = tmp_path / "input.csv"
    source.write_text("a\n")
    return provenance("draw", {"count": 3}, {"index": [source]})


def test_provenance_holds_stage_settings_hashed_inputs_and_code_version(made_by, tmp_path):
    assert made_by["stage"] == "draw" and made_by["settings"] == {"count": 3} and made_by["code"]
    digest = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"  # printf 'a\n' | sha256sum
    assert made_by["inputs"] == {"index": [{"path": str(tmp_path / "input.csv"), "sha256": digest}]}


def test_provenance_comes_back_from_every_kind_of_file(made_by, tmp_path):
    tables.write_table(tmp_path / "table.csv", "selected", [], made_by)
    scores.write_json(tmp_path / "metrics.json", "metrics", {}, made_by)
    with hdf5.create_hdf5(tmp_path / "labels.h5", "pseudolabels", CLASSES, made_by):
        pass
    save(tmp_path / "scenes" / "a.png", np.zeros((2, 2), np.uint8))
    atomic.write_sidecar(tmp_path / "scenes", made_by)
    for name in ("table.csv", "metrics.json", "labels.h5", "scenes"):
        assert origins.read_provenance(tmp_path / name) == made_by


def test_table_changed_by_hand_is_noticed(made_by, tmp_path):
    tables.write_table(tmp_path / "table.csv", "selected", [], made_by)
    with (tmp_path / "table.csv").open("a") as file:
        file.write("a,0.5,by hand\n")
    with pytest.raises(BadInput, match=r"table\.csv: it was changed after it was made"):
        origins.read_provenance(tmp_path / "table.csv")


@pytest.mark.parametrize("change", ["rename", "edit", "add"])
def test_folder_changed_by_hand_is_noticed(made_by, tmp_path, change):
    folder = tmp_path / "scenes"
    save(folder / "a.png", np.zeros((2, 2), np.uint8))
    atomic.write_sidecar(folder, made_by)
    if change == "rename":
        (folder / "a.png").rename(folder / "b.png")
    else:
        save(folder / ("a.png" if change == "edit" else "b.png"), np.ones((2, 2), np.uint8))
    with pytest.raises(BadInput, match="scenes: it was changed"):
        origins.read_provenance(folder)


def test_files_of_others_have_no_provenance(tmp_path):
    (tmp_path / "table.csv").write_text("a\n")
    (tmp_path / "list.json").write_text("[1, 2]")
    for name, message in (("table.csv", "nothing is known"), ("list.json", ""), ("none.csv", "no such file")):
        with pytest.raises(BadInput, match=f"{name}: {message}"):
            origins.read_provenance(tmp_path / name)


def test_half_a_sidecar_is_no_provenance(made_by, tmp_path):
    tables.write_table(tmp_path / "table.csv", "selected", [], made_by)
    (sidecar,) = (path for path in tmp_path.iterdir() if path.name.startswith(".table.csv"))
    sidecar.write_text(sidecar.read_text()[:40])
    with pytest.raises(BadInput, match=r"table\.csv: nothing is known"):
        origins.read_provenance(tmp_path / "table.csv")
