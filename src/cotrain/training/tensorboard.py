"""What a training did, for TensorBoard: loss, learning rate, mIoU and speed over the steps, and some mini-batches."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from cotrain.method import metrics
from cotrain.report import figures

SAMPLES = 4  # times that a mini-batch is shown
SHOWN = 8  # images of it at most
WIDTH = 320  # pixels of each at most
THINNED = 2  # of so many rows and columns of pixels one counts for the mIoU
LINE = 14  # pixels of a line of the legend


class Logbook:
    """The event files of one training in `folder`; without one it does nothing. As a context it closes them.

    A training that goes on after `done` steps goes on in them: what was written of later steps does not count. One that
    starts at 0 deletes those of a training before it. A disk that is full ends the log and not the training.
    """

    def __init__(self, folder: Path | None, name: str, done: int, steps: int, batch: int, classes: tuple[str, ...]):
        self.folder, self.name = folder, f"train {name}".strip()
        self.batch, self.classes = batch, classes
        self.colors = figures.default_colors(len(classes))
        self.every = max(10, -(-steps // (10 * SAMPLES)) * 10)
        self.writer, self.last = None, None
        self._try(lambda: self._open(done))

    def __enter__(self) -> "Logbook":
        return self

    def __exit__(self, *_: object) -> None:
        self._try(lambda: self.writer.close())

    def write(
        self, step: int, loss: float, rate: float, images: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor
    ) -> None:
        """`rate` is the learning rate; images (B, 3, h, w) and labels (B, h, w), both uint8; logits (B, C, h, w)."""
        self._try(lambda: self._write(step, loss, rate, images, labels, logits))

    def _open(self, done: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("events.out.tfevents.*") if not done else ():
            old.unlink()
        self.writer = SummaryWriter(str(self.folder), purge_step=done, flush_secs=10)

    def _write(self, step: int, loss: float, rate: float, *batch: torch.Tensor) -> None:
        now = time.monotonic()
        values = {"loss": loss, "learning rate": rate}
        if self.last:
            before, then = self.last
            values["images per second"] = (step - before) * self.batch / (now - then)
        shown = step % self.every == 0
        images, labels, predicted = _arrays(*batch, slice(None, None, 1 if shown else THINNED))
        confusion = metrics.confusion_matrix(labels, predicted, len(self.classes))
        values["mIoU of the mini-batch"] = metrics.mean_iou(metrics.intersection_over_union(confusion))
        for tag, value in values.items():
            self.writer.add_scalar(tag, value, step)
        if shown:
            picture = _picture(images, labels, predicted, self.colors, self.classes)
            self.writer.add_image("mini-batch: image, labels, prediction", picture, step, dataformats="HWC")
        self.last = step, now

    def _try(self, action: Callable[[], None]) -> None:
        if not self.folder:
            return
        try:
            action()
        except OSError as error:
            with contextlib.suppress(OSError):
                print(f"{self.name}: {self.folder}: no more is logged ({error.strerror or error})", file=sys.stderr)
            self.folder = None


def _arrays(
    images: torch.Tensor, labels: torch.Tensor, logits: torch.Tensor, some: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (B, 3, h, w), labels and predicted classes (B, h, w) uint8, of some rows and columns."""
    predicted = logits.detach()[..., some, some].argmax(1)
    parts = images[..., some, some], labels[..., some, some], predicted
    return tuple(part.to("cpu", torch.uint8).numpy() for part in parts)


def _picture(
    images: np.ndarray, labels: np.ndarray, predicted: np.ndarray, colors: list[figures.Color], classes: tuple[str, ...]
) -> np.ndarray:
    """(H, W, 3) uint8: a line for each image with its labels and prediction over it, and the classes below."""
    step = -(-images.shape[-1] // WIDTH)
    small = (slice(None, None, step),) * 2
    lines = []
    for image, label, prediction in list(zip(images, labels, predicted, strict=True))[:SHOWN]:
        photograph = image.transpose(1, 2, 0)[small]
        shaded = [figures.overlay(photograph, label_map[small], colors, 0.7) for label_map in (label, prediction)]
        lines.append(np.concatenate([photograph, *shaded], axis=1))
    return np.concatenate([*lines, _legend(lines[0].shape[1], colors, classes)])


def _legend(width: int, colors: list[figures.Color], classes: tuple[str, ...]) -> np.ndarray:
    """(h, width, 3) uint8 with a coloured square and a name for each class, in as many lines as it takes."""
    image = Image.new("RGB", (width, LINE * (len(classes) + 1)), "white")
    draw, x, y = ImageDraw.Draw(image), 0, 0
    for name, color in zip(classes, colors, strict=True):
        length = LINE + int(draw.textlength(name)) + 6
        if x and x + length > width:
            x, y = 0, y + LINE
        draw.rectangle((x + 2, y + 2, x + LINE - 4, y + LINE - 4), fill=color)
        draw.text((x + LINE, y), name, fill="black")
        x += length
    return np.asarray(image)[: y + LINE]
