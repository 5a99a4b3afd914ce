"""Probabilities of images against loops in float64: patches, scales, prior, the K best classes; and the stage."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
import torch
from conftest import CLASSES, MADE_BY, PROJECT, VOID, save, write_index
from PIL import Image

from cotrain.base.seeds import seed_of
from cotrain.files import hdf5, origins
from cotrain.files.sidecars import sidecar
from cotrain.method import prior
from cotrain.networks import build, checkpoint, inference, mosaics
from cotrain.settings.inference import Infer, Patches

SIZE = (12, 20)
WEIGHTS = np.array([[0.9, -0.4, 0.1], [-0.3, 0.5, 0.2], [0.2, 0.3, -0.7]])  # class × channel
COLUMN = np.array([0.3, -0.2, 0.1])  # what a network would know of the place within what it sees


def network(image: np.ndarray) -> np.ndarray:
    """A made-up network in float64: (3, h, w) → (3, h, w); what surrounds a pixel matters, and left is not right."""
    x = image.astype(float) / 64
    context = x.mean(axis=(1, 2), keepdims=True)
    logits = np.einsum("cd,dhw->chw", WEIGHTS, x - 0.8 * context)
    logits += COLUMN[:, None, None] * np.arange(x.shape[2])
    p = np.exp(logits - logits.max(axis=0))
    return p / p.sum(axis=0)


def probabilities(images: torch.Tensor) -> torch.Tensor:
    """The same as `Probabilities`; every call is remembered by its number of images."""
    calls.append(len(images))
    return torch.stack([torch.from_numpy(network(image.numpy())).float() for image in images])


calls = []


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def photographs(count: int, size=SIZE, seed: int = 0) -> list[tuple[str, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [(f"city/{i}", rng.integers(0, 256, (*size, 3)).astype(np.uint8)) for i in range(count)]


def first(image: np.ndarray) -> np.ndarray:
    return image.transpose(2, 0, 1)


# ---- whole images -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 2, 5, 8])
def test_whole_images_come_in_their_order_whatever_the_batch(batch):
    images = photographs(5)
    found = list(inference.whole(probabilities, batch)(images))
    assert len(found) == 5 and max(calls) == min(batch, 5)
    for p, (_, image) in zip(found, images, strict=True):
        np.testing.assert_allclose(p, network(first(image)), atol=1e-6)


def test_of_no_images_there_are_no_maps():
    settings = Patches(count=3)
    assert (
        list(inference.whole(probabilities, 4)([])) == list(inference.patches(probabilities, 4, settings, 1)([])) == []
    )


# ---- scales and flips -------------------------------------------------------------------------------------------


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """By Pillow, as all images are read; it widens its filter where it shrinks."""
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 0.75, 1.0), (1.5,)])
def test_views_are_the_mean_over_scales_and_mirrored_images(scales, flip):
    (_, image), (_, other) = photographs(2)
    seen = inference.views(probabilities, scales, flip)
    for x, p in zip((image, other), seen(torch.from_numpy(np.stack([first(image), first(other)]))), strict=True):
        views = []
        for scale in scales:
            small = first(resized(x, (round(12 * scale), round(20 * scale))))
            views.append(enlarged(network(small), SIZE))
            if flip:
                views.append(enlarged(network(small[:, :, ::-1])[:, :, ::-1], SIZE))
        np.testing.assert_allclose(p, np.mean(views, axis=0), atol=2e-4)
        np.testing.assert_allclose(p.sum(dim=0), 1, atol=1e-5)


def enlarged(p: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear between the four nearest pixel centres, pixel by pixel, whether it grows or shrinks."""
    result = np.zeros((len(p), *size))
    for y, x in np.ndindex(size):
        (y0, y1, v), (x0, x1, u) = (
            neighbours(place, length, old) for place, length, old in zip((y, x), size, p.shape[1:], strict=True)
        )
        above, below = (p[:, row, x0] * (1 - u) + p[:, row, x1] * u for row in (y0, y1))
        result[:, y, x] = above * (1 - v) + below * v
    return result


