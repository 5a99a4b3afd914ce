"""Each publisher's layout and encoding, through index, check, a train step, infer and evaluate."""

import json
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import PROJECT, SHARED_DATA, VOID, Result, save
from PIL import Image
from trees import (
    CITYSCAPES,
    ODD,
    SHIPPED,
    SIZE,
    WORKFLOW,
    Shipped,
    build,
    class_and_instance,
    color,
    grey,
    palette,
    plan_for,
    red,
    settings,
    through,
    two_channels,
)

from cotrain.base.errors import BadInput
from cotrain.cli import main
from cotrain.data import indexing
from cotrain.data.decoding import size
from cotrain.data.descriptions import label_values, load_dataset, load_labelset
from cotrain.data.labels import LABELS, read_label, read_values
from cotrain.files.provenance import listing
from cotrain.files.scores import write_json
from cotrain.files.tables import read_table
from cotrain.networks import checkpoint, torchvision_cpu  # noqa: F401  (vision: before torchvision)
from cotrain.settings.datasets import Coding, Index
from cotrain.settings.strict import parse

SAMPLES = SHARED_DATA / "format_samples"
needs_samples = pytest.mark.skipif(not SAMPLES.is_dir(), reason=f"{SAMPLES} is not on this machine")


@pytest.fixture
def check(monkeypatch, capsys):
    """`check(what, flag, value, …)` runs `cotrain check` in the folder of the Snakefile."""
    monkeypatch.chdir(PROJECT)

    def call(*arguments) -> Result:
        capsys.readouterr()
        return Result(main(["check", *map(str, arguments)]), *capsys.readouterr())

    return call


def shares(report: str) -> dict[str, str]:
    """Class → share of the pixels, of a report on one set."""
    lines = [line.rsplit(maxsplit=2) for line in report.splitlines()]
    return {line[0].strip(): line[1] for line in lines if len(line) == 3 and line[1].endswith("%")}


@pytest.mark.parametrize("name", SHIPPED)
def test_publishers_tree_goes_through_all_stages(name, cotrain, check, tmp_path):
    shipped = SHIPPED[name]
    expected = build(tmp_path, shipped)
    plan = plan_for(tmp_path, name, shipped.split, shipped.labelset)
    scores = through(cotrain, plan, tmp_path)
    counts = np.array(scores["confusion"]).sum(axis=1)
    assert dict(zip(scores["classes"], counts, strict=True)) == {c: expected[c] for c in plan.domains.classes}
    with h5py.File(tmp_path / "predictions.h5") as file:
        assert file["label"].shape == (3, 1, *SIZE)
        assert sorted(file["image_id"].asstr()[:]) == sorted(shipped.names)

    split = ["--split", shipped.split] if shipped.split else []
    result = check(name, "--labelset", shipped.labelset, "--root", tmp_path, "--sheet", tmp_path / "sheet.png", *split)
    assert result.code == 0, result.err
    named = {c or "void": count for c, count in expected.items()}
    assert shares(result.out) == {c: f"{count / expected.total():.3%}" for c, count in named.items()}
    assert Image.open(tmp_path / "sheet.png").width > 300


# ---- against independent tables and real files ------------------------------------------------------------------


def classes_of(name: str, labelset: str = "cityscapes19") -> dict[int, str | None]:
    """Label value → class, None for void, as the project's description has it."""
    known = load_labelset(WORKFLOW, labelset)
    names = dict(enumerate(known.classes)) | {VOID: None}
    return {value: names[c] for value, c in label_values(load_dataset(WORKFLOW, name), known).items()}


def test_ids_of_cityscapes_are_those_of_torchvision():
    from torchvision.datasets import Cityscapes

    train_ids = {c.id: CITYSCAPES[c.train_id] if c.train_id < 19 else None for c in Cityscapes.classes if c.id >= 0}
    found = classes_of("cityscapes")
    assert {value: found[value] for value in train_ids} == train_ids
    assert set(found) - set(train_ids) == {34, 255} and found[34] is found[255] is None


