"""Toycity draws plausible streets: deterministic, labelled exactly, in correct perspective."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from cotrain.base.errors import BadInput
from cotrain.toycity.barriers import FenceStyle, draw_fence, draw_wall
from cotrain.toycity.buildings import draw_facade, random_house_style
from cotrain.toycity.camera import Camera
from cotrain.toycity.canvas import ID
from cotrain.toycity.looks import LOOKS
from cotrain.toycity.people import draw_person
from cotrain.toycity.plants import draw_hedge, draw_thicket, draw_tree
from cotrain.toycity.streets import CLASSES, contact_sheet, new_scene, render
from cotrain.toycity.textures import noise_bank
from cotrain.toycity.vehicles import draw_vehicle

HEIGHT, WIDTH = 96, 160
RAILING = FenceStyle((40, 42, 44), has_planks=False, step=0.2, lean=0.0)


@pytest.fixture(scope="module", params=LOOKS)
def sample(request) -> tuple[np.ndarray, np.ndarray]:
    """60 scenes of one look: images (60, H, W, 3) and labels (60, H, W)."""
    scenes = [render(5, index, request.param, HEIGHT, WIDTH) for index in range(60)]
    return np.stack([image for image, _ in scenes]), np.stack([label for _, label in scenes])


def pinhole_scene(horizon: float = 60.0):
    """Empty level scene of 240 × 320 pixels with a camera of known height 1.5 m."""
    scene = new_scene(Random(1), "rendered", 240, 320)
    scene.camera = Camera(focal=200, center=160, horizon=horizon, height=1.5)
    return scene


def painted(scene, name: str) -> np.ndarray:
    """Mask (H, W) bool of the pixels that carry the label `name`."""
    return (np.asarray(scene.surface) & 255) == ID[name]


@pytest.mark.parametrize("look", LOOKS)
def test_same_arguments_give_same_bytes(look):
    first, second = render(3, 4, look, HEIGHT, WIDTH), render(3, 4, look, HEIGHT, WIDTH)
    assert first[0].tobytes() == second[0].tobytes()
    assert first[1].tobytes() == second[1].tobytes()


@pytest.mark.parametrize("other", [(3, 5, "rendered"), (4, 4, "rendered"), (3, 4, "camera")])
def test_other_seed_index_or_look_gives_other_scene(other):
    image, label = render(3, 4, "rendered", HEIGHT, WIDTH)
    other_image, other_label = render(*other, HEIGHT, WIDTH)
    assert (image != other_image).mean() > 0.5
    assert (label != other_label).mean() > 0.05


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", [(128, 256), (128, 176), (65, 91)])
def test_shapes_and_types(look, size):
    image, label = render(0, 0, look, *size)
    assert image.shape == (*size, 3) and image.dtype == np.uint8
    assert label.shape == size and label.dtype == np.uint8


def test_unknown_look_is_named():
    with pytest.raises(BadInput, match=r"'painted'.*rendered, camera"):
        render(0, 0, "painted", HEIGHT, WIDTH)


def test_every_class_and_no_other_value_appears(sample):
    assert set(np.unique(sample[1])) == set(range(len(CLASSES)))


def test_class_shares_are_those_of_streets(sample):
    share = dict(zip(CLASSES, np.bincount(sample[1].ravel()) / sample[1].size, strict=True))
    ranges = {
        "road": (0.2, 0.4), "sidewalk": (0.02, 0.12), "building": (0.1, 0.4), "vegetation": (0.04, 0.2),
        "sky": (0.1, 0.3), "pole": (0.005, 0.025), "traffic sign": (0.003, 0.02), "fence": (0.004, 0.03),
        "car": (0.02, 0.15), "person": (0.003, 0.03),
    }  # fmt: skip
    assert {name: share[name] for name, (low, high) in ranges.items() if not low < share[name] < high} == {}


def test_road_lies_below_sky(sample):
    rows = np.arange(HEIGHT)[None, :, None]
    road, sky = (np.broadcast_to(rows, sample[1].shape)[sample[1] == ID[name]] for name in ("road", "sky"))
    assert road.mean() > 0.7 * HEIGHT and sky.mean() < 0.35 * HEIGHT
    assert road.min() > 0.3 * HEIGHT


def test_images_use_the_range_of_brightness(sample):
    brightness = sample[0].mean(axis=(1, 2, 3))
    assert brightness.min() > 25 and brightness.max() < 235
    assert sample[0].std(axis=(1, 2)).min() > 5


@pytest.mark.parametrize("depth", [6.0, 9.0, 15.0, 30.0])
def test_persons_height_follows_from_its_foot_row(depth):
    """Similar triangles: pixel height / (foot row − horizon) = person's height / camera's height."""
    scene = pinhole_scene()
    draw_person(scene, 0.0, depth, 1.8)
    rows = np.flatnonzero(painted(scene, "person").any(axis=1))
    foot = rows.max() - scene.camera.horizon
    assert foot == pytest.approx(200 * 1.5 / depth, abs=1)
    assert rows.max() - rows.min() == pytest.approx(foot * 1.8 / 1.5, abs=2)


def test_camera_projects_back_to_the_same_ground_point():
    camera = Camera(focal=150, center=80, horizon=40, height=1.4, bend=0.004)
    x, z = camera.ground(120, 160)[:, 100, 30]
    assert camera.project(x, 0, z) == pytest.approx((30, 100), abs=1e-3)


@pytest.mark.parametrize("kind", ["saloon", "hatchback", "van", "bus", "truck"])
@pytest.mark.parametrize("yaw", [0.0, 1.57, 3.14])
def test_vehicle_is_seen_from_every_side_without_holes(kind, yaw):
    scene = pinhole_scene()
    draw_vehicle(scene, kind, 3.0, 18.0, yaw)
    mask = painted(scene, kind if kind in ("bus", "truck") else "car")
    rows = np.nonzero(mask)[0]
    assert rows.min() < scene.camera.horizon + 8 and rows.max() > scene.camera.horizon + 8
    upper = mask[: int(rows.mean())]
    widest = upper[upper.any(axis=1)]
    spans = [np.ptp(np.flatnonzero(row)) + 1 for row in widest]
    assert [int(row.sum()) for row in widest] == spans


def test_nearer_object_hides_the_farther():
    scene = pinhole_scene()
    scene.add(8.0, draw_vehicle, "bus", 0.0, 14.0, 0.0)
    scene.add(5.0, draw_person, 0.0, 5.0, 1.7)
    scene.draw()
    draw_alone = pinhole_scene()
    draw_person(draw_alone, 0.0, 5.0, 1.7)
    alone = painted(draw_alone, "person")
    assert painted(scene, "person").sum() == pytest.approx(alone.sum(), rel=0.3)
    assert painted(scene, "bus").any()


def test_fence_label_covers_the_gaps_that_the_image_shows():
    scene = pinhole_scene()
    backdrop = np.asarray(scene.image.reduce(2)).copy()
    draw_fence(scene, (-4.0, 8.0), (4.0, 8.0), 1.2, RAILING)
    mask = painted(scene, "fence")
    changed = (np.asarray(scene.image.reduce(2)) != backdrop).any(axis=2)
    rows, columns = np.nonzero(mask)
    assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert 0.05 < changed[mask].mean() < 0.95


def test_railing_on_a_wall_is_a_fence_above_the_wall():
    scene = pinhole_scene()
    scene.add(8.1, draw_fence, (-4.0, 8.0), (4.0, 8.0), 2.0, RAILING)
    scene.add(8.0, draw_wall, (-4.0, 8.0), (4.0, 8.0), 0.5, "wall", (170, 164, 154))
    scene.draw()
    column = (np.asarray(scene.surface) & 255)[:, 160]
    fence, wall = (np.flatnonzero(column == ID[name]) for name in ("fence", "wall"))
    assert fence.max() + 1 == wall.min()
    assert len(fence) == pytest.approx(200 * 1.5 / 8, abs=1) and len(wall) == pytest.approx(200 * 0.5 / 8, abs=1)


@pytest.mark.parametrize("draw", [draw_hedge, draw_thicket])
def test_bushes_have_about_their_height_and_a_frayed_top(draw):
    scene = pinhole_scene()
    draw(scene, (-4.0, 8.0), (4.0, 8.0), 1.2, (60, 80, 50))
    mask = painted(scene, "vegetation")[:, 80:240]
    assert mask.sum(axis=0).min() >= 0.7 * 1.2 * 200 / 8
    assert mask.sum(axis=0).max() <= 1.6 * 1.2 * 200 / 8
    assert len(np.unique(mask.argmax(axis=0))) > 3


def test_shop_is_a_building_from_the_ground_on_and_often_dark():
    brightness = []
    for seed in range(30):
        scene = pinhole_scene()
        scene.rng = Random(seed)
        style = replace(random_house_style(scene), shop=(180, 40, 40), glass=(150, 176, 196), has_windows=True)
        draw_facade(scene, (3.0, 14.0), (3.0, 6.0), 7.0, style)
        mask = painted(scene, "building")
        front = np.asarray(scene.image.reduce(2))[78:82, 215:240]
        assert mask[78:82, 215:240].all()
        brightness.append(front.mean() / 255)
    assert min(brightness) < 0.25 and max(brightness) > 0.5


def test_noise_has_zero_mean_and_unit_deviation():
    bank = noise_bank()
    assert np.allclose(bank.mean(axis=(1, 2)), 0, atol=1e-3)
    assert np.allclose(bank.std(axis=(1, 2)), 1, atol=1e-3)


def test_contact_sheet_shows_image_beside_label():
    sheet = np.asarray(contact_sheet(0, ("rendered", "camera"), 1, 2, 32, 48))
    assert sheet.shape == (64, 192, 3)
    assert np.array_equal(sheet[32:, :48], render(0, 2, "camera", 32, 48)[0])
    assert len(np.unique(sheet[:32, 48:96].reshape(-1, 3), axis=0)) <= len(CLASSES)


@pytest.mark.parametrize("bare", [False, True])
def test_a_small_tree_is_a_tree(bare):
    scene = pinhole_scene()
    before = np.asarray(scene.image).copy()
    draw_tree(scene, 0.0, 100.0, 8.0, bare)  # 16 pixels high
    tree = (np.asarray(scene.surface) & 255) == ID["vegetation"]
    rows, columns = np.nonzero(tree)
    assert 10 < rows.max() - rows.min() < 30 and abs(columns.mean() - 160) < 5
    assert (np.asarray(scene.image)[::2, ::2][tree] != before[::2, ::2][tree]).any(axis=1).mean() > 0.3


@pytest.mark.parametrize("bare", [False, True])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_crown_reaches_into_the_image_from_a_trunk_outside_and_a_far_off_tree_costs_nothing(side, bare):
    scene = pinhole_scene()
    draw_tree(scene, side * 9.0, 10.0, 8.0, bare)  # trunk 20 pixels beside the image, crown 35 to 61 to each side
    assert ((np.asarray(scene.surface) & 255) == ID["vegetation"]).any()
    scene.blob = scene.stroke = scene.paint = None  # a call of any of them would fail
    draw_tree(scene, side * 60.0, 10.0, 8.0, bare)


def test_some_facades_are_as_rough_as_leaves_and_no_road_is():
    scene = pinhole_scene()
    percent = {
        kind: [scene.code(kind, 10) >> 8 & 255 for _ in range(300)] for kind in ("building", "vegetation", "road")
    }
    assert min(percent["building"]) < 6 and max(percent["building"]) > np.median(percent["vegetation"])
    assert max(percent["road"]) <= 10