def neighbours(place: int, length: int, old: int) -> tuple[int, int, float]:
    at = max(0, (place + 0.5) * old / length - 0.5)
    return int(at), min(int(at) + 1, old - 1), at - int(at)


def test_one_view_costs_one_pass_and_each_further_one_another():
    images = torch.from_numpy(np.stack([first(image) for _, image in photographs(2)]))
    for scales, flip, passes in (((1.0,), False, 1), ((1.0,), True, 2), ((0.5, 1.0), False, 2), ((0.5, 1.0), True, 4)):
        calls.clear()
        inference.views(probabilities, scales, flip)(images)
        assert calls == [2] * passes


# ---- patches ----------------------------------------------------------------------------------------------------

SISC = Patches(count=6, height=0.5)


def by_loop(image_id: str, image: np.ndarray, settings: Patches, seed: int) -> np.ndarray:
    """Patch by patch in float64."""
    windows = mosaics.windows(image.shape[:2], settings.height, settings.count, seed_of(seed, image_id))
    total, counts = np.zeros((3, *image.shape[:2])), np.zeros(image.shape[:2])
    for rows, columns in windows:
        p = network(first(image)[:, rows, columns])
        if settings.average == "frequency":
            best = p.argmax(axis=0)
            p = np.stack([best == c for c in range(3)]).astype(float)
        for y, x in np.ndindex(p.shape[1:]):
            total[:, rows.start + y, columns.start + x] += p[:, y, x]
            counts[rows.start + y, columns.start + x] += 1
    assert counts.min() >= 1
    return total / counts


@pytest.mark.parametrize("average", ["probability", "frequency"])
@pytest.mark.parametrize("batch", [1, 4, 7, 100])
def test_patches_equal_a_loop_whatever_the_batch(average, batch):
    images, settings = photographs(4), SISC.model_copy(update={"average": average})
    found = list(inference.patches(probabilities, batch, settings, 3)(images))
    assert len(found) == 4
    for p, (image_id, image) in zip(found, images, strict=True):
        np.testing.assert_allclose(p, by_loop(image_id, image, settings, 3), atol=1e-6)
    assert all(n == batch for n in calls[:-1])  # patches of several images share the passes


def test_patches_of_an_image_depend_on_the_seed_and_its_id_alone():
    images = photographs(5)
    together = list(inference.patches(probabilities, 7, SISC, 3)(images))
    for i in (3, 1):
        (alone,) = inference.patches(probabilities, 2, SISC, 3)(images[i : i + 1])
        assert torch.equal(alone, together[i])
    (other_seed,) = inference.patches(probabilities, 7, SISC, 4)(images[:1])
    (other_id,) = inference.patches(probabilities, 7, SISC, 3)([("town", images[0][1])])
    assert not torch.equal(other_seed, together[0]) and not torch.equal(other_id, together[0])


def test_an_image_is_read_only_when_its_patches_are_wanted():
    read = []

    def images():
        for image in photographs(40):
            read.append(image)
            yield image

    maps = inference.patches(probabilities, 10, SISC, 3)(images())
    for done, _ in enumerate(maps, start=1):
        assert len(read) <= done + 10 // 6 + 1


@pytest.mark.parametrize("size", [(12, 20), (20, 12), (7, 31), (16, 16), (1, 5)])
@pytest.mark.parametrize(("count", "height"), [(0, 0.3), (1, 0.5), (3, 0.5), (50, 0.4), (2, 1.0)])
def test_windows_cover_every_pixel_and_lie_within(size, count, height):
    side = max(1, round(height * size[0]))
    for seed in range(5):
        windows = mosaics.windows(size, height, count, seed)
        covered = np.zeros(size, int)
        for rows, columns in windows:
            assert 0 <= rows.start < rows.stop <= size[0] and 0 <= columns.start < columns.stop <= size[1]
            assert (rows.stop - rows.start, columns.stop - columns.start) == (min(side, size[0]), min(side, size[1]))
            covered[rows, columns] += 1
        assert covered.min() >= 1 and len(windows) >= count
        random = np.zeros(size, bool)
        for window in windows[:count]:
            random[window] = True
        assert random.all() == (len(windows) == count)  # more than asked for only where needed
        assert windows == mosaics.windows(size, height, count, seed)