@needs_samples
@pytest.mark.parametrize(
    ("name", "key", "departures"),
    [
        ("carla_0.9.13", "carla_0_8_13cls_red_channel", {}),
        ("carla_0.9.14", "carlascapes_labelIds", {}),
        ("synthia", "synthia_rand_cityscapes", {16: None, 18: None, 20: None}),  # not among the 16 of the papers
    ],
)
def test_description_agrees_with_a_published_map(name, key, departures):
    table = json.loads((SHARED_DATA / "class_maps.json").read_text())[key]
    expected = {int(value): CITYSCAPES[c] if c < 19 else None for value, c in table.items()}
    found = classes_of(name)
    assert {value: found[value] for value in expected} == expected | departures


@needs_samples
def test_label_ids_and_train_ids_of_a_real_pair_are_the_same_classes(tmp_path):
    shutil.copytree(SAMPLES / "cityscapes_mmseg_256x128", tmp_path / "cityscapes")
    known, found = load_labelset(WORKFLOW, "cityscapes19"), []
    for name in ("cityscapes", "cityscapes_trainids"):
        plan = plan_for(tmp_path, name, "val", "cityscapes19")
        (row,) = rows_of(plan)
        coding = Coding(values=label_values(load_dataset(WORKFLOW, name), known))
        found.append(read_label(row["label"], coding))
    assert (found[0] == found[1]).mean() > 0.997  # the two files of this sample were made small each on its own
    assert (found[0] != VOID).mean() > 0.8


def rows_of(plan) -> list[dict]:
    """Index of the source."""
    return indexing.index(
        Path(plan.domains.data_root("source")), parse(Index, settings(plan, "index", "source"), "index")
    )


@needs_samples
@pytest.mark.parametrize("version", ["v1.2", "v2.0"])
def test_real_labels_of_mapillary_are_read_by_their_indices(version):
    """What an index means is checked by the colour that the published palette gives it."""
    (path,) = (SAMPLES / "mapillary_mmseg_100x100" / version).glob("*.png")
    raw, colors = read_values(path, "ids"), np.array(Image.open(path).convert("RGB"))
    names = load_dataset(WORKFLOW, f"mapillary_{version}").values
    published = {"nature--sky": (70, 130, 180), "construction--flat--road": (128, 64, 128)}
    published |= {"nature--vegetation": (107, 142, 35), "construction--structure--building": (70, 70, 70)}
    seen = {names[value]: value for value in np.unique(raw).tolist()}
    assert published.keys() & seen
    for name in published.keys() & seen:
        assert {tuple(c) for c in colors[raw == seen[name]].tolist()} == {published[name]}


@needs_samples
def test_real_masks_of_bdd100k_are_read():
    values = read_values(SAMPLES / "bdd100k_real_masks" / "test-mask.png", "ids")
    assert set(np.unique(values).tolist()) <= set(classes_of("bdd100k"))
    path = SAMPLES / "bdd100k_real_masks" / "panseg_gt_a_RGBA.png"
    assert np.array_equal(read_values(path, "red"), np.array(Image.open(path))[..., 0])


# ---- encodings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [class_and_instance, two_channels, red])
def test_ids_in_the_first_of_several_channels_are_read_exactly(write, tmp_path):
    raw = np.random.default_rng(3).integers(0, 23, (9, 14))
    write(tmp_path / "l.png", raw)
    assert np.array_equal(read_values(tmp_path / "l.png", "red"), raw)
    assert size(tmp_path / "l.png", LABELS["red"]) == (14, 9)
    enlarged = read_values(tmp_path / "l.png", "red", (27, 42))
    assert np.array_equal(enlarged, raw.repeat(3, axis=0).repeat(3, axis=1))


def test_pillow_would_lose_the_classes_of_synthia(tmp_path):
    """Why they are read with OpenCV; if this fails, Pillow has learnt it."""
    class_and_instance(tmp_path / "l.png", np.full((4, 4), 7))
    assert (np.array(Image.open(tmp_path / "l.png"))[..., 0] == 0).all()


def test_colours_are_read_and_an_unknown_one_is_named(tmp_path):
    color(tmp_path / "l.png", np.array([[0x804080, 0x400080], [0, 0x804080]]))
    coding = Coding(encoding="colors", values={0x804080: 1, 0x400080: 0, 0: VOID})
    assert read_label(tmp_path / "l.png", coding).tolist() == [[1, 0], [VOID, 1]]
    with pytest.raises(BadInput, match=r"l\.png: label value \[64, 0, 128\] is unknown; add it"):
        read_label(tmp_path / "l.png", Coding(encoding="colors", values={0x804080: 1, 0: VOID}))


