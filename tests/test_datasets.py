"""Folders of images and labels → index tables → arrays, and what is said when something is wrong with them."""

import json

import numpy as np
import pytest
from conftest import PROJECT, SHARED_DATA, VOID, random_maps, save
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.data import decoding, images, indexing, labels
from cotrain.data.descriptions import label_values, load_dataset, load_datasets, load_labelset, parts
from cotrain.settings.datasets import Coding, Dataset, Index
from cotrain.settings.labelset import LabelSet

WORKFLOW = PROJECT / "workflow"
PATTERNS = Index(images="images/{id}.png", labels="labels/{id}.png")


def folder_of(root, ids, size=(4, 6)):
    for i in ids:
        save(root / "images" / f"{i}.png", np.zeros((*size, 3), np.uint8))
        save(root / "labels" / f"{i}.png", np.zeros(size, np.uint8))
    return root


# ---- index ------------------------------------------------------------------------------------------------------


def test_index_lists_images_with_labels_and_sizes_in_order_of_id(tmp_path):
    rows = indexing.index(folder_of(tmp_path, ["b", "a"]), PATTERNS)
    assert rows == [
        {
            "image_id": i,
            "image": str(tmp_path / "images" / f"{i}.png"),
            "label": str(tmp_path / "labels" / f"{i}.png"),
            "height": 4,
            "width": 6,
        }
        for i in "ab"
    ]


def test_files_of_equal_name_in_two_folders_are_two_images(tmp_path):
    folder_of(tmp_path, ["aachen/0001", "ulm/0001", "ulm/deep/er/2"])
    rows = indexing.index(tmp_path, PATTERNS)
    assert [row["image_id"] for row in rows] == ["aachen/0001", "ulm/0001", "ulm/deep/er/2"]
    assert rows[1]["label"].endswith("labels/ulm/0001.png")


def test_pattern_of_cityscapes_splits_the_id_off_its_suffix(tmp_path):
    save(tmp_path / "leftImg8bit/val/ulm/ulm_000_leftImg8bit.png", np.zeros((4, 6, 3), np.uint8))
    save(tmp_path / "leftImg8bit/train/ulm/ulm_001_leftImg8bit.png", np.zeros((4, 6, 3), np.uint8))
    save(tmp_path / "gtFine/val/ulm/ulm_000_gtFine_labelIds.png", np.zeros((4, 6), np.uint8))
    patterns = Index(images="leftImg8bit/val/{id}_leftImg8bit.png", labels="gtFine/val/{id}_gtFine_labelIds.png")
    (row,) = indexing.index(tmp_path, patterns)
    assert row["image_id"] == "ulm/ulm_000" and row["label"].endswith("ulm_000_gtFine_labelIds.png")


def test_pattern_is_text_and_no_regular_expression(tmp_path):
    save(tmp_path / "a+(1)" / "x.png", np.zeros((2, 2), np.uint8))
    (tmp_path / "a+(1)" / "y-png").write_text("no image")
    assert [row["image_id"] for row in indexing.index(tmp_path, Index(images="a+(1)/{id}.png"))] == ["x"]


def test_hidden_and_other_files_are_passed_over(tmp_path):
    folder_of(tmp_path, ["a"])
    (tmp_path / "images" / ".a.png").write_text("a file manager's")
    (tmp_path / "images" / "notes.txt").write_text("notes")
    assert [row["image_id"] for row in indexing.index(tmp_path, PATTERNS)] == ["a"]


def test_without_a_label_pattern_no_label_is_listed(tmp_path):
    rows = indexing.index(folder_of(tmp_path, "ab"), Index(images="images/{id}.png"))
    assert [row["label"] for row in rows] == ["", ""]


@pytest.mark.parametrize(
    ("limit", "expected"), [(1, "a"), (2, "ak"), (3, "afk"), (6, "acegik"), (11, None), (99, None)]
)
def test_limit_takes_images_evenly_spread(tmp_path, limit, expected):
    folder_of(tmp_path, "abcdefghijk")
    rows = indexing.index(tmp_path, PATTERNS.model_copy(update={"limit": limit}))
    assert "".join(row["image_id"] for row in rows) == (expected or "abcdefghijk")