def test_random_windows_reach_every_corner_of_the_image():
    corners = {(w[0].start, w[1].start) for seed in range(60) for w in mosaics.windows((6, 8), 0.5, 20, seed)[:20]}
    assert corners == {(y, x) for y in range(4) for x in range(6)}


# ---- prior ------------------------------------------------------------------------------------------------------


def prior_by_loop(labels: list[np.ndarray], classes: int, width: int) -> np.ndarray:
    """Pixel by pixel: labels of each class under a Gaussian window, which is mirrored at the border; then shares."""
    sigma = 0.3 * ((width - 1) / 2 - 1) + 0.8
    kernel = np.array([np.exp(-((i - (width - 1) / 2) ** 2) / (2 * sigma**2)) for i in range(width)])
    kernel /= kernel.sum()
    shape = labels[0].shape
    result = np.zeros((classes, *shape))
    for y, x in np.ndindex(shape):
        for dy, dx in np.ndindex(width, width):
            at = mirrored(y + dy - width // 2, shape[0]), mirrored(x + dx - width // 2, shape[1])
            for label in labels:
                if label[at] != VOID:
                    result[label[at], y, x] += kernel[dy] * kernel[dx]
        total = result[:, y, x].sum()
        result[:, y, x] = result[:, y, x] / total if total else 1 / classes
    return result


def mirrored(i: int, length: int) -> int:
    i = -1 - i if i < 0 else i
    return 2 * length - 1 - i if i >= length else i


def source_labels(count: int = 4) -> list[np.ndarray]:
    labels = list(
        np.random.default_rng(5).choice([0, 1, 2, VOID], (count, *SIZE), p=[0.6, 0.2, 0.1, 0.1]).astype(np.uint8)
    )
    for label in labels:
        label[:, -6:] = VOID  # a region without any label
    return labels


@pytest.mark.parametrize(("smoothing", "width"), [(0.05, 1), (0.25, 3), (0.43, 5)])
def test_prior_equals_a_loop_over_pixels(smoothing, width):
    counts = np.zeros((3, *SIZE), np.int32)
    for label in source_labels():
        prior.count(counts, label)
    found = prior.spatial_prior(counts, smoothing)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, prior_by_loop(source_labels(), 3, width), atol=1e-6)
    np.testing.assert_allclose(found[:, :, -1], 1 / 3)


def test_prior_is_multiplied_in_and_not_normalised_again():
    images, q = photographs(3), prior_by_loop(source_labels(), 3, 3).astype(np.float32)
    found = list(inference.weighted(inference.whole(probabilities, 2), q)(images))
    for p, (_, image) in zip(found, images, strict=True):
        np.testing.assert_allclose(p, network(first(image)) * q, atol=1e-6)


# ---- composition ------------------------------------------------------------------------------------------------


def test_strategy_composes_scales_patches_and_prior():
    images, q = photographs(2), np.random.default_rng(1).random((3, *SIZE)).astype(np.float32)
    infer = Infer(classes=CLASSES, size=(16, 16), scales=(0.5, 1), flip=True, patches=SISC, seed=3, batch=4)
    found = list(inference.strategy(probabilities, infer, q)(images))
    seen = inference.views(probabilities, (0.5, 1), True)
    expected = inference.patches(seen, 4, SISC, 3)(images)
    for p, plain in zip(found, expected, strict=True):
        assert torch.equal(p, plain * torch.from_numpy(q))
    plain = list(inference.strategy(probabilities, Infer(classes=CLASSES, size=(16, 16)))(images))
    np.testing.assert_allclose(plain[1], network(first(images[1][1])), atol=1e-6)


