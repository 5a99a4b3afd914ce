"""What is in a batch: shares, pairing, collage, void and caching, with sets of images that live in memory."""

import os
import signal
from threading import Barrier

import numpy as np
import pytest
import torch
from conftest import CLASSES, VOID, random_maps, write_index, write_pseudolabels

from cotrain.base.errors import BadInput
from cotrain.files import contract, tables
from cotrain.method import color
from cotrain.settings.datasets import Labels
from cotrain.settings.training import Augmentation
from cotrain.training import batches, loader, sources
from cotrain.training.augmentation import Collage, RareCrops
from cotrain.training.augmentation import augmentation as augmentation_of
from cotrain.training.teams import Team

SIZE = (16, 24)
ORDER = np.array([1, 2, 0])  # from the least to the most confident class


class Memory:
    """A set of images whose pixels all hold the image's own number, with labels to choose."""

    def __init__(self, labels: np.ndarray, first: int = 0):
        self.labels, self.first, self.loaded = labels, first, []

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, i: int) -> sources.Pair:
        self.loaded.append(i)
        return np.full((*self.labels[i].shape, 3), self.first + i, np.uint8), self.labels[i]


def memory(count: int, first: int = 0, seed: int = 0) -> Memory:
    return Memory(random_maps(seed, count, *SIZE, classes=3)[0], first)


def augmentation(size=SIZE, **settings):
    return augmentation_of(Augmentation(**{"crop": SIZE, "zoom": (1, 1), "flip": 0} | settings), size)


IDENTITY = [augmentation(), augmentation()]


def make(source, target=None, augment=IDENTITY, **options) -> batches.Batches:
    defaults = {"steps": 50, "batch": 4, "target_share": 0.75, "collage": None, "seed": 1}
    return batches.Batches(source, target, augment, **defaults | options)


def pair(batch: batches.Batch) -> tuple[torch.Tensor, torch.Tensor]:
    return batch.images, batch.labels


def numbers(images: torch.Tensor) -> list[int]:
    """Which image each item of a batch is."""
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


# ---- composition ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "batch", "expected"), [(0.75, 4, 3), (0.5, 8, 4), (0, 4, 0), (1, 4, 4), (0.7, 10, 7), (0.29, 100, 29)]
)
def test_share_of_target_images_in_a_batch(share, batch, expected):
    images, labels = pair(make(memory(5), memory(5, first=100), target_share=share, batch=batch)[3])
    assert images.shape == (batch, 3, *SIZE) and labels.shape == (batch, *SIZE)
    assert images.dtype == labels.dtype == torch.uint8
    assert sum(n >= 100 for n in numbers(images)) == expected


def test_without_target_a_batch_is_all_source():
    images, _ = pair(make(memory(5), None)[0])
    assert len(images) == 4 and max(numbers(images)) < 5


def test_batch_says_which_images_are_of_the_target_and_how_many_pixels_have_a_label():
    source, target = memory(5), memory(5, first=100, seed=2)
    for step in (0, 7):
        batch = make(source, target, target_share=0.5, batch=6)[step]
        assert batch.step == step and batch.image_count == 6
        assert batch.from_target.tolist() == [number >= 100 for number in numbers(batch.images)]
        labels = [source.labels[n] if n < 100 else target.labels[n - 100] for n in numbers(batch.images)]
        assert batch.labelled_pixels == sum(np.count_nonzero(label != VOID) for label in labels)


def test_parts_of_a_batch_are_of_several_processes_and_count_the_images_of_all():
    source, target = memory(5), memory(5, first=100)
    whole = make(source, target, target_share=0.6, batch=5)[3]
    parts = [make(source, target, target_share=0.6, batch=5, team=Team(rank, 2))[3] for rank in (0, 1)]
    assert [part.image_count for part in parts] == [5, 5]
    for part, places in zip(parts, (slice(0, None, 2), slice(1, None, 2)), strict=True):
        for tensor, expected in zip(part[1:4], whole[1:4], strict=True):
            assert torch.equal(tensor, expected[places])
    assert sum(part.labelled_pixels for part in parts) == whole.labelled_pixels