def test_missing_folder_is_named_with_what_to_set(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere: no such folder; set data\.root .* COTRAIN_DATA"):
        indexing.index(tmp_path / "nowhere", PATTERNS)


def test_folder_without_matching_images_is_named_with_the_pattern(tmp_path):
    for patterns in (Index(images="images/{id}.png"), Index(images="other/folder/{id}.png"), Index(images="a.png")):
        save(tmp_path / "images" / "a.jpg", np.zeros((2, 2), np.uint8))
        with pytest.raises(BadInput, match=f"no image matches {patterns.images}"):
            indexing.index(tmp_path, patterns)


def test_missing_label_is_named_with_its_image(tmp_path):
    folder_of(tmp_path, "abc")
    (tmp_path / "labels" / "b.png").unlink()
    with pytest.raises(BadInput, match=r"images/b\.png: it has no label .*labels/b\.png"):
        indexing.index(tmp_path, PATTERNS)


def test_label_of_another_size_is_named_with_both_sizes(tmp_path):
    folder_of(tmp_path, "ab")
    save(tmp_path / "labels" / "b.png", np.zeros((8, 12), np.uint8))
    with pytest.raises(BadInput, match=r"labels/b\.png: size 12×8 differs from its image's 6×4"):
        indexing.index(tmp_path, PATTERNS)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00"])
def test_file_that_is_no_image_is_named_by_the_index(tmp_path, content):
    folder_of(tmp_path, "ab")
    (tmp_path / "images" / "b.png").write_bytes(content)
    with pytest.raises(BadInput, match=r"images/b\.png: not a readable image"):
        indexing.index(tmp_path, PATTERNS)


# ---- images -----------------------------------------------------------------------------------------------------


def noise(size=(40, 60)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)


def test_image_is_read_as_rgb(tmp_path):
    assert np.array_equal(images.read_image(save(tmp_path / "a.png", noise())), noise())


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_image_of_any_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / "a.tif"
    Image.fromarray(noise()).convert(mode).save(path)
    image = images.read_image(path, (10, 20))
    assert image.shape == (10, 20, 3) and image.dtype == np.uint8


def test_image_is_resized_to_height_and_width(tmp_path):
    halves = np.zeros((40, 60, 3), np.uint8)
    halves[:, 30:] = 200
    image = images.read_image(save(tmp_path / "a.png", halves), (20, 24))
    assert image.shape == (20, 24, 3) and image[:, :11].max() == 0 and image[:, 13:].min() == 200


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
def test_truncated_image_is_named_however_much_is_left(tmp_path, suffix):
    """Reading less than the whole file may succeed only where nothing but the file's end mark is missing."""
    whole = save(tmp_path / f"whole.{suffix}", noise()).read_bytes()
    path = tmp_path / f"part.{suffix}"
    for share in np.linspace(0, 0.9, 25):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(BadInput, match=rf"part\.{suffix}: (not a readable|damaged) image"):
            images.read_image(path)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_damaged_image_is_an_error_or_still_an_image(tmp_path, suffix):
    whole = save(tmp_path / f"whole.{suffix}", noise()).read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        data = bytearray(whole)
        data[rng.integers(len(data))] ^= int(rng.integers(1, 256))
        (tmp_path / "damaged").write_bytes(data)
        try:
            assert images.read_image(tmp_path / "damaged", (40, 60)).shape == (40, 60, 3)
        except BadInput as error:
            assert "damaged: " in str(error) and "\n" not in str(error)


def test_image_that_is_gone_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone\.png: no such image; the index table is older"):
        images.read_image(tmp_path / "gone.png")


def test_image_of_too_many_pixels_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_PIXELS", 2399)
    with pytest.raises(BadInput, match=r"big\.png: 60×40 pixels, the limit is 2,399"):
        images.read_image(save(tmp_path / "big.png", noise()))


def test_mask_is_true_where_it_is_not_zero(tmp_path):
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 2], mask[3, 5] = 1, 255
    assert np.array_equal(labels.read_mask(save(tmp_path / "m.png", mask), (4, 6)), mask > 0)


# ---- labels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_label_values_are_mapped_pixel_by_pixel(tmp_path, seed):
    values = {7: 0, 200: 2, 3: 1, 0: VOID, 255: VOID}
    raw = np.random.default_rng(seed).choice(list(values), (5, 8)).astype(np.uint8)
    found = labels.read_label(save(tmp_path / "l.png", raw), Coding(values=values))
    assert found.dtype == np.uint8
    assert all(found[place] == values[int(raw[place])] for place in np.ndindex(raw.shape))


def test_unknown_label_value_is_named_with_the_file(tmp_path):
    raw = np.array([[0, 1], [1, 9]], np.uint8)
    with pytest.raises(BadInput, match=r"l\.png: label value 9 is unknown; add it to `values`"):
        labels.read_label(save(tmp_path / "l.png", raw), Coding(values={0: 0, 1: 1}))


def test_label_is_resized_by_its_nearest_pixels(tmp_path):
    raw = random_maps(0, 1, 12, 18, classes=3)[0][0]
    values = {0: 0, 1: 1, 2: 2, 255: VOID}
    found = labels.read_label(save(tmp_path / "l.png", raw), Coding(values=values), (4, 6))
    assert np.array_equal(found, raw[1::3, 1::3])  # the middle of each 3 × 3 block


