"""`cotrain predict` on files that Pillow and OpenCV write, against torch called directly."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import PROJECT, save
from PIL import ExifTags, Image

from cotrain.cli import main
from cotrain.data import labels
from cotrain.data.descriptions import load_dataset, load_labelset
from cotrain.data.images import read_image
from cotrain.networks import build, checkpoint
from cotrain.settings.datasets import Coding
from cotrain.settings.model import Model
from cotrain.toycity import streets

CLASSES = tuple(load_labelset(PROJECT / "workflow", "cityscapes19").classes)
HEIGHT, WIDTH = 48, 64
PHOTOGRAPH = streets.render(0, 3, "camera", HEIGHT, WIDTH)[0]
GREY = np.asarray(Image.fromarray(PHOTOGRAPH).convert("L"))
SIXTEEN = GREY.astype(np.uint16) * 256 + 77


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("model") / "model.pt"
    checkpoint.save(path, build.build(Model(architecture="FPN", weights=None), CLASSES), {})
    return path


@pytest.fixture(scope="module")
def network(model):
    loaded = checkpoint.load(model).eval()

    def softmax(image: np.ndarray) -> torch.Tensor:
        with torch.inference_mode():
            return loaded(torch.from_numpy(image).permute(2, 0, 1)[None])[0].softmax(dim=0)

    return softmax


@pytest.fixture
def predict(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(PROJECT)

    def call(*given, code: int = 0, **settings) -> str:
        arguments = ["predict", "--model", str(model), *map(str, given), "--out", str(tmp_path / "out")]
        assert main([*arguments, "--settings", json.dumps(settings)]) == code
        return capsys.readouterr().err

    return call


def read(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def clearly(p: torch.Tensor) -> np.ndarray:
    """Pixels whose class rounding cannot change."""
    best = p.topk(2, dim=0).values
    return (best[0] - best[1] > 1e-4).numpy()


def agrees(found: np.ndarray, p: torch.Tensor) -> bool:
    clear = clearly(p)
    return clear.mean() > 0.9 and (found == p.argmax(dim=0).numpy())[clear].all()


def turned(path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(PHOTOGRAPH)).save(path, exif=exif)


def with_alpha(path):
    Image.fromarray(np.dstack([PHOTOGRAPH, GREY])).save(path)


def opencv(pixels):
    return lambda path: cv2.imwrite(str(path), pixels)


GREYS = np.dstack([GREY] * 3)
KINDS = {
    "turned.png": (turned, PHOTOGRAPH),
    "alpha.png": (with_alpha, PHOTOGRAPH),
    "alpha.webp": (lambda path: Image.fromarray(np.dstack([PHOTOGRAPH, GREY])).save(path, lossless=True, exact=True),
                   PHOTOGRAPH),
    "grey.bmp": (lambda path: Image.fromarray(GREY).save(path), GREYS),
    "grey16.png": (lambda path: Image.fromarray(SIXTEEN).save(path), GREYS),
    "grey16.tif": (lambda path: Image.fromarray(SIXTEEN).save(path), GREYS),
    "grey16.jp2": (lambda path: Image.fromarray(SIXTEEN).save(path, irreversible=False), GREYS),
    "grey16.pgm": (opencv(SIXTEEN), GREYS),
    "opencv16.png": (opencv(PHOTOGRAPH[..., ::-1].astype(np.uint16) * 256 + 9), PHOTOGRAPH),
    "opencv16.tiff": (opencv(PHOTOGRAPH[..., ::-1].astype(np.uint16) * 256 + 9), PHOTOGRAPH),
    "alpha16.png": (opencv(np.dstack([PHOTOGRAPH[..., ::-1], GREY]).astype(np.uint16) * 256), PHOTOGRAPH),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_photographs_of_every_kind_are_seen_upright_in_eight_bits(name, predict, network, tmp_path):
    make, seen = KINDS[name]
    make(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name), seen)
    predict(tmp_path / name)
    found = read(tmp_path / "out" / f"{name.split('.')[0]}.png")
    assert found.shape == seen.shape[:2] and agrees(found, network(seen))


def test_folder_is_searched_for_photographs_and_predictions_in_it_are_left_alone(predict, tmp_path):
    for name in ("a.png", "sub/b.jpg", ".hidden/c.png"):
        save(tmp_path / name, PHOTOGRAPH)
    (tmp_path / "notes.txt").write_text("not a photograph")
    for _ in range(2):  # the second time there are predictions below the folder
        predict(tmp_path)
    out = tmp_path / "out"
    found = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert found == ["a.png", "a_overlay.jpg", "classes.csv", "sub/b.png", "sub/b_overlay.jpg"]


def test_video_is_predicted_frame_by_frame(predict, network, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "drive.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (WIDTH, HEIGHT))
    for i in range(5):
        writer.write(np.ascontiguousarray(streets.render(0, i, "camera", HEIGHT, WIDTH)[0][..., ::-1]))
    writer.release()
    predict(tmp_path / "drive.mp4", batch=2)
    capture = cv2.VideoCapture(str(tmp_path / "drive.mp4"))
    for i in range(5):
        frame = cv2.cvtColor(capture.read()[1], cv2.COLOR_BGR2RGB)
        assert agrees(read(tmp_path / "out" / "drive" / f"{i:06d}.png"), network(frame)), i
    shaded = cv2.VideoCapture(str(tmp_path / "out" / "drive_overlay.mp4"))
    assert shaded.get(cv2.CAP_PROP_FPS) == 10
    frames = [shaded.read()[0] for _ in range(6)]
    assert frames == [True] * 5 + [False]


OWN = {
    "colours": {"encoding": "colors", "colors": {c: [i, 255 - i, 7 * i] for i, c in enumerate(CLASSES)}},
    "sixteen": {"values": {20 * i + 3: c for i, c in enumerate(CLASSES)}},
}


@pytest.mark.parametrize("name", ["cityscapes", "bdd100k_seg", "synthia", *OWN])
def test_label_values_of_a_convention_read_back_as_the_classes(name, predict, tmp_path):
    save(tmp_path / "a.png", PHOTOGRAPH)
    predict(tmp_path / "a.png")
    classes = read(tmp_path / "out" / "a.png")
    if name in OWN:
        text = yaml.safe_dump({"name": name, "images": "{id}", **OWN[name]})
        name = str(tmp_path / f"{name}.yaml")
        Path(name).write_text(text)
    predict(tmp_path / "a.png", convention=name)
    dataset = load_dataset(PROJECT / "workflow", name)
    coding = Coding(
        encoding=dataset.encoding, values={v: CLASSES.index(c) for v, c in dataset.names.items() if c in CLASSES}
    )
    assert np.array_equal(labels.read_label(tmp_path / "out" / "a.png", coding), classes)
    if name == "cityscapes":
        table = pd.read_csv(tmp_path / "out" / "classes.csv").set_index("name")
        assert (table["class"]["car"], table["value"]["car"]) == (13, 26)
        assert set(np.unique(read(tmp_path / "out" / "a.png"))) <= set(table["value"])


def test_confidence_and_entropy_are_those_of_the_softmax(predict, network, tmp_path):
    predict(save(tmp_path / "a.png", PHOTOGRAPH), confidence=True, entropy=True)
    p = network(PHOTOGRAPH).double()
    entropy = -(p * p.log()).sum(dim=0) / np.log(len(CLASSES))
    for kind, expected in (("confidence", p.amax(dim=0)), ("entropy", entropy)):
        found = read(tmp_path / "out" / f"a_{kind}.png")
        assert found.dtype == np.uint16
        np.testing.assert_allclose(found / 65535, expected.numpy(), atol=1e-3)


def test_large_photograph_is_scaled_down_for_the_network_and_its_classes_up_again(predict, network, tmp_path):
    predict(save(tmp_path / "a.png", PHOTOGRAPH), longest=32)
    small = np.array(Image.fromarray(PHOTOGRAPH).resize((32, 24), Image.Resampling.BILINEAR))
    p = torch.nn.functional.interpolate(network(small)[None], (HEIGHT, WIDTH), mode="bilinear", align_corners=False)[0]
    assert agrees(read(tmp_path / "out" / "a.png"), p)


def test_without_a_size_the_network_sees_no_more_than_in_training(model, predict, network, tmp_path):
    loaded = checkpoint.load(model)
    checkpoint.save(tmp_path / "trained.pt", loaded, {"settings": {"source_size": [24, 32], "target_size": None}})
    save(tmp_path / "a.png", PHOTOGRAPH)
    arguments = ["predict", "--model", str(tmp_path / "trained.pt"), str(tmp_path / "a.png")]
    assert main([*arguments, "--out", str(tmp_path / "trained")]) == 0
    predict(tmp_path / "a.png", longest=32)
    assert np.array_equal(read(tmp_path / "trained" / "a.png"), read(tmp_path / "out" / "a.png"))


def test_batches_of_mixed_sizes_keep_each_photograph_its_own(predict, network, tmp_path):
    images = {f"{i}": PHOTOGRAPH[: HEIGHT - 8 * (i % 3 == 0), i:] for i in range(7)}
    images |= {"7": images["5"][:, ::-1], "8": images["5"]}
    for name, image in images.items():
        save(tmp_path / f"{name}.png", np.ascontiguousarray(image))
    predict(tmp_path, batch=3)
    for name, image in images.items():
        assert agrees(read(tmp_path / "out" / f"{name}.png"), network(np.ascontiguousarray(image))), name


CLASHES = {  # names in a folder, settings, what is written twice
    "confidence": (["x.jpg", "x_confidence.jpg"], {"confidence": True}, "x_confidence.png"),
    "entropy": (["x.jpg", "sub/x.jpg", "sub/x_entropy.png"], {"entropy": True}, "sub/x_entropy.png"),
    "folder": (["x.jpg", "x_confidence.png/a.jpg"], {"confidence": True}, "x_confidence.png"),
    "video": (["x.jpg", "x_confidence.png.mp4"], {"confidence": True}, "x_confidence.png"),
    "table": (["x.jpg", "classes.csv/a.jpg"], {}, "classes.csv"),
}


@pytest.mark.parametrize("clash", CLASHES.values(), ids=CLASHES)
def test_two_outputs_of_one_name_are_refused_before_anything_is_written(clash, predict, tmp_path):
    names, settings, twice = clash
    for name in names:
        path = tmp_path / "given" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            Image.fromarray(PHOTOGRAPH).save(file, format="PNG")
    message = predict(tmp_path / "given", code=2, **settings)
    [fault] = [line for line in message.splitlines() if line.startswith("error: ")]
    assert f"{tmp_path / 'out' / twice} is also written for" in fault and "rename one of them" in fault
    assert not (tmp_path / "out").exists()


def test_names_that_differ_in_what_is_not_written_are_no_clash(predict, tmp_path):
    for name in ("x.jpg", "x_confidence.jpg", "x_overlay.png"):
        save(tmp_path / "given" / name, PHOTOGRAPH)
    predict(tmp_path / "given")
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_frames_are_not_written_over_a_photograph(predict, tmp_path):
    photograph = save(tmp_path / "out" / "drive" / "000003.png", PHOTOGRAPH)
    (tmp_path / "drive.mp4").write_bytes(b"not looked at")
    before = photograph.read_bytes()
    assert "an input lies in it" in predict(tmp_path / "drive.mp4", photograph, code=2)
    assert photograph.read_bytes() == before


def test_quiet_shows_no_progress(model, tmp_path, capsys):
    command = [f"--model={model}", str(save(tmp_path / "a.png", PHOTOGRAPH)), f"--out={tmp_path / 'out'}"]
    for arguments in (["predict", *command], ["--quiet", "predict", *command], ["predict", *command, "--quiet"]):
        assert main(arguments) == 0
        assert ("1/1 images" in capsys.readouterr().err) == ("--quiet" not in arguments)