def test_image_and_label_stay_together():
    source, target = memory(6), memory(6, first=100, seed=2)
    for step in range(10):
        images, labels = pair(make(source, target)[step])
        for number, label in zip(numbers(images), labels, strict=True):
            expected = source.labels[number] if number < 100 else target.labels[number - 100]
            assert np.array_equal(label, expected)


def test_every_image_is_seen_once_per_epoch():
    data = make(memory(6), memory(9, first=100), batch=4)
    seen = [n for step in range(18) for n in numbers(data[step].images)]  # 18 source and 54 target places
    counts = np.bincount(seen, minlength=109)
    assert (counts[:6] == 3).all() and (counts[100:] == 6).all()


def test_batch_is_a_function_of_seed_and_step_alone():
    augment = [augmentation(zoom=(0.5, 2), flip=0.5, jitter=0.5)] * 2

    def data(seed):
        return make(memory(7), memory(7, first=100), augment, collage=Collage(ORDER, 0.5), seed=seed)

    one, other = data(1), data(1)
    forward = [one[step] for step in range(6)]
    torch.rand(7)  # neither the state of torch's generator matters …
    backward = [other[step] for step in reversed(range(6))][::-1]
    for batch, again in zip(forward, backward, strict=True):
        assert torch.equal(batch.images, again.images) and torch.equal(batch.labels, again.labels)
    assert not torch.equal(data(2)[0].images, forward[0].images)
    assert not torch.equal(forward[1].images, forward[0].images)


def test_an_image_is_augmented_anew_at_each_place_of_each_step():
    image = memory(1)
    data = make(image, augment=[augmentation(zoom=(0.5, 2))] * 2, batch=3)
    seen = {tuple(label.ravel().tolist()) for step in range(5) for label in data[step].labels}
    assert len(seen) == 15


def test_batch_leaves_torchs_generator_as_it_was():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    _ = make(memory(3), augment=[augmentation(flip=0.5)] * 2)[0]
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("device", [None, torch.device("cpu")])
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_workers_give_the_batches_of_one_process(workers, device):
    """Wherever they are augmented."""
    options = {"collage": Collage(ORDER, 0.5), "rare_crops": RareCrops(np.ones((7, 3)), [1], 0.5)}
    zoomed = [augmentation(zoom=(0.5, 2), flip=0.5)] * 2
    data = make(memory(7), Memory(random_maps(0, 7, *SIZE, 3)[0], first=100), zoomed, steps=5, **options)
    given = list(loader.ahead(data, 2, workers, pinned=False, device=device))
    assert len(given) == 3
    for step, batch in enumerate(given, start=2):
        assert batch.step == step and batch.image_count == 4
        assert all(torch.equal(part, other) for part, other in zip(batch[1:4], data[step][1:4], strict=True))
        assert batch.labelled_pixels == (batch.labels != VOID).sum()


class Broken(Memory):
    """Its last image cannot be read, in the way of `fault`."""

    def __init__(self, fault, **options):
        super().__init__(random_maps(0, 4, *SIZE, classes=3)[0], **options)
        self.fault = fault

    def load(self, i: int) -> sources.Pair:
        return super().load(i) if i < 3 else self.fault()


def _unreadable():
    raise BadInput("photograph.png: half of it is missing")


def _killed():
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("workers", "fault", "message"),
    [
        (0, _unreadable, "^photograph.png: half of it is missing$"),
        (2, _unreadable, "^photograph.png: half of it is missing$"),
        (2, _killed, "^training.workers: a process that makes mini-batches ended .*$"),
    ],
)
def test_fault_of_a_worker_is_said_in_one_line(workers, fault, message):
    data = make(Broken(fault), steps=4)
    with pytest.raises(BadInput, match=message):
        list(loader.ahead(data, 0, workers, pinned=False))