@pytest.mark.parametrize(("encoding", "write"), [("red", palette), ("red", grey), ("colors", grey), ("ids", red)])
def test_label_of_another_encoding_is_refused_by_its_head(encoding, write, tmp_path):
    write(tmp_path / "l.png", np.zeros((4, 6), int))
    with pytest.raises(BadInput, match=r"l\.png: pixels of mode \S+, expected"):
        size(tmp_path / "l.png", LABELS[encoding])


def test_damaged_label_of_several_channels_is_named(tmp_path):
    red(tmp_path / "l.png", np.random.default_rng(0).integers(0, 20, (40, 60)))
    (tmp_path / "l.png").write_bytes((tmp_path / "l.png").read_bytes()[:-300])
    with pytest.raises(BadInput, match=r"l\.png: damaged image"):
        read_values(tmp_path / "l.png", "red")


# ---- which images count -----------------------------------------------------------------------------------------


def index_of(root: Path, **layout) -> list[str]:
    return [row["image_id"] for row in indexing.index(root, Index(images="{id}.png", **layout))]


def test_index_reads_heads_only(tmp_path):
    for kind, label in (("images", False), ("labels", True)):
        path = tmp_path / kind / "a.png"
        path.parent.mkdir()
        red(path, np.random.default_rng(0).integers(0, 256, (64, 96)))
        if label:
            palette(path, np.random.default_rng(0).integers(0, 256, (64, 96)))
        end = path.read_bytes().index(b"IDAT")
        path.write_bytes(path.read_bytes()[: end + 8])
    (row,) = indexing.index(tmp_path, Index(images="images/{id}.png", labels="labels/{id}.png"))
    assert (row["height"], row["width"]) == (64, 96)


def test_list_says_which_images_count(tmp_path):
    for name in ("a/1", "a/2", "b/1"):
        save(tmp_path / f"{name}.png", np.zeros((4, 6), np.uint8))
    (tmp_path / "some.txt").write_text("# clear ones\n\nb/1\na/2\n")
    assert index_of(tmp_path, list_file="some.txt") == ["a/2", "b/1"]
    (tmp_path / "some.txt").write_text("a/1\na/3\n")
    with pytest.raises(BadInput, match=r"some\.txt: line 2: a/3 is the id of no image"):
        index_of(tmp_path, list_file="some.txt")
    with pytest.raises(BadInput, match=r"gone\.txt: cannot be read as a list of images"):
        index_of(tmp_path, list_file="gone.txt")


def test_edited_list_makes_the_index_out_of_date(tmp_path):
    save(tmp_path / "a.png", np.zeros((4, 6), np.uint8))
    told, hashes = Index(images="{id}.png", list_file="some.txt").model_dump(mode="json"), []
    for text in ("a\n", "a\n# and a remark\n"):
        (tmp_path / "some.txt").write_text(text)
        hashes.append(listing(tmp_path, told))
    (tmp_path / "other.txt").write_text("not listed")
    assert hashes[0] != hashes[1] == listing(tmp_path, told)


def test_list_of_bdd100k_is_one_of_each_split(tmp_path):
    build(tmp_path, SHIPPED["bdd100k"])
    (tmp_path / "bdd100k/val_clear.txt").write_text("7d128593-0ccfea4c\n")
    assert [row["image_id"] for row in rows_of(plan_for(tmp_path, "bdd100k_clear", "val", "cityscapes19"))] == [
        "7d128593-0ccfea4c"
    ]


def test_shape_says_which_images_count(tmp_path):
    for name, (width, height) in {"a": (40, 30), "b": (259, 194), "c": (30, 40), "d": (64, 36), "e": (41, 30)}.items():
        save(tmp_path / f"{name}.png", np.zeros((height, width), np.uint8))
    assert index_of(tmp_path, aspect=(4, 3)) == ["a", "b"]  # 259:194 is 4:3 to 0.2 %, 41:30 is not to 1 %
    with pytest.raises(BadInput, match=r"no image matches \{id\}\.png and the shape 1:1"):
        index_of(tmp_path, aspect=(1, 1))


@pytest.mark.parametrize("version", ["v1.2", "v2.0"])
def test_mapillary_of_the_paper_is_that_of_shape_4_to_3(version, tmp_path):
    shipped = SHIPPED[f"mapillary_{version}"]
    build(tmp_path, shipped)
    rows = rows_of(plan_for(tmp_path, f"mapillary_{version}_4x3", shipped.split, "cityscapes19"))
    assert [(row["height"], row["width"]) for row in rows] == [(30, 40)]