def test_label_of_sixteen_bits_is_read(tmp_path):
    raw = np.array([[7001, 7001, 26], [26, 0, 0]], np.uint16)
    path = save(tmp_path / "l.png", raw)
    values = {7001: 1, 26: 0, 0: VOID}
    assert labels.read_label(path, Coding(values=values)).tolist() == [[1, 1, 0], [0, VOID, VOID]]
    assert labels.read_label(path, Coding(values=values), (4, 6))[::2, ::2].tolist() == [[1, 1, 0], [0, VOID, VOID]]


def test_label_with_a_palette_is_read_by_its_indices(tmp_path):
    image = Image.fromarray(np.array([[0, 1], [2, 255]], np.uint8))
    image.putpalette([90, 80, 70] * 256)  # turns it into an image with a palette
    image.save(tmp_path / "l.png")
    assert labels.read_label(tmp_path / "l.png", Coding(values={0: 2, 1: 1, 2: 0, 255: VOID})).tolist() == [
        [2, 1],
        [0, VOID],
    ]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "F"])
def test_label_of_colours_is_refused(tmp_path, mode):
    path = tmp_path / "l.tif"
    Image.fromarray(np.zeros((4, 6), np.uint8)).convert(mode).save(path)
    with pytest.raises(BadInput, match=r"l\.tif: pixels of mode \S+, expected one channel of ids"):
        labels.read_label(path, Coding(values={0: 0}))


def test_truncated_label_is_named(tmp_path):
    path = save(tmp_path / "l.png", noise()[..., 0])
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(BadInput, match=r"l\.png: damaged image"):
        labels.read_label(path, Coding(values=dict.fromkeys(range(256), 0)))


# ---- label values and label sets --------------------------------------------------------------------------------

STREETS = LabelSet(name="streets", classes=dict.fromkeys(("road", "car", "sky"), (0, 0, 0)))


def dataset(values: dict[int, str], **classes: dict[str, str]) -> Dataset:
    return Dataset(name="own", images="{id}.png", values=values, classes=classes)


def test_values_are_matched_by_equal_names_if_the_label_set_is_not_listed():
    values = {0: "sky", 4: "road", 9: "unlabelled"}
    assert label_values(dataset(values), STREETS) == {0: 2, 4: 0, 9: VOID}


def test_listed_label_set_maps_several_values_to_a_class_and_the_rest_to_void():
    values = {0: "sky", 1: "lorry", 2: "van", 3: "car"}
    own = dataset(values, streets={"lorry": "car", "van": "car", "sky": "sky"}, other={"sky": "sky"})
    assert label_values(own, STREETS) == {0: 2, 1: 1, 2: 1, 3: VOID}


def test_two_values_of_one_name_are_one_class():
    assert label_values(dataset({0: "road", 5: "road"}), STREETS) == {0: 0, 5: 0}


def test_name_that_no_value_has_is_an_error():
    own = dataset({0: "sky"}, streets={"roda": "road"})
    with pytest.raises(BadInput, match=r"dataset own: classes\.streets names roda, which is not among its values"):
        label_values(own, STREETS)


def test_class_that_the_label_set_does_not_have_is_an_error():
    own = dataset({0: "sky"}, streets={"sky": "heaven"})
    with pytest.raises(BadInput, match=r"dataset own: classes\.streets maps to heaven, not a class of streets"):
        label_values(own, STREETS)


def test_name_without_a_class_is_not_silently_void_if_the_label_set_is_not_listed():
    with pytest.raises(
        BadInput, match=r"dataset own: 'pancreas' is no class of label set streets; add classes\.streets"
    ):
        label_values(dataset({0: "sky", 1: "pancreas"}), STREETS)


# ---- the project's descriptions ---------------------------------------------------------------------------------

needs_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason=f"the photographs of {SHARED_DATA} are not on this machine"
)


def values_of(name: str, labelset: str) -> tuple[dict[int, int], tuple[str, ...]]:
    found = load_labelset(WORKFLOW, labelset)
    return label_values(load_dataset(WORKFLOW, name), found), tuple(found.classes)