def test_source_images_are_picked_by_the_given_sampler():
    images, _ = pair(make(memory(9), pick_source=lambda position, count, seed: position % 2 + 3)[1])
    assert numbers(images) == [3, 4, 3, 4]


# ---- collage ----------------------------------------------------------------------------------------------------


def test_collage_is_pasted_on_target_images_only_and_equals_a_loop_over_pixels():
    source, target = memory(5), memory(6, first=100, seed=1)
    plain = make(source, target, batch=4)
    pasted = make(source, target, batch=4, collage=Collage(ORDER, 0.7))
    for step in range(8):
        (before, before_label), (after, after_label) = pair(plain[step]), pair(pasted[step])
        assert torch.equal(before[0], after[0]) and torch.equal(before_label[0], after_label[0])  # source
        for j in (1, 2, 3):
            from_source = [n for n in after[j].unique().tolist() if n < 100]
            assert len(from_source) == 1  # one source image, which the loop below pastes itself
            label = source.labels[from_source[0]]
            classes = sorted(set(label.ravel().tolist()) - {VOID}, key=ORDER.tolist().index)
            classes = classes[: max(1, int(0.7 * len(classes) + 1e-9))]
            for y, x in np.ndindex(SIZE):
                paste = label[y, x] in classes
                assert after_label[j, y, x] == (label[y, x] if paste else before_label[j, y, x])
                assert after[j, 0, y, x] == (from_source[0] if paste else before[j, 0, y, x])


def test_each_target_image_gets_a_source_image_and_all_of_them_get_their_turn():
    source = Memory(np.ones((9, *SIZE), np.uint8))
    target = Memory(np.zeros((5, *SIZE), np.uint8), first=100)
    data = make(source, target, collage=Collage(ORDER, 0.5), batch=4)
    pasted = [n for step in range(9) for n in numbers(data[step].images[1:])]  # 27 places, 9 source images
    assert np.bincount(pasted).tolist() == [3] * 9


def test_least_confident_class_is_pasted_and_the_order_decides_which():
    halves = np.zeros((1, *SIZE), np.uint8)
    halves[:, :, 12:] = 1
    target = Memory(np.full((1, *SIZE), 2, np.uint8), first=100)
    for order, expected in (([1, 2, 0], [2, 1]), ([0, 2, 1], [0, 2])):
        collage = Collage(np.array(order), 0.5)
        labels = make(Memory(halves), target, target_share=1, batch=1, collage=collage)[0].labels
        assert [labels[0, 0, 0].item(), labels[0, 0, -1].item()] == expected


def test_void_of_the_source_is_never_pasted():
    label = np.full((1, *SIZE), VOID, np.uint8)
    label[0, :4] = 1
    target = Memory(np.zeros((1, *SIZE), np.uint8), first=100)
    images, labels = pair(make(Memory(label), target, target_share=1, batch=1, collage=Collage(ORDER, 1))[0])
    assert (labels[0, :4] == 1).all() and (labels[0, 4:] == 0).all()
    assert (images[0, :, :4] == 0).all() and (images[0, :, 4:] == 100).all()


# ---- rare-class crops -------------------------------------------------------------------------------------------

LARGE = (40, 60)


def with_rare_pixels(*places: tuple[int, int, int]) -> Memory:
    """Four target images of class 0 with single pixels of class 2, at (image, row, column)."""
    labels = np.zeros((4, *LARGE), np.uint8)
    for place in places:
        labels[place] = 2
    return Memory(labels, first=100)


def rare_batches(target: Memory, probability: float = 1, zoom=(1, 1), rare=(2,), **options) -> batches.Batches:
    pixels = np.stack([np.bincount(label.ravel(), minlength=3) for label in target.labels])
    crops = RareCrops(pixels, rare, probability)
    augment = [augmentation(), augmentation(LARGE, zoom=zoom)]
    return make(memory(3), target, augment, rare_crops=crops, **{"target_share": 1} | options)