def test_pairs_of_unequal_size_are_left_out_and_named_where_the_description_says_so(cotrain, check, tmp_path):
    build(tmp_path, SHIPPED["gtav"])
    palette(tmp_path / "gtav/labels/00002.png", np.full((26, 50), 7))
    told = settings(plan_for(tmp_path, "gtav", "", "cityscapes19"), "index", "source")
    result = cotrain("index", told, root=tmp_path / "gtav", out=tmp_path / "i.csv")
    assert result.code == 0 and "index: 1 (00002) left out" in result.err
    assert read_table(tmp_path / "i.csv", "index")["image_id"].tolist() == ["00001", "24966"]
    assert cotrain("index", told | {"mismatched": "refuse"}, root=tmp_path / "gtav", out=tmp_path / "j.csv").code == 2
    result = check("gtav", "--root", tmp_path, "--sheet", tmp_path / "s.png")
    assert result.code == 0 and "left out, as the label has another size: 1 (00002)" in result.out


# ---- several datasets as one ------------------------------------------------------------------------------------


@pytest.fixture
def joined(tmp_path):
    counts = build(tmp_path, SHIPPED["gtav"]), build(tmp_path, SHIPPED["synscapes"], seed=1)
    return plan_for(tmp_path, "gtav_synscapes", "", "cityscapes19"), counts[0] + counts[1]


def test_two_sources_go_through_as_one(cotrain, joined, tmp_path):
    plan, expected = joined
    scores = through(cotrain, plan, tmp_path)
    counts = np.array(scores["confusion"]).sum(axis=1).tolist()
    assert dict(zip(scores["classes"], counts, strict=True)) == {c: expected[c] for c in plan.domains.classes}
    ids = [f"gtav/{i}" for i in ("00001", "00002", "24966")] + [f"synscapes/{i}" for i in ("1", "2", "25000")]
    assert sorted(read_table(tmp_path / "source.csv", "index")["image_id"]) == sorted(ids)


def test_sources_of_different_encodings_are_counted_by_class(cotrain, tmp_path):
    counts = build(tmp_path, SHIPPED["synthia"]), build(tmp_path, SHIPPED["camvid_32"], seed=1)
    (tmp_path / "two.yaml").write_text("name: two\njoin: {s: {dataset: synthia}, c: {dataset: camvid_32}}\n")
    plan = plan_for(tmp_path, str(tmp_path / "two.yaml"), "", "cityscapes19")
    told = settings(plan, "statistics") | {"size": (24, 48)}  # the images' own
    assert cotrain("index", settings(plan, "index", "source"), root=tmp_path, out=tmp_path / "s.csv").code == 0
    assert cotrain("statistics", told, source=tmp_path / "s.csv", out=tmp_path / "s.h5").code == 0
    with h5py.File(tmp_path / "s.h5") as file:
        found = file["class_pixels"][:].sum(axis=0).tolist()
    expected = counts[0] + counts[1]
    assert dict(zip(CITYSCAPES, found, strict=True)) == {c: expected[c] for c in CITYSCAPES}


def test_each_source_draws_target_images_of_its_own(cotrain, joined, tmp_path):
    """Another source beside it, before or after, changes no draw."""
    plan, _ = joined
    build(tmp_path, SHIPPED["cityscapes"])
    target = settings(plan_for(tmp_path, "cityscapes", "val", "cityscapes19"), "index", "target")
    assert cotrain("index", target, root=tmp_path / "cityscapes", out=tmp_path / "t.csv").code == 0
    parts, tables = settings(plan, "index", "source")["join"], []
    assert settings(plan, "color")["join"] == ["gtav", "synscapes"]
    for names in (["synscapes"], ["gtav", "synscapes"], ["synscapes", "gtav"]):
        told = settings(plan, "index", "source") | {"join": {name: parts[name] for name in names}}
        assert cotrain("index", told, root=tmp_path, out=tmp_path / "s.csv").code == 0
        paths = {"source": tmp_path / "s.csv", "target": tmp_path / "t.csv", "out": tmp_path / "c.csv"}
        assert cotrain("color", settings(plan, "color") | {"join": names}, **paths).code == 0
        table = read_table(tmp_path / "c.csv", "color").set_index("image_id")
        assert len(table) == 3 * len(names)
        tables.append(table.loc[table.index.str.startswith("synscapes/")])
    assert tables[0].equals(tables[1]) and tables[0].equals(tables[2])