# ---- what is stored ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 2, 3, 6])
@pytest.mark.parametrize("levels", [4, 1_000_000])
def test_most_probable_classes_equal_sorting(keep, levels):
    rng = np.random.default_rng(keep)
    p = torch.from_numpy(rng.integers(0, levels + 1, (6, 5, 7)) / levels).float()
    labels, confidences = inference.most_probable(p, keep)
    assert labels.shape == confidences.shape == (keep, 5, 7)
    assert labels.dtype == np.uint8 and confidences.dtype == np.uint16
    units = np.rint(p.numpy().astype(np.float32) * np.float32(65535)).astype(int)
    for y, x in np.ndindex(5, 7):
        order = sorted(range(6), key=lambda c: (-units[c, y, x], c))[:keep]
        assert labels[:, y, x].tolist() == order and confidences[:, y, x].tolist() == units[order, y, x].tolist()


def test_confidences_are_counted_pixel_by_pixel_without_void():
    rng = np.random.default_rng(0)
    histogram, expected = np.zeros((2, 3, 65536), np.int64)
    for _ in range(3):
        label = rng.choice([0, 1, 2, VOID], (5, 6)).astype(np.uint8)
        confidence = rng.choice([0, 5, 65535], (5, 6)).astype(np.uint16)
        inference.count_confidences(histogram, label, confidence)
        for c, value in zip(label.ravel().tolist(), confidence.ravel().tolist(), strict=True):
            if c != VOID:
                expected[c, value] += 1
    assert np.array_equal(histogram, expected)


# ---- the stages -------------------------------------------------------------------------------------------------

WORKING = (32, 48)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model."""
    from cotrain.settings.model import Model

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.pt"
    settings = Model(architecture="FPN", encoder="resnet18", weights=None)
    checkpoint.save(path, build.build(settings, CLASSES), MADE_BY)
    return path


@pytest.fixture
def statistics(cotrain, tmp_path):
    """Statistics with a prior, of label images of another size than the target's."""
    rng = np.random.default_rng(2)
    labels = {i: rng.integers(0, 3, (16, 24)).astype(np.uint8).repeat(4, axis=0).repeat(4, axis=1) for i in "abc"}
    source = write_index(tmp_path / "source" / "index.csv", {i: np.zeros((64, 96, 3), np.uint8) for i in "abc"}, labels)
    settings = {
        "labels": {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2}},
        "size": [64, 96],
        "prior": {"size": WORKING, "smoothing": 0.1},
    }
    paths = {"out": tmp_path / "statistics.h5", "picture": tmp_path / "prior.png"}
    assert cotrain("statistics", settings, source=source, **paths).code == 0
    counts = np.zeros((3, *WORKING), np.int32)
    for label in labels.values():
        prior.count(counts, label[::2, ::2])
    with hdf5.open_hdf5(paths["out"], "statistics") as file:
        assert np.array_equal(file["prior"][:], prior.spatial_prior(counts, 0.1))
    assert Image.open(paths["picture"]).size[0] > 300
    assert origins.read_provenance(paths["picture"])["stage"] == "statistics"
    return paths["out"]


@pytest.fixture
def images(tmp_path):
    return write_index(tmp_path / "target" / "index.csv", dict(photographs(5, WORKING)))


def inferred(cotrain, path, settings: dict, **paths) -> dict[str, np.ndarray]:
    assert cotrain("infer", {"classes": CLASSES, "size": WORKING} | settings, out=path, **paths).code == 0
    with h5py.File(path) as file:
        return {name: file[name][:] for name in ("label", "confidence", "histogram")} | dict(file.attrs)


