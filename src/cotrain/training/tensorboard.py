"""What TensorBoard shows of a training: loss, learning rate, mIoU and speed over the steps, and some mini-batches."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from cotrain.data.colors import Color, default_colors, overlay
from cotrain.method import metrics
from cotrain.training.batches import Batch

SAMPLES = 4  # mini-batches that are shown of a training
MAX_IMAGES = 8  # of a mini-batch
MAX_WIDTH = 320  # of an image, pixels
THINNED = 2  # the mIoU counts every second row and column of pixels
OPACITY = 0.7  # of the classes over a photograph
LINE = 14  # pixels of a line of the legend


class Moment(NamedTuple):
    """A step, and when it was."""

    step: int
    seconds: float


class Arrays(NamedTuple):
    """What a picture or a score needs of a mini-batch, uint8."""

    images: np.ndarray  # (B, 3, h, w)
    labels: np.ndarray  # (B, h, w)
    predicted: np.ndarray  # (B, h, w)


class Logbook:
    """The event files of one training in `folder`; without one it does nothing. As a context it closes them.

    A training that goes on after `done` steps goes on in them: what was written of later steps does not count. One that
    starts at 0 deletes those of a training before it. A disk that is full ends the log and not the training.
    """

    def __init__(self, folder: Path | None, name: str, done: int, steps: int, batch: int, classes: tuple[str, ...]):
        self.folder = folder
        self.name = f"train {name}".strip()
        self.batch = batch
        self.classes = classes
        self.colors = default_colors(len(classes))
        self.show_every = max(10, -(-steps // (10 * SAMPLES)) * 10)
        self.writer = None
        self.last: Moment | None = None
        self._try(lambda: self._open(done))

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        self._try(lambda: self.writer.close())

    def write(self, batch: Batch, logits: torch.Tensor, loss: float, values: dict[str, float], rate: float) -> None:
        """Logits (B, C, h, w) of the batch, the loss, the value of each of its terms, and the learning rate."""
        self._try(lambda: self._write(batch, logits, loss, values, rate))

    def _open(self, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        if done == 0:
            for old in self.folder.glob("events.out.tfevents.*"):
                old.unlink()
        self.writer = SummaryWriter(str(self.folder), purge_step=done, flush_secs=10)

    def _write(self, batch: Batch, logits: torch.Tensor, loss: float, values: dict[str, float], rate: float) -> None:
        step = batch.step
        now = Moment(step, time.monotonic())
        shown = step % self.show_every == 0
        arrays = _arrays(batch, logits, every=1 if shown else THINNED)

        self.writer.add_scalar("loss", loss, step)
        if len(values) > 1:
            for name, value in values.items():
                self.writer.add_scalar(f"loss/{name}", value, step)
        self.writer.add_scalar("learning rate", rate, step)
        if self.last:
            self.writer.add_scalar("images per second", self._speed(self.last, now), step)
        self.writer.add_scalar("mIoU of the mini-batch", _mean_iou(arrays, len(self.classes)), step)
        if shown:
            picture = _picture(arrays, self.colors, self.classes)
            self.writer.add_image("mini-batch: image, labels, prediction", picture, step, dataformats="HWC")
        self.last = now

    def _speed(self, before: Moment, now: Moment) -> float:
        """Images per second."""
        return (now.step - before.step) * self.batch / (now.seconds - before.seconds)

    def _try(self, action: Callable[[], None]) -> None:
        if not self.folder:
            return
        try:
            action()
        except OSError as error:
            with contextlib.suppress(OSError):
                print(f"{self.name}: {self.folder}: no more is logged ({error.strerror or error})", file=sys.stderr)
            self.folder = None


def _arrays(batch: Batch, logits: torch.Tensor, every: int) -> Arrays:
    """Images, labels and predicted classes, of `every` so many rows and columns."""
    thinned = slice(None, None, every)
    images = batch.images[..., thinned, thinned]
    labels = batch.labels[..., thinned, thinned]
    predicted = logits.detach()[..., thinned, thinned].argmax(1)
    return Arrays(_numpy(images), _numpy(labels), _numpy(predicted))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.to("cpu", torch.uint8).numpy()


def _mean_iou(arrays: Arrays, classes: int) -> float:
    confusion = metrics.confusion_matrix(arrays.labels, arrays.predicted, classes)
    return metrics.mean_iou(metrics.intersection_over_union(confusion))


def _picture(arrays: Arrays, colors: list[Color], classes: tuple[str, ...]) -> np.ndarray:
    """(H, W, 3) uint8: a row for each image, beside it with its labels and its prediction; below, the classes."""
    step = -(-arrays.images.shape[-1] // MAX_WIDTH)
    small = (slice(None, None, step), slice(None, None, step))
    rows = []
    shown = list(zip(*arrays, strict=True))[:MAX_IMAGES]
    for image, label, predicted in shown:
        photograph = image.transpose(1, 2, 0)[small]
        labelled = overlay(photograph, label[small], colors, OPACITY)
        segmented = overlay(photograph, predicted[small], colors, OPACITY)
        rows.append(np.concatenate([photograph, labelled, segmented], axis=1))
    rows.append(_legend(rows[0].shape[1], colors, classes))
    return np.concatenate(rows)


def _legend(width: int, colors: Sequence[Color], classes: tuple[str, ...]) -> np.ndarray:
    """(h, width, 3) uint8 with a coloured square and a name for each class, in as many lines as it takes."""
    image = Image.new("RGB", (width, LINE * (len(classes) + 1)), "white")
    draw = ImageDraw.Draw(image)
    x = y = 0
    for name, color in zip(classes, colors, strict=True):
        length = LINE + int(draw.textlength(name)) + 6
        if x and x + length > width:
            x = 0
            y += LINE
        draw.rectangle((x + 2, y + 2, x + LINE - 4, y + LINE - 4), fill=color)
        draw.text((x + LINE, y), name, fill="black")
        x += length
    return np.asarray(image)[: y + LINE]