def test_conditions_of_acdc_are_joined_by_their_splits(tmp_path):
    for condition in ("fog", "night", "rain", "snow"):
        names = (f"G/{condition}1", f"G/{condition}2", "G/3")
        shipped = SHIPPED["acdc"]._replace(names=names)
        image, label = (path.replace("fog/val", f"{condition}/val") for path in (shipped.image, shipped.label))
        build(tmp_path, shipped._replace(image=image, label=label))
    rows = rows_of(plan_for(tmp_path, "acdc_all", "val", "cityscapes19"))
    assert [row["image_id"] for row in rows][:4] == ["fog/G/3", "fog/G/fog1", "fog/G/fog2", "night/G/3"]
    assert len({row["image"] for row in rows}) == len(rows) == 12


def summarized(cotrain, plan, folder: Path, iou: list[float]) -> tuple[pd.Series, str]:
    """A row of summary.csv and the text of summary.txt, for a model with this IoU of each class."""
    scores = {
        "classes": list(plan.domains.classes),
        "images": 1,
        "miou": sum(iou) / len(iou),
        "iou": iou,
        "confusion": [],
    }
    write_json(folder / "m.json", "metrics", scores, {})
    told = settings(plan, "summarize", "evaluated") | {"rows": [["source", "source"]]}
    paths = {"metrics": folder / "m.json", "out": folder / "s.csv", "text": folder / "s.txt"}
    assert cotrain("summarize", told, **paths).code == 0
    return pd.read_csv(folder / "s.csv").iloc[0], (folder / "s.txt").read_text()


def test_missing_classes_of_each_source_are_noted_in_the_table(cotrain, tmp_path):
    (tmp_path / "two.yaml").write_text("name: two\njoin: {g: {dataset: gtav}, s: {dataset: synthia}}\n")
    plan = plan_for(tmp_path, str(tmp_path / "two.yaml"), "", "cityscapes19")
    assert plan.domains.missing == {"synthia": ["terrain", "truck", "train"]}
    _, text = summarized(cotrain, plan, tmp_path, [0.5] * 19)
    assert text.endswith("\nThe source synthia has no labels of: terrain, truck, train\n")


def test_mean_over_13_classes_stands_beside_that_over_16(cotrain, tmp_path):
    plan = plan_for(tmp_path, "synthia", "", "synthia16")
    assert plan.domains.missing == {} and len(plan.domains.classes) == 16
    iou = [round(0.05 * c, 2) for c in range(16)]
    row, text = summarized(cotrain, plan, tmp_path, iou)
    rest = [
        value for name, value in zip(plan.domains.classes, iou, strict=True) if name not in {"wall", "fence", "pole"}
    ]
    assert len(rest) == 13
    assert row["miou"] == pytest.approx(np.mean(iou)) and row["mIoU13"] == pytest.approx(np.mean(rest), abs=1e-6)
    assert "mIoU13" in text.splitlines()[0] and f"{100 * np.mean(rest):.1f}" in text.splitlines()[1]


def test_label_set_of_13_classes_makes_the_others_void():
    found = classes_of("cityscapes", "synthia13")
    assert found[7] == "road" and found[33] == "bicycle"
    assert {found[value] for value in (12, 13, 17, 22, 27, 31)} == {None}
    assert set(classes_of("bdd100k", "synthia13").values()) == {*load_labelset(WORKFLOW, "synthia13").classes, None}