def rows_of(name: str, split: str, limit: int) -> tuple[list[dict], int]:
    """About `limit` rows of the index of a real folder, evenly spread, and how many there are."""
    description = load_dataset(WORKFLOW, name)
    fill = [pattern.replace("{split}", split) for pattern in (description.images, description.labels)]
    root = SHARED_DATA / description.root
    rows = indexing.index(root, Index(images=fill[0], labels=fill[1]))
    return rows[:: len(rows) // limit], len(rows)


@needs_data
@pytest.mark.parametrize(
    ("name", "split", "count", "size", "labelsets"),
    [
        ("camvid", "train", 367, (360, 480), ("camvid11", "cityscapes19", "iddlite7")),
        ("camvid", "val", 101, (360, 480), ("camvid11", "cityscapes19", "iddlite7")),
        ("iddlite", "train", 1403, (227, 320), ("iddlite7",)),
    ],
)
def test_description_fits_the_real_folder(name, split, count, size, labelsets):
    rows, found = rows_of(name, split, limit=10)
    assert found == count
    for labelset in labelsets:
        values, classes = values_of(name, labelset)
        seen = set()
        for row in rows:
            label = labels.read_label(row["label"], Coding(values=values))
            seen |= set(np.unique(label).tolist())
            assert label.shape == (row["height"], row["width"])
            assert images.read_image(row["image"], (64, 96)).shape == (64, 96, 3)
        assert seen <= {*range(len(classes)), VOID} and len(seen) > len(classes) // 3
    assert {(row["height"], row["width"]) for row in rows} == {size}


@needs_data
def test_roads_lie_below_skies_in_the_real_folders():
    """A check of the meaning: labels of class sky are high, those of class road low in the image."""
    for name, split, sky, road in (("camvid", "val", "sky", "drivable"), ("iddlite", "train", "sky", "drivable")):
        values, classes = values_of(name, "iddlite7")
        heights = {c: [] for c in (sky, road)}
        for row in rows_of(name, split, limit=8)[0]:
            label = labels.read_label(row["label"], Coding(values=values))
            for c, found in heights.items():
                found += (np.nonzero(label == classes.index(c))[0] / len(label)).tolist()
        assert np.mean(heights[sky]) < 0.35 and np.mean(heights[road]) > 0.65


@needs_data
@pytest.mark.parametrize(
    ("name", "labelset", "key"),
    [("camvid", "cityscapes19", "camvid_segnet11"), ("camvid", "iddlite7", "camvid11_to_idd_lite7")],
)
def test_description_agrees_with_the_published_class_maps(name, labelset, key):
    maps = json.loads((SHARED_DATA / "class_maps.json").read_text())
    assert values_of(name, labelset)[0] == {int(value): c for value, c in maps[key].items()}


@needs_data
def test_toycity_agrees_with_the_published_map_of_cityscapes_classes():
    coarse = json.loads((SHARED_DATA / "class_maps.json").read_text())["cityscapes19_to_idd_lite7"]
    cityscapes = list(load_labelset(WORKFLOW, "cityscapes19").classes)
    names = load_dataset(WORKFLOW, "toycity").values
    values, _ = values_of("toycity", "iddlite7")
    for value, name in names.items():
        expected = coarse[str(cityscapes.index(name))] if name in cityscapes else VOID
        assert values[value] == expected, name


def test_toycity_has_the_eleven_classes_as_camvid_has_them():
    alike = {
        "wall": "Wall", "building": "Building", "fence": "Fence", "pole": "Column_Pole", "road": "Road",
        "sidewalk": "Sidewalk", "vegetation": "Tree", "terrain": "VegetationMisc", "traffic light": "TrafficLight",
        "traffic sign": "SignSymbol", "sky": "Sky", "car": "Car", "truck": "Truck_Bus", "bus": "Truck_Bus",
        "person": "Pedestrian", "rider": "Bicyclist",
    }  # fmt: skip
    ours, theirs = (load_dataset(WORKFLOW, name).classes["camvid11"] for name in ("toycity", "camvid_32"))
    assert {name: ours[name] for name in alike} == {name: theirs[other] for name, other in alike.items()}


def test_description_of_toycity_fits_what_it_renders():
    from cotrain.toycity import streets

    description, labelset = load_dataset(WORKFLOW, "toycity"), load_labelset(WORKFLOW, "toycity17")
    assert tuple(description.values[i] for i in range(17)) == tuple(labelset.classes) == tuple(streets.CLASSES)
    values, _ = values_of("toycity", "toycity17")
    assert values == {i: i for i in range(17)} | {255: VOID}


@pytest.mark.parametrize("path", sorted((WORKFLOW / "datasets").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_description_is_valid_for_every_label_set_it_lists(path):
    description = load_dataset(WORKFLOW, path.stem)
    found = load_datasets(WORKFLOW, [path.stem])
    assert description.name == path.stem
    for part in parts(description, found).values():
        assert "{id}" in part.dataset.images
    for labelset in description.classes:
        values, classes = values_of(path.stem, labelset)
        assert set(values.values()) <= {*range(len(classes)), VOID} and set(values) == set(description.names)
