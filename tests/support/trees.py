"""Miniature trees in each publisher's layout and encoding, and the stages that run on one.

What the trees hold is written here from the publishers' own descriptions, not from the project's YAML files.
"""

import json
import struct
import zlib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from conftest import PROJECT, save
from PIL import Image

from cotrain.data.descriptions import load_labelset
from cotrain.files import scores
from cotrain.procedure.plan import Plan

WORKFLOW = PROJECT / "workflow"
SIZE = (32, 64)  # working size
CITYSCAPES = tuple(load_labelset(WORKFLOW, "cityscapes19").classes)


# ---- writers of label images ------------------------------------------------------------------------------------


def write_png(path: Path, pixels: np.ndarray) -> None:
    """(H, W, channels) of 8 or 16 bits as a PNG, by the specification alone."""
    height, width, channels = pixels.shape
    depth = 8 * pixels.dtype.itemsize
    color_type = {2: 4, 3: 2, 4: 6}[channels]
    lines = b"".join(b"\0" + row.astype(f">u{depth // 8}").tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
            for kind, data in chunks
        )
    )


def grey(path: Path, raw: np.ndarray) -> None:
    Image.fromarray(raw.astype(np.uint8)).save(path)


def palette(path: Path, raw: np.ndarray) -> None:
    image = Image.fromarray(raw.astype(np.uint8))
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768).astype(np.uint8).tobytes())
    image.save(path)


def class_and_instance(path: Path, raw: np.ndarray) -> None:
    """16 bits: class in the first channel, number of the object in the second."""
    instances = np.random.default_rng(1).integers(0, 65536, raw.shape)
    write_png(path, np.stack([raw, instances, np.zeros_like(raw)], axis=-1).astype(np.uint16))


def two_channels(path: Path, raw: np.ndarray) -> None:
    instances = np.random.default_rng(1).integers(0, 65536, raw.shape)
    write_png(path, np.stack([raw, instances], axis=-1).astype(np.uint16))


def red(path: Path, raw: np.ndarray) -> None:
    rest = np.random.default_rng(2).integers(0, 256, (*raw.shape, 2))
    write_png(path, np.concatenate([raw[..., None], rest, np.full((*raw.shape, 1), 255)], axis=-1).astype(np.uint8))


def color(path: Path, raw: np.ndarray) -> None:
    """`raw` holds red·65536 + green·256 + blue."""
    write_png(path, np.stack([raw >> 16, raw >> 8 & 255, raw & 255], axis=-1).astype(np.uint8))


# ---- what publishers ship ---------------------------------------------------------------------------------------


class Shipped(NamedTuple):
    split: str
    image: str  # path of image N below the data folder; N is 0, 1, 2
    label: str
    write: object
    means: dict  # label value → class of Cityscapes, or None
    names: tuple = ("0", "1", "2")
    sizes: tuple = ((24, 48), (24, 48), (24, 48))
    labelset: str = "cityscapes19"


