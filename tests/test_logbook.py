"""What TensorBoard shows of a training, read by TensorBoard's own reader."""

import io

import numpy as np
import pytest
from conftest import CLASSES
from PIL import Image
from test_restarts import interrupted, model, paths, settings  # noqa: F401  (fixtures)

from cotrain.data import colors
from cotrain.training import tensorboard
from cotrain.training.batches import batch_of
from cotrain.training.objectives.segmentation import Segmentation

STEPS = 60
LOSS, RATE, MIOU, SPEED = "loss", "learning rate", "mIoU of the mini-batch", "images per second"
LONG = {"course": {"steps": STEPS, "learning_rate": 0.01, "schedule": "poly"}}


def events(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0}).Reload()


def scalars(folder, tag: str) -> dict[int, float]:
    found = events(folder).Scalars(tag)
    values = {event.step: event.value for event in found}
    assert len(values) == len(found), "a step is there twice"
    return values


@pytest.fixture
def killed_at(monkeypatch, cotrain, paths, tmp_path):  # noqa: F811
    """`killed_at(step, settings, tensorboard)` trains until then; the restart file has all steps before."""

    def call(step: int, options: dict, folder):
        loss, steps = Segmentation.loss, []

        def end(*arguments):
            steps.append(1)
            if len(steps) > step:
                raise KeyboardInterrupt
            return loss(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(Segmentation, "loss", end)
            more = {"out": tmp_path / "killed.pt", "restart": tmp_path / "restart.pt", "tensorboard": folder}
            assert cotrain("train", options, **paths, **more).code == 130

    return call


def test_scalars_of_a_training(model, paths, tmp_path):  # noqa: F811
    folder = tmp_path / "events"
    model(settings(**LONG), tensorboard=folder)
    loss, rate, miou = (scalars(folder, tag) for tag in (LOSS, RATE, MIOU))
    assert [*loss] == [*rate] == [*miou] == [*range(0, STEPS, 10)]
    assert all(value > 0 for value in loss.values()) and len({*loss.values()}) == len(loss)
    assert rate == pytest.approx({step: 0.01 * (1 - step / STEPS) ** 0.9 for step in rate})
    assert all(0 <= value <= 1 for value in miou.values())
    speed = scalars(folder, SPEED)
    assert [*speed] == [*range(10, STEPS, 10)] and all(value > 0 for value in speed.values())


def test_logged_miou_is_that_of_the_batch():
    import torch

    labels = torch.zeros(2, 4, 4, dtype=torch.uint8)
    labels[:, :, 2:] = 1
    labels[1] = 255
    logits = torch.zeros(2, 3, 4, 4)
    logits[:, 0] = 1  # half of the known pixels are right; class 1 is never predicted
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    seen = {}

    class Writer:
        def add_scalar(self, tag, value, step):
            seen[tag, step] = value

    log = tensorboard.Logbook(None, "", 0, 100, 2, CLASSES)
    log.writer = Writer()
    log._write(batch_of(10, images, labels), logits, 1.0, {"segmentation": 1.0}, 0.1)
    assert seen[MIOU, 10] == pytest.approx((0.5 + 0) / 2)


def test_mini_batch_is_shown_with_its_labels(model, paths, tmp_path, monkeypatch):  # noqa: F811
    batches, loss = [], Segmentation.loss

    def remembered(self, batch, outputs):
        batches.append(batch.labels.numpy().copy())
        return loss(self, batch, outputs)

    monkeypatch.setattr(Segmentation, "loss", remembered)
    model(settings(**LONG), tensorboard=tmp_path / "events")
    shown = events(tmp_path / "events").Images("mini-batch: image, labels, prediction")
    assert [picture.step for picture in shown] == [0, 20, 40]
    picture = np.asarray(Image.open(io.BytesIO(shown[1].encoded_image_string)))
    height, width = batches[20].shape[1:]
    assert picture.shape[1] == 3 * width and picture.shape[0] > 4 * height
    class_colors = colors.default_colors(len(CLASSES))
    for i, label in enumerate(batches[20]):  # columns: photograph, labels, prediction
        photograph, labels = (picture[i * height : (i + 1) * height, k * width : (k + 1) * width] for k in (0, 1))
        assert (labels == colors.overlay(photograph, label, class_colors, 0.7)).all()


def test_training_that_was_killed_is_logged_once(killed_at, model, paths, tmp_path):  # noqa: F811
    one, two = tmp_path / "killed", tmp_path / "whole"
    options = settings(**LONG)
    killed_at(35, options | {"restart_minutes": 1e-9}, one)
    assert [*scalars(one, LOSS)] == [0, 10, 20, 30]
    continued, said = model(options, restart=tmp_path / "restart.pt", tensorboard=one)
    assert "goes on after step 35" in said
    undisturbed, _ = model(options, tensorboard=two)
    assert continued == undisturbed
    assert scalars(one, LOSS) == scalars(two, LOSS) and len(list(one.iterdir())) == 2


def test_steps_after_the_restart_file_are_logged_once(killed_at, model, paths, tmp_path):  # noqa: F811
    """A kill loses what came after the last restart file; these steps are made, and logged, again."""
    folder, restart = tmp_path / "events", tmp_path / "restart.pt"
    options = settings(**LONG)
    killed_at(15, options | {"restart_minutes": 1e-9}, tmp_path / "other")
    early = restart.read_bytes()
    killed_at(45, options, folder) if restart.unlink() is None else None
    restart.write_bytes(early)
    assert max(scalars(folder, LOSS)) == 40
    assert "goes on after step 15" in model(options, restart=restart, tensorboard=folder)[1]
    assert [*scalars(folder, LOSS)] == [*range(0, STEPS, 10)]


def test_training_from_the_start_forgets_the_log_of_another(model, paths, tmp_path):  # noqa: F811
    folder = tmp_path / "events"
    model(settings(**LONG), tensorboard=folder)
    (folder / "notes.txt").write_text("mine")
    model(settings(course=LONG["course"] | {"steps": 20}), tensorboard=folder)
    assert [*scalars(folder, LOSS)] == [0, 10]
    assert (folder / "notes.txt").exists()


def test_log_that_cannot_be_written_does_not_end_the_training(model, paths, tmp_path, monkeypatch):  # noqa: F811
    from torch.utils.tensorboard import SummaryWriter

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    undisturbed, _ = model(settings())
    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    logged, said = model(settings(), tensorboard=tmp_path / "events")
    assert logged == undisturbed
    assert said.count("no more is logged (No space left on device)") == 1