def test_infer_stores_what_its_strategy_says(cotrain, model, images, statistics, tmp_path):

    with hdf5.open_hdf5(statistics) as file:
        q = file["prior"][:]
    mask = np.zeros(WORKING, np.uint8)
    mask[-4:] = 255
    patches = {"count": 3, "height": 0.5}
    settings = {"keep_classes": 2, "patches": patches, "scales": [0.5, 1], "seed": 9, "batch": 4}
    settings |= {"ego_mask": str(save(tmp_path / "ego.png", mask))}
    found = inferred(cotrain, tmp_path / "p.h5", settings, model=model, images=images, statistics=statistics)

    infer = Infer(classes=CLASSES, size=WORKING, **settings)
    maps = inference.strategy(inference.ensemble([checkpoint.load(model)]), infer, q)(photographs(5, WORKING))
    histogram = np.zeros((3, 65536), int)
    for i, p in enumerate(maps):
        labels, confidences = inference.most_probable(p, 2)
        labels[:, -4:], confidences[:, -4:] = VOID, 0
        assert np.array_equal(found["label"][i], labels) and np.array_equal(found["confidence"][i], confidences)
        np.add.at(histogram, (labels[0, :-4].ravel(), confidences[0, :-4].ravel()), 1)
    assert i == 4 and np.array_equal(found["histogram"], histogram)
    assert found["total"] == 1


def test_infer_of_an_ensemble_says_how_much_its_probabilities_may_sum_to(cotrain, model, images, tmp_path):
    for join, total in (("mean", 1), ("max", 2)):
        settings = {"ensemble": join}
        found = inferred(cotrain, tmp_path / "p.h5", settings, model=[model, model], images=images)
        assert found["total"] == total


def test_infer_refuses_statistics_without_a_prior_or_with_another(
    refused, cotrain, model, images, statistics, tmp_path
):
    settings, paths = {"classes": CLASSES, "size": [32, 32]}, {"model": model, "images": images}
    message = refused("infer", settings, **paths, statistics=statistics, out=tmp_path / "p.h5")
    assert f"{statistics}: its prior is of other classes or size (3 classes at 32×48)" in message
    with h5py.File(statistics, "a") as file:
        del file["prior"]
    sidecar(statistics).unlink()
    message = refused("infer", settings, **paths, statistics=statistics, out=tmp_path / "p.h5")
    assert f"{statistics}: it has no prior; run statistics with its setting `prior`" in message


def test_evaluate_averages_over_its_views(cotrain, model, tmp_path):

    rng = np.random.default_rng(4)
    pictures = dict(photographs(3, WORKING))
    truths = {i: rng.integers(0, 3, WORKING).astype(np.uint8) for i in pictures}
    index = write_index(tmp_path / "index.csv", pictures, truths)
    labels = {"classes": CLASSES, "values": {"0": 0, "1": 1, "2": 2}}
    settings = {"labels": labels, "size": WORKING, "scales": [0.5, 1], "flip": True, "batch": 2}
    paths = {"out": tmp_path / "metrics.json", "pictures": tmp_path / "pictures.h5"}
    assert cotrain("evaluate", settings, model=model, images=index, **paths).code == 0
    seen = inference.views(inference.ensemble([checkpoint.load(model)]), (0.5, 1), True)
    with h5py.File(paths["pictures"]) as file:
        for i, image in pictures.items():
            p = seen(torch.from_numpy(first(image).copy())[None])[0]
            assert (file[f"prediction/{i}"][:] == p.argmax(dim=0).numpy()).mean() > 0.999


def test_benchmark_prints_a_row_for_each_way_of_inference():
    script = [PROJECT / "benchmarks/inference.py", "--images", "1", "--repeats", "1", "--size", "32", "32"]
    printed = subprocess.run([sys.executable, *script], capture_output=True, text=True, check=True).stdout
    assert len(printed.splitlines()) == 12 and printed.startswith("| infer | ms per image |")