def test_rare_class_is_at_the_centre_of_the_crop():
    data = rare_batches(with_rare_pixels((1, 17, 30), (3, 22, 25)))
    seen = set()
    for step in range(10):
        images, labels = pair(data[step])
        assert (labels[:, 8, 12] == 2).all() and ((labels == 2).sum(dim=(1, 2)) == 1).all()
        seen |= set(numbers(images))
    assert seen == {101, 103}


@pytest.mark.parametrize("place", [(0, 0), (39, 59), (3, 40), (20, 58)])
def test_crop_about_a_pixel_at_the_border_stays_within_the_image(place):
    labels = rare_batches(with_rare_pixels((2, *place)))[0].labels
    row, column = place[0] - min(max(place[0] - 8, 0), 24), place[1] - min(max(place[1] - 12, 0), 36)
    assert (labels[:, row, column] == 2).all() and not (labels == VOID).any()


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_crop_about_a_rare_class_keeps_to_the_zoom(scale):
    """A square of the rare class stays in the middle and has the size that the zoom gives it."""
    target = with_rare_pixels()
    target.labels[1, 18:22, 28:32] = 2
    for step in range(4):
        images, labels = pair(rare_batches(target, zoom=(scale, scale))[step])
        assert set(numbers(images)) == {101}
        for label in labels:
            rows, columns = np.nonzero(label.numpy() == 2)
            assert abs(len(rows) - 16 * scale**2) <= 6 * scale
            for middle, at in ((7.5, rows.mean()), (11.5, columns.mean())):
                assert abs(middle - at) <= 2 * scale + 0.5  # a random pixel of the square is at the centre


def test_crop_of_an_image_that_zoom_made_smaller_than_the_crop_is_padded():
    labels = rare_batches(with_rare_pixels((1, 20, 30)), zoom=(0.25, 0.25))[0].labels
    assert ((labels != VOID).sum(dim=(1, 2)) == 10 * 15).all()


def test_rare_crops_come_with_their_probability_and_leave_the_others_as_they_were():
    target = with_rare_pixels((1, 17, 30))
    plain, data = rare_batches(target, 0), rare_batches(target, 0.3, steps=200)
    centred = 0
    for step in range(200):
        (images, labels), before = pair(data[step]), plain[step].images
        for number, label, other in zip(numbers(images), labels, numbers(before), strict=True):
            at_centre = label[8, 12] == 2
            centred += int(at_centre)
            assert at_centre or number == other
    assert abs(centred - 0.3 * 800) < 4 * np.sqrt(0.21 * 800)


def test_rare_crops_are_a_function_of_seed_and_step():
    target = with_rare_pixels((1, 17, 30), (1, 8, 9), (2, 20, 20))
    one, other = (rare_batches(target, 0.5, zoom=(0.5, 2), seed=7) for _ in range(2))
    forward = [one[step] for step in range(5)]
    backward = [other[step] for step in reversed(range(5))][::-1]
    for batch, again in zip(forward, backward, strict=True):
        assert torch.equal(batch.images, again.images) and torch.equal(batch.labels, again.labels)
    seeds = [rare_batches(target, seed=seed)[0].labels for seed in (1, 2)]
    assert not torch.equal(*seeds)


def test_without_pseudolabels_of_rare_classes_batches_are_as_ever():
    target = with_rare_pixels()
    plain = make(memory(3), target, [augmentation(), augmentation(LARGE)], target_share=1)
    for data in (rare_batches(target), rare_batches(target, rare=())):
        assert all(torch.equal(data[step].images, plain[step].images) for step in range(5))


# ---- augmentation -----------------------------------------------------------------------------------------------


def test_beyond_the_image_there_is_void_which_is_not_pasted():
    """Zoomed to a half, an image fills a quarter of the crop; the rest is padding."""
    small = augmentation(zoom=(0.5, 0.5))
    source, target = Memory(np.ones((1, *SIZE), np.uint8), 9), Memory(np.zeros((1, *SIZE), np.uint8), 100)
    (image,), (label,) = pair(make(source, augment=[small, small], batch=1)[0])
    assert (label == VOID).float().mean() == 0.75 and set(label.unique().tolist()) == {1, VOID}
    assert (image[:, label == VOID] == 0).all() and (image[:, label == 1] == 9).all()
    collage = Collage(ORDER, 1)
    options = {"target_share": 1, "batch": 1, "collage": collage}
    (image,), (label,) = pair(make(source, target, [small, IDENTITY[1]], **options)[0])
    assert (label == 1).float().mean() == 0.25 and (label == 0).float().mean() == 0.75
    assert (image[:, label == 0] == 100).all() and (image[:, label == 1] == 9).all()