# ---- numbers of classes, and sizes ------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 150])
def test_any_number_of_classes(count, cotrain, tmp_path):
    names = [f"thing {c}" for c in range(count)]
    description = {"name": "own", "images": "own/{id}.png", "labels": "own_labels/{id}.png"}
    description |= {"values": dict(enumerate(names)) | {255: "unlabelled"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(description))
    labelset = {"name": "things", "classes": {name: [c, 0, 0] for c, name in enumerate(names)}}
    (tmp_path / "things.yaml").write_text(yaml.safe_dump(labelset))
    means = dict(enumerate(names)) | {255: None}
    expected = build(tmp_path, Shipped("", "own/{}.png", "own_labels/{}.png", grey, means))
    plan = plan_for(tmp_path, str(tmp_path / "own.yaml"), "", str(tmp_path / "things.yaml"))
    scores = through(cotrain, plan, tmp_path)
    counts = np.array(scores["confusion"]).sum(axis=1).tolist()
    assert dict(zip(scores["classes"], counts, strict=True)) == {c: expected[c] for c in names}
    paths = {"predictions": tmp_path / "predictions.h5", "out": tmp_path / "l.h5", "table": tmp_path / "t.csv"}
    assert cotrain("threshold", settings(plan, "threshold", "final"), **paths).code == 0
    assert len(read_table(tmp_path / "t.csv", "thresholds")) == count


def test_target_of_mixed_sizes_is_scored_at_each_labels_own_size(cotrain, tmp_path):
    shipped = SHIPPED["mapillary_v1.2"]
    build(tmp_path, shipped)
    scores = through(cotrain, plan_for(tmp_path, "mapillary_v1.2", "training", "cityscapes19"), tmp_path)
    rows = read_table(tmp_path / "validation.csv", "index")
    assert {(row.height, row.width) for row in rows.itertuples()} == set(ODD)
    model, confusion = checkpoint.load(tmp_path / "model.pt").eval(), np.zeros((19, 19), int)
    values = {value: CITYSCAPES.index(name) for value, name in shipped.means.items() if name}
    for row in rows.itertuples():
        image = Image.open(row.image).convert("RGB").resize(SIZE[::-1], Image.Resampling.BILINEAR)
        with torch.inference_mode():
            p = model(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]).softmax(dim=1)
        raw = np.array(Image.open(row.label))
        p = torch.nn.functional.interpolate(p, raw.shape, mode="bilinear", align_corners=False)
        for truth, prediction in zip(raw.ravel().tolist(), p[0].argmax(dim=0).ravel().tolist(), strict=True):
            if truth in values:
                confusion[values[truth], prediction] += 1
    assert confusion.sum() == np.array(scores["confusion"]).sum()
    assert np.abs(confusion - np.array(scores["confusion"])).sum() < 0.01 * confusion.sum()  # ties


# ---- check ------------------------------------------------------------------------------------------------------


def test_check_names_what_is_wrong_and_what_is_twice(check, tmp_path):
    shipped = SHIPPED["cityscapes"]
    build(tmp_path, shipped)
    images, labels = (
        [tmp_path / path.format(name) for name in shipped.names] for path in (shipped.image, shipped.label)
    )
    save(tmp_path / shipped.image.format("ulm/extra"), np.zeros((24, 48, 3), np.uint8))
    (tmp_path / shipped.label.format("ulm/extra")).parent.mkdir()
    shutil.copy(images[0], tmp_path / shipped.image.format("ulm/twice"))
    grey(tmp_path / shipped.label.format("ulm/twice"), np.full((20, 48), 7))
    grey(tmp_path / shipped.label.format("ulm/alone"), np.full((24, 48), 7))
    raw = np.full((24, 48), 7)
    raw[0, 0] = 77
    grey(labels[1], raw)
    labels[2].write_bytes(labels[2].read_bytes()[:-30])
    result = check("cityscapes", "--split", "val", "--root", tmp_path, "--sheet", tmp_path / "s.png")
    assert result.code == 2 and (tmp_path / "s.png").exists()
    assert "labels without an image: 1 (ulm/alone)" in result.out
    twice = f"the same image more than once in cityscapes val: 1 ({shipped.names[0]} = ulm/twice)"
    assert twice in result.out.splitlines()
    lines = "\n".join(line for line in result.err.splitlines() if line.startswith("error: "))
    assert f"{labels[2]}: damaged image" in lines
    assert "images without a label: 1 (ulm/extra)" in lines
    assert "labels of another size than their image: 1 (ulm/twice)" in lines
    assert f"label value 77 is unknown, in images 1 ({shipped.names[1]})" in lines
    assert len(lines.splitlines()) == 4