IDS = {7: "road", 8: "sidewalk", 11: "building", 12: "wall", 21: "vegetation", 23: "sky", 24: "person", 26: "car"}
IDS |= {0: None, 3: None, 4: None, 9: None, 29: None, 33: "bicycle", 31: "train", 22: "terrain"}
TRAIN_IDS = dict(enumerate(CITYSCAPES)) | {255: None}
SYNTHIA = {0: None, 1: "sky", 2: "building", 3: "road", 4: "sidewalk", 5: "fence", 6: "vegetation", 7: "pole"}
SYNTHIA |= {8: "car", 9: "traffic sign", 10: "person", 11: "bicycle", 12: "motorcycle", 13: None, 14: None}
SYNTHIA |= {15: "traffic light", 17: "rider", 19: "bus", 21: "wall", 22: "road"}
MAPILLARY = {13: "road", 24: "road", 2: "sidewalk", 15: "sidewalk", 17: "building", 6: "wall", 3: "fence", 45: "pole"}
MAPILLARY |= {48: "traffic light", 50: "traffic sign", 30: "vegetation", 29: "terrain", 27: "sky", 19: "person"}
MAPILLARY |= {20: "rider", 55: "car", 61: "truck", 54: "bus", 58: "train", 57: "motorcycle", 52: "bicycle", 65: None}
MAPILLARY2 = {21: "road", 24: "sidewalk", 27: "building", 12: "wall", 5: "fence", 85: "pole", 92: "traffic light"}
MAPILLARY2 |= {64: "vegetation", 63: "terrain", 61: "sky", 30: "person", 32: "rider", 108: "car", 114: "truck"}
MAPILLARY2 |= {107: "bus", 111: "train", 110: "motorcycle", 105: "bicycle", 100: "traffic sign", 123: None, 0: None}
CAMVID = {0x808080: "sky", 0x800000: "building", 0x804080: "road", 0x0000C0: "sidewalk", 0x808000: "vegetation"}
CAMVID |= {
    0x400080: "car",
    0x404000: "person",
    0x000000: None,
    0x40C000: "wall",
    0xC00040: "road",
    0xC08080: "traffic sign",
}
CAMVID11 = {
    0: "sky",
    1: "building",
    2: "pole",
    3: "road",
    4: "sidewalk",
    5: "vegetation",
    8: "car",
    10: "bicycle",
    11: None,
}
LEVEL3 = {
    0: "road",
    1: None,
    2: "sidewalk",
    4: "person",
    5: "rider",
    9: "car",
    14: "wall",
    22: "building",
    24: "vegetation",
}
LEVEL3 |= {25: "sky", 255: None}
LEVEL1 = dict(
    enumerate(("drivable", "non-drivable", "living things", "vehicles", "roadside objects", "far objects", "sky"))
)
CARLA_OLD = {0: None, 1: "building", 2: "fence", 4: "person", 5: "pole", 6: "road", 7: "road", 8: "sidewalk"}
CARLA_OLD |= {9: "vegetation", 10: "car", 11: "wall", 12: "traffic sign", 13: "sky", 18: "traffic light", 22: "terrain"}
CARLA_NEW = {
    0: None,
    1: "road",
    2: "sidewalk",
    3: "building",
    11: "sky",
    12: "person",
    13: "rider",
    14: "car",
    19: "bicycle",
}
CARLA_NEW |= {24: "road", 28: None}
ODD = ((24, 48), (30, 40), (48, 24))  # sizes of a set whose images differ