def test_image_and_label_are_zoomed_cropped_and_flipped_together():
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 3, (4, 6)).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)  # 32 × 48
    image = (blocks * 100)[..., None].repeat(3, axis=2)
    augment = augmentation(size=(32, 48), zoom=(0.75, 1.5), flip=0.5)
    torch.manual_seed(0)
    for _ in range(20):
        cropped, label = augment((image, blocks))
        assert cropped.shape == (3, *SIZE) and label.shape == SIZE
        assert set(label.unique().tolist()) <= {0, 1, 2, VOID}
        agree = (cropped[0].float() / 100).round() == torch.where(label == VOID, 0, label)
        assert agree.float().mean() > 0.85  # all but the blurred borders of blocks


def test_flip_mirrors_image_and_label():
    before = np.arange(16 * 24 * 3).reshape(*SIZE, 3).astype(np.uint8)
    label_before = random_maps(1, 1, *SIZE, classes=3)[0][0]
    image, label = augmentation(flip=1)((before, label_before))
    assert np.array_equal(image.permute(1, 2, 0), before[:, ::-1]) and np.array_equal(label, label_before[:, ::-1])


def test_augmentation_leaves_the_loaded_image_as_it_was():
    """Cached images are handed out again and again."""
    images = sources.Cached(memory(2), 100)
    before = [array.copy() for array in images.load(0)]
    augment = [augmentation(zoom=(0.5, 2), flip=1, jitter=1)] * 2
    data = make(images, images, augment, collage=Collage(ORDER, 1))
    for step in range(5):
        _ = data[step]
    for array, expected in zip(images.load(0), before, strict=True):
        assert np.array_equal(array, expected)


# ---- sets of images ---------------------------------------------------------------------------------------------


def test_cache_returns_the_same_arrays_and_decodes_once():
    images = memory(4)
    cached = sources.Cached(images, 100)
    for i in (0, 3, 0, 3, 0):
        image, label = cached.load(i)
        assert (image == i).all() and np.array_equal(label, images.labels[i])
    assert images.loaded == [0, 3] and len(cached) == 4


def test_cache_keeps_no_more_than_its_limit():
    """An image and its label take 4 bytes a pixel: 600 × 600 pixels are 1.44 MB."""
    images = Memory(np.zeros((5, 600, 600), np.uint8))
    cached = sources.Cached(images, 3)
    for _ in range(2):
        for i in range(5):
            assert (cached.load(i)[0] == i).all()
    assert images.loaded == [0, 1, 2, 3, 4, 2, 3, 4]
    kept = sum(array.nbytes for pair in cached.pairs.values() for array in pair)
    assert kept <= 3_000_000


def test_cache_without_memory_keeps_nothing():
    images = memory(2)
    cached = sources.Cached(images, 0)
    assert [int(cached.load(0)[0][0, 0, 0]) for _ in range(3)] == [0, 0, 0]
    assert images.loaded == [0, 0, 0]