def test_check_of_a_config_reads_every_part_and_compares_them(check, tmp_path):
    """Source and target share an image; the target has no labels to be read; the source lacks three classes."""
    build(tmp_path, SHIPPED["synthia"])
    build(tmp_path, SHIPPED["cityscapes"], seed=1)
    source = tmp_path / SHIPPED["synthia"].image.format("0000000")
    shutil.copy(source, tmp_path / SHIPPED["cityscapes"].image.format("lindau/same"))
    grey(tmp_path / SHIPPED["cityscapes"].label.format("lindau/same"), np.full((24, 48), 7))
    city = {"dataset": "cityscapes", "split": "val"}
    data = {"root": str(tmp_path), "labelset": "cityscapes19", "source": {"dataset": "synthia", "split": ""}}
    data |= {"target": city | {"truth": False}, "validation": city}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"data": data}))
    result = check(tmp_path / "own.yaml", "--sheet", tmp_path / "s.png")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    assert f"source synthia: 3 images, 3 labels, in {tmp_path}/RAND_CITYSCAPES" in lines
    assert "  it has no labels of: terrain, truck, train" in lines
    assert f"target cityscapes: 4 images, no labels, in {tmp_path}/cityscapes" in lines
    assert "the same image in source synthia and target cityscapes: 1 (0000000 = lindau/same)" in lines
    assert any(line.startswith("the same image in target cityscapes and validation cityscapes: 4 (") for line in lines)
    assert any(line.startswith("model FPN on tu-tf_efficientnet_lite0: ") for line in lines)


def test_check_of_a_config_refuses_a_network_that_would_not_take_its_images(check, tmp_path):
    build(tmp_path, SHIPPED["camvid"])
    camvid = {"dataset": "camvid", "split": "val"}
    data = {"root": str(tmp_path), "source": camvid, "target": camvid | {"truth": False}, "validation": None}
    config = {"data": data, "model": {"encoder": "tu-maxvit_tiny_tf_224", "weights": None}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    result = check(tmp_path / "own.yaml", "--sheet", tmp_path / "s.png")
    assert result.code == 2
    assert "error: model: FPN with encoder tu-maxvit_tiny_tf_224 does not take images of any size" in result.err


def test_scenes_that_are_not_rendered_yet_leave_the_rest_of_a_config_to_be_checked(check, tmp_path):
    build(tmp_path / "data", SHIPPED["camvid"])
    config = {"results": str(tmp_path / "results"), "data": {"root": str(tmp_path / "data"), "validation": None}}
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(config))
    result = check(tmp_path / "demo.yaml", "--sheet", tmp_path / "s.png")
    assert result.code == 2 and not (tmp_path / "s.png").exists()
    assert result.err == "error: config: all its images are rendered, and none is there yet; run snakemake first\n"

    config["data"]["target"] = {"dataset": "camvid", "split": "val", "truth": False}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(config))
    result = check(tmp_path / "own.yaml", "--sheet", tmp_path / "s.png")
    assert result.code == 0, result.err
    assert "source toycity: not rendered yet; snakemake does it" in result.out.splitlines()
    assert f"target camvid: 3 images, no labels, in {tmp_path}/data/camvid" in result.out.splitlines()
    assert (tmp_path / "s.png").exists()


def test_source_without_labels_is_a_fault_of_a_config(check, tmp_path):
    build(tmp_path, SHIPPED["synthia"])
    shutil.rmtree(tmp_path / "RAND_CITYSCAPES/GT")
    domain = {"dataset": "synthia", "split": ""}
    data = {"root": str(tmp_path), "labelset": "synthia16", "source": domain, "validation": None}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"data": data | {"target": domain | {"truth": False}}}))
    result = check(tmp_path / "own.yaml", "--sheet", tmp_path / "s.png")
    assert result.code == 2
    assert "error: source synthia: images without a label: 3 (0000000, 0000001, 0009399); add" in result.err


def test_check_reads_all_splits_that_are_there_by_the_datasets_own_names(check, tmp_path):
    build(tmp_path, SHIPPED["cityscapes"])
    build(tmp_path, SHIPPED["cityscapes_trainids"])
    result = check("cityscapes", "--root", tmp_path, "--sheet", tmp_path / "s.png")
    assert result.code == 0, result.err
    heads = [line for line in result.out.splitlines() if line.startswith("cityscapes ")]
    assert [head.split(",")[0:2] for head in heads] == [
        ["cityscapes train: 3 images", " no labels"],
        ["cityscapes val: 3 images", " 3 labels"],
    ]
    assert "  caravan" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], r"workflow/datasets/nothing\.yaml: no such file; there are: .*cityscapes"),
        (["cityscapes", "--split", "vall"], r"no image matches leftImg8bit/vall/"),
        (["cityscapes", "gtav"], r"cityscapes: no config file; give one dataset, or config files alone"),
        (["toycity"], r"dataset toycity: it is rendered"),
        (["config.yaml", "--split", "val"], r"--split, --labelset, --root: they go with a dataset"),
        (["cityscapes", "--labelset", "toycity17"], r"dataset cityscapes: .* add classes\.toycity17"),
    ],
)
def test_check_answers_bad_input_in_one_line(arguments, message, check, tmp_path):
    build(tmp_path, SHIPPED["cityscapes"])
    root = [] if arguments[0] in ("config.yaml",) else ["--root", tmp_path]
    result = check(*arguments, *root)
    assert result.code == 2 and re.fullmatch(f"error: .*{message}.*\n", result.err)