SHIPPED = {
    "gtav": Shipped(
        "", "gtav/images/{}.png", "gtav/labels/{}.png", palette, IDS | {34: None}, ("00001", "00002", "24966")
    ),
    "synthia": Shipped(
        "", "RAND_CITYSCAPES/RGB/{}.png", "RAND_CITYSCAPES/GT/LABELS/{}.png", class_and_instance, SYNTHIA,
        ("0000000", "0000001", "0009399"), labelset="synthia16",
    ),
    "synscapes": Shipped("", "synscapes/img/rgb/{}.png", "synscapes/img/class/{}.png", grey, IDS, ("1", "2", "25000")),
    "cityscapes": Shipped(
        "val", "cityscapes/leftImg8bit/val/{}_leftImg8bit.png", "cityscapes/gtFine/val/{}_gtFine_labelIds.png", grey,
        IDS,
        ("frankfurt/frankfurt_000000_000294", "lindau/lindau_000001_000019", "munster/munster_000002_000019"),
    ),
    "cityscapes_trainids": Shipped(
        "train", "cityscapes/leftImg8bit/train/{}_leftImg8bit.png",
        "cityscapes/gtFine/train/{}_gtFine_labelTrainIds.png", grey, TRAIN_IDS,
        ("aachen/aachen_000000_000019", "ulm/ulm_000001_000019", "ulm/ulm_000002_000019"),
    ),
    "cityscapes_coarse": Shipped(
        "train_extra", "cityscapes/leftImg8bit/train_extra/{}_leftImg8bit.png",
        "cityscapes/gtCoarse/train_extra/{}_gtCoarse_labelIds.png", grey, IDS,
        ("augsburg/augsburg_000000_000000", "bayreuth/bayreuth_000000_000001", "konigs/konigs_0"),
    ),
    "bdd100k": Shipped(
        "val", "bdd100k/images/10k/val/{}.jpg", "bdd100k/labels/sem_seg/masks/val/{}.png", grey, TRAIN_IDS,
        ("7d06fefd-f7be05a6", "7d128593-0ccfea4c", "7d15b18b-1e0d6e3f"),
    ),
    "bdd100k_seg": Shipped(
        "train", "bdd100k/seg/images/train/{}.jpg", "bdd100k/seg/labels/train/{}_train_id.png", grey, TRAIN_IDS,
        ("0004a4c0-d4dff0ad", "00054602-3bf57337", "00067cfb-e535423e"),
    ),
    "mapillary_v1.2": Shipped(
        "training", "mapillary/training/images/{}.jpg", "mapillary/training/labels/{}.png", palette, MAPILLARY,
        ("__CRyFzoDOXn6unQ6a3DnQ", "--6U6s4c0eZ7ZJ2rmJ3MrQ", "_0CYsm0YSTjOBvbLXBzYEw"), ODD,
    ),
    "mapillary_v2.0": Shipped(
        "validation", "mapillary/validation/images/{}.jpg", "mapillary/validation/v2.0/labels/{}.png", palette,
        MAPILLARY2, ("__CRyFzoDOXn6unQ6a3DnQ", "--6U6s4c0eZ7ZJ2rmJ3MrQ", "_0CYsm0YSTjOBvbLXBzYEw"), ODD,
    ),
    "camvid": Shipped("val", "camvid/images/val/{}.jpg", "camvid/labels/val/{}.png", grey, CAMVID11),
    "camvid_segnet": Shipped("test", "CamVid/test/{}.png", "CamVid/testannot/{}.png", grey, CAMVID11),
    "camvid_32": Shipped(
        "", "CamVid/701_StillsRaw_full/{}.png", "CamVid/LabeledApproved_full/{}_L.png", color, CAMVID,
        ("0001TP_006690", "0006R0_f00930", "Seq05VD_f00000"),
    ),
    "idd_lite": Shipped(
        "val", "idd20k_lite/leftImg8bit/val/{}_image.jpg", "idd20k_lite/gtFine/val/{}_label.png", grey,
        LEVEL1 | {255: None}, ("0/024541", "119/903127", "21/240284"), labelset="iddlite7",
    ),
    "iddlite": Shipped(
        "train", "iddlite/images/train/{}.jpg", "iddlite/labels/train/{}.png", grey, LEVEL1 | {255: None},
        labelset="iddlite7",
    ),
    "idd": Shipped(
        "train", "IDD_Segmentation/leftImg8bit/train/{}_leftImg8bit.png",
        "IDD_Segmentation/gtFine/train/{}_gtFine_labellevel3Ids.png", grey, LEVEL3,
        ("0/005506", "0/024703", "101/1"), ODD,
    ),
    "idd_2": Shipped(
        "val", "idd20kII/leftImg8bit/val/{}_leftImg8bit.jpg", "idd20kII/gtFine/val/{}_gtFine_labellevel3Ids.png", grey,
        LEVEL3, ("201/frame0029", "202/frame1", "202/frame2"),
    ),
    "carla_0.9.13": Shipped("", "carla/rgb/{}.png", "carla/semantic/{}.png", red, CARLA_OLD),
    "carla_0.9.14": Shipped("", "carla/rgb/{}.png", "carla/semantic/{}.png", red, CARLA_NEW),
    "kitti": Shipped(
        "training", "kitti/training/image_2/{}.png", "kitti/training/semantic/{}.png", grey, IDS,
        ("000000_10", "000001_10", "000199_10"), ((24, 80), (25, 81), (24, 79)),
    ),
    "acdc": Shipped(
        "fog/val", "acdc/rgb_anon/fog/val/{}_rgb_anon.png", "acdc/gt/fog/val/{}_gt_labelIds.png", grey, IDS,
        ("GOPR0476/GOPR0476_frame_000854", "GP010476/GP010476_frame_1", "GP010476/GP010476_frame_2"),
    ),
    "dark_zurich": Shipped(
        "val/night", "dark_zurich/rgb_anon/val/night/{}_rgb_anon.png", "dark_zurich/gt/val/night/{}_gt_labelIds.png",
        grey, IDS, ("GOPR0356/GOPR0356_frame_000321", "GOPR0356/GOPR0356_frame_2", "GOPR0356/GOPR0356_frame_3"),
    ),
    "folder": Shipped("", "folder/images/{}.jpg", "folder/labels/{}.png", grey, TRAIN_IDS, ("a", "b/c", "d")),
}  # fmt: skip


