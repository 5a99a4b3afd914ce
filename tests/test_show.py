"""What `show` says of the files of the tiny run, compared with the files read by other means."""

import h5py
import hdf5plugin  # noqa: F401  (its filters)
import numpy as np
import pandas as pd
import pytest
from conftest import MADE_BY
from PIL import Image

from cotrain.base.patterns import file_name
from cotrain.cli import main
from cotrain.data.colors import default_colors
from cotrain.files import hdf5


@pytest.fixture
def show(capsys):
    """What is printed of a file."""

    def call(file, *more) -> str:
        assert main(["show", str(file), *map(str, more)]) == 0
        return capsys.readouterr().out

    return call


def row(text: str, name: str) -> list[str]:
    return next(line.split() for line in text.splitlines() if line.split()[:1] == [name])


def test_pseudolabels_are_summed_up(results, show):
    path = results / "cotrain/01/1/pseudolabels.h5"
    with h5py.File(path) as file:
        label, confidence = file["label"][:], file["confidence"][:]
        ids = file["image_id"].asstr()[:]
    text = show(path, "--settings", '{"images": 2}')
    assert f"pseudo-labels of {len(label)} images of {label.shape[1]} × {label.shape[2]} pixels" in text
    assert f"coverage: {100 * (label != 255).mean():.1f} %" in text
    sky = row(text, "sky")
    assert sky[1:3] == [str(sum((one == 0).any() for one in label)), str((label == 0).sum())]
    best = np.argsort(-confidence, kind="stable")
    assert text.index(ids[best[0]]) < text.index(ids[best[1]]) and ids[best[2]] not in text
    assert f"… and {len(ids) - 2} more" in text and "made by cotrain threshold" in text


def test_predictions_are_summed_up(results, show):
    path = results / "selftrain/01/predictions.h5"
    with h5py.File(path) as file:
        label, confidence = file["label"][:, 0], file["confidence"][:, 0]
    text = show(path)
    pixels = label == 0
    mean = confidence[pixels].mean() / 65535
    found = row(text, "sky")
    assert int(found[1]) == pixels.sum() and float(found[-1]) == pytest.approx(mean, rel=1e-3)
    assert found[2] == f"{100 * pixels.mean():.1f}"


def test_tables_and_scores(results, show):
    text, table = show(results / "selftrain/01/thresholds.csv"), pd.read_csv(results / "selftrain/01/thresholds.csv")
    for name, threshold in zip(table["name"], table["threshold"], strict=True):
        assert f"{threshold:.4g}" in next(line for line in text.splitlines() if f" {name} " in line)
    assert "summary table of" in show(results / "summary.csv")
    images = pd.read_csv(results / "data/target_labelled.csv")
    assert f"with a label: {len(images)}" in show(results / "data/target_labelled.csv")
    assert "miou" in show(results / "evaluation/final.json")
    assert "coverage" in show(results / "evaluation/pseudolabels/final.json")


def test_model(results, show):
    import torch

    content = torch.load(results / "final/model.pt", weights_only=True)
    text = show(results / "final/model.pt")
    assert f"{sum(tensor.numel() for tensor in content['state'].values()):,} numbers" in text
    assert ", ".join(content["classes"]) in text and content["model"]["architecture"] in text


@pytest.mark.parametrize(
    ("name", "ending", "dataset"),
    [("cotrain/01/1/labels.h5", "label", "label"), ("evaluation/final.h5", "truth", "truth/{}")],
)
def test_pictures_have_the_colours_of_the_classes(results, show, tmp_path, name, ending, dataset):
    show(results / name, "--png", tmp_path / "png", "--settings", '{"images": 1, "colors": {"sky": [1, 2, 3]}}')
    [path] = (tmp_path / "png").rglob(f"*_{ending}.png")
    image_id = str(path.relative_to(tmp_path / "png")).removesuffix(f"_{ending}.png")
    with h5py.File(results / name) as file:
        ids = file["image_id"].asstr()[:].tolist()
        label = file[dataset.format(image_id)][:]
        label = label[ids.index(image_id)] if label.ndim == 3 else label
        if "confidence" in file:
            assert file["confidence"][ids.index(image_id)] == max(file["confidence"])
    picture = np.asarray(Image.open(path))
    expected = [(1, 2, 3), *default_colors(30)[1:]]
    for c in set(label.ravel().tolist()):
        assert (picture[label == c] == ((0, 0, 0) if c == 255 else expected[c])).all()


# ---- names that are paths ---------------------------------------------------------------------------------------

NAMES = (
    "x/../../outside",
    "../outside",
    "/outside",
    "a/b",
    "a%2Fb",
    "..",
    ".hidden",
    "a\\b",
    "a\nb",
    "x" * 300,
    "x" * 301,
    "ü" * 300,
    "traffic light",
)


def test_pictures_stay_in_their_folder_whatever_the_classes_are_called(show, tmp_path):
    path = tmp_path / "statistics.h5"
    prior = np.full((len(NAMES), 4, 6), 0.5, np.float32)
    with hdf5.create_hdf5(path, "statistics", NAMES, MADE_BY) as file:
        hdf5.write_strings(file, "image_id", ["a"])
        file["class_pixels"], file["prior"] = np.ones((1, len(NAMES)), np.int64), prior
    show(path, "--png", tmp_path / "below" / "here" / "png")
    files = {p for p in tmp_path.rglob("*") if p.is_file()} - {path, path.with_name(f".{path.name}.provenance.json")}
    assert {p.parent for p in files} == {tmp_path / "below" / "here" / "png"}
    assert len(files) == len(NAMES) and "prior_traffic light.png" in {p.name for p in files}


def test_file_names_are_distinct_and_can_be_written(tmp_path):
    texts = [*NAMES, "", "\0", "\ud800", "a/b/", ".", "…", "%"]
    names = [file_name(text) for text in texts if text]
    assert len(set(names)) == len(names)
    for name in names:
        (tmp_path / name).write_text("")
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(names)
    assert not any(name.startswith(".") for name in names) and file_name("non-drivable (7)") == "non-drivable (7)"