@pytest.mark.parametrize(
    ("path", "sheet"),
    [
        ("my set/un.yaml", "un.png"),
        ("my.set/v1.2 final.yml", "v1.2 final.png"),
        ("carla_0.9.13", "carla_0.9.13.png"),
        ("../elsewhere/own.yaml", "own.png"),
    ],
)
def test_contact_sheet_lies_in_a_plain_place_and_check_says_where(path, sheet, check, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "workflow").symlink_to(WORKFLOW)
    monkeypatch.chdir(folder)
    description = Path(path)
    if description.suffix in (".yaml", ".yml"):
        description.parent.mkdir(parents=True, exist_ok=True)
        description.write_text("{name: own, images: '{id}.png', values: {0: road, 1: car}}")
    else:
        description = WORKFLOW / "datasets" / f"{path}.yaml"
    dataset = load_dataset(WORKFLOW, str(description))
    pattern = dataset.images.replace("{split}", next(iter(dataset.splits))).replace("{id}", "0001")
    image = tmp_path / "data" / dataset.root / pattern
    image.parent.mkdir(parents=True)
    grey(image, np.full((10, 20), 7))
    result = check(path, "--root", tmp_path / "data")
    assert result.code == 0, result.err
    assert f"contact sheet: results/check/{sheet}" in result.out.splitlines()
    assert list(folder.rglob("*.png")) == [folder / "results" / "check" / sheet]


# ---- the documentation's example --------------------------------------------------------------------------------


def test_own_dataset_of_the_documentation_works(cotrain, check, tmp_path, monkeypatch):
    text = (PROJECT / "docs/datasets.md").read_text()
    blocks = re.findall(r"```yaml\n(# (my/\w+\.yaml).*?)```", text, re.DOTALL)
    assert len(blocks) == 5
    (tmp_path / "my").mkdir()
    for content, name in blocks:
        (tmp_path / name).write_text(content)
    (tmp_path / "workflow").symlink_to(WORKFLOW)
    shutil.copy(PROJECT / "config.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COTRAIN_DATA", str(tmp_path / "data"))

    streets = {0x804080: "drivable", 0xF423E8: "walkable", 0x000046: "vehicle", 0x00008E: "vehicle", 0: None}
    paths = ("streets/{}/photos/%s.jpg", "streets/{}/masks/%s_mask.png")
    for split, seed in (("train", 0), ("val", 1)):
        image, label = (path.format(split) % "{}" for path in paths)
        build(tmp_path / "data", Shipped("", image, label, color, streets), seed)
    simulated = {1: "drivable", 24: "drivable", 2: "walkable", 14: "vehicle", 15: "vehicle", 3: None}
    build(tmp_path / "data", Shipped("", "simulated/camera/{}.png", "simulated/classes/{}.png", red, simulated))
    red(tmp_path / "data/simulated/classes/1.png", np.full((10, 20), 1))
    (tmp_path / "data/simulated/good.txt").write_text("0\n1  \n")

    result = check("my/config.yaml", "--sheet", "sheet.png")
    assert result.code == 0, result.err
    assert "source streets: 3 images, 3 labels" in result.out and "source simulated: 2 images" in result.out
    config = yaml.safe_load(Path("my/config.yaml").read_text())["data"]
    plan = plan_for(tmp_path / "data", "my/both.yaml", "", config["labelset"])
    scores = through(cotrain, plan, tmp_path)
    ids = read_table(tmp_path / "source.csv", "index")["image_id"].tolist()
    assert sorted(ids) == ["simulated/0", "streets/0", "streets/1", "streets/2"]
    assert scores["classes"] == ("drivable", "walkable", "vehicle") and sum(map(sum, scores["confusion"])) > 0