def build(root: Path, shipped: Shipped, seed: int = 0) -> Counter:
    """The tree on disk; how many pixels there are of each class (None: void)."""
    rng, values, count = np.random.default_rng(seed), list(shipped.means), Counter()
    for name, size in zip(shipped.names, shipped.sizes, strict=True):
        raw = rng.choice(values, size=[length // 4 for length in size]).repeat(4, axis=0).repeat(4, axis=1)
        raw = np.pad(raw, [(0, length - part) for length, part in zip(size, raw.shape, strict=True)], mode="edge")
        save(root / shipped.image.format(name), rng.integers(0, 256, (*size, 3)).astype(np.uint8))
        label = root / shipped.label.format(name)
        label.parent.mkdir(parents=True, exist_ok=True)
        shipped.write(label, raw)
        count.update(shipped.means[value] for value in raw.ravel().tolist())
    return count


def plan_for(root: Path, dataset: str, split: str, labelset: str, **more) -> Plan:
    config = yaml.safe_load((PROJECT / "config.yaml").read_text())
    domain = {"dataset": dataset, "split": split, "size": list(SIZE), "limit": None}
    config["data"] |= {"root": str(root), "labelset": labelset, "source": domain, "validation": domain}
    config["data"]["target"] |= domain | {"truth": False}
    config["training"] |= {"batch": 2, "threads": 1, "source": {"steps": 1, "schedule": "constant"}}
    config["training"]["augmentation"]["crop"] = list(SIZE)
    config["model"] |= {"architecture": "FPN", "weights": None}
    return Plan(config | more, WORKFLOW)


def settings(plan: Plan, stage: str, name: str = "") -> dict:
    return json.loads(plan.settings(stage, name))


def through(cotrain, plan: Plan, folder: Path) -> dict:
    """index, train, infer, evaluate; the scores."""

    def stage(name: str, round: str, **paths) -> None:
        result = cotrain(name, settings(plan, name, round), **paths)
        assert result.code == 0, result.err

    for table in ("source", "target", "validation"):
        stage("index", table, root=plan.domains.data_root(table), out=folder / f"{table}.csv")
    stage("color", "", source=folder / "source.csv", target=folder / "target.csv", out=folder / "color.csv")
    stage("train", "source", source=folder / "source.csv", color=folder / "color.csv", out=folder / "model.pt")
    paths = {"model": folder / "model.pt", "images": folder / "target.csv"}
    stage("infer", "final", **paths, out=folder / "predictions.h5")
    paths["images"] = folder / "validation.csv"
    stage("evaluate", "source", **paths, out=folder / "metrics.json")
    return scores.read_json(folder / "metrics.json", "metrics")