def pixels(seed: int, size=SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(60, 200, (*size, 3)).astype(np.uint8)


@pytest.fixture
def pseudolabelled(tmp_path):
    """Five target images in an index, and pseudo-labels for four of them in another order; "c" has none."""
    label, confidence = random_maps(0, 4, *SIZE, classes=3)
    label[1] = VOID
    index = write_index(tmp_path / "target.csv", {i: pixels(n) for n, i in enumerate("abcde")})
    return write_pseudolabels(tmp_path / "labels.h5", ["e", "c", "a", "b"], label, confidence), index, label


def test_images_without_pseudolabels_are_left_out(pseudolabelled):
    path, index, label = pseudolabelled
    images = sources.PseudolabelledImages(path, index)
    assert len(images) == 3
    for i, (image, expected) in enumerate(((4, label[0]), (0, label[2]), (1, label[3]))):
        found, found_label = images.load(i)
        assert np.array_equal(found, pixels(image)) and np.array_equal(found_label, expected)


def test_no_pseudolabel_at_all_is_an_error_that_says_what_to_do(tmp_path):
    index = write_index(tmp_path / "target.csv", {"a": pixels(0)})
    empty = np.full((1, *SIZE), VOID, np.uint8)
    path = write_pseudolabels(tmp_path / "labels.h5", ["a"], empty, np.zeros_like(empty, np.uint16))
    with pytest.raises(BadInput, match=r"labels\.h5: no image has a pseudo-label; lower confidence_min"):
        sources.PseudolabelledImages(path, index)


def test_pseudolabels_of_another_target_set_are_refused(pseudolabelled, tmp_path):
    other = write_index(tmp_path / "other.csv", {"e": pixels(0), "b": pixels(1)})
    with pytest.raises(BadInput, match=r"other\.csv: image a is not in it"):
        sources.PseudolabelledImages(pseudolabelled[0], other)


def test_labelled_images_are_read_at_the_working_size_and_mapped_to_classes(tmp_path):
    raw = np.array([[7, 9], [9, 0]], np.uint8).repeat(32, axis=0).repeat(48, axis=1)
    index = write_index(tmp_path / "source.csv", {"a": pixels(0, (64, 96))}, {"a": raw})
    image, label = sources.LabelledImages(index, Labels(classes=CLASSES, values={7: 1, 9: 0, 0: VOID}), SIZE).load(0)
    assert image.shape == (*SIZE, 3) and label.shape == SIZE
    assert [label[0, 0], label[0, -1], label[-1, 0], label[-1, -1]] == [1, 0, 0, VOID]


def test_labelled_images_take_the_colours_of_their_own_row(tmp_path):
    images = {i: pixels(n) for n, i in enumerate("ab")}
    index = write_index(tmp_path / "source.csv", images, {i: np.zeros(SIZE, np.uint8) for i in images})
    target = color.lab_statistics((pixels(7) * 0.3 + 90).astype(np.uint8))
    rows = []
    for i in "ba":  # another order than the index
        moments = np.concatenate([color.lab_statistics(images[i]), target])
        names = list(contract.TABLES["color"])
        rows.append({"image_id": i, "target_id": "t"} | dict(zip(names[2:], moments, strict=True)))
    tables.write_table(tmp_path / "color.csv", "color", rows, {})
    aligned = sources.LabelledImages(index, Labels(classes=CLASSES, values={0: 0}), SIZE, tmp_path / "color.csv")
    for n, i in enumerate("ab"):
        np.testing.assert_allclose(color.lab_statistics(aligned.load(n)[0]), target, atol=0.7, err_msg=i)


def test_source_images_without_labels_are_refused(tmp_path):
    index = write_index(tmp_path / "source.csv", {"a": pixels(0)})
    with pytest.raises(BadInput, match=r"source\.csv: it lists images without labels"):
        sources.LabelledImages(index, Labels(classes=CLASSES, values={0: 0}), SIZE)


class Meeting(Memory):
    """Images that are read two at a time, or not at all."""

    barrier = Barrier(2, timeout=20)

    def load(self, i: int) -> sources.Pair:
        self.barrier.wait()
        return super().load(i)


def test_threads_read_the_images_of_a_batch_at_the_same_time_into_their_places():
    flipped = [augmentation(flip=0.5)] * 2
    alone = make(memory(9), augment=flipped)
    together = make(Meeting(memory(9).labels), augment=flipped, threads=2)
    for step in range(3):
        assert all(torch.equal(one, two) for one, two in zip(pair(alone[step]), pair(together[step]), strict=True))
