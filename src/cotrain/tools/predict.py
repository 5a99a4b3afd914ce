"""Labels a person's own photographs, folders of them and videos: class PNGs and colour overlays."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import FOLDER, LOOKUP, POSITIONAL, READ, WRITE
from cotrain.data import images, labels, media
from cotrain.data.colors import Color, default_colors
from cotrain.data.descriptions import class_values, load_dataset
from cotrain.files import atomic
from cotrain.method.labelmaps import SCALE
from cotrain.networks import checkpoint, devices, inference, segmenter
from cotrain.report import figures
from cotrain.settings.datasets import Coding
from cotrain.settings.tools import Predict

WORKFLOW = Path("workflow")
LONGEST = 2048  # pixels that the network sees at most, if the model does not say what it was trained at
CLASSES = "classes.csv"
FRAME = "06d"  # format of a frame's number
RENAME = "rename one of them, or predict them into different folders"

NamedImages = Iterable[tuple[str, np.ndarray]]  # name and image (H, W, 3) uint8


def run(
    settings: Predict,
    model: Annotated[list[Path], READ],
    photographs: Annotated[list[Path], READ | LOOKUP | POSITIONAL],
    out: Annotated[Path, WRITE | FOLDER],
) -> None:
    """PHOTOGRAPHS are images, videos, and folders of either.

    Writes NAME.png (classes) and NAME_overlay.jpg into the folder `out` for each image NAME.*, with the folders it lies
    in below the folder that was given; of a video NAME/000000.png, … and NAME_overlay.mp4. `classes.csv` there says
    which value and colour each class has.
    """
    footage = media.listed(photographs, out)
    _check_places(footage, out, settings)
    predictor = _predictor(settings, model, out)
    paths = {name: path for name, path, is_video in footage if not is_video}
    videos = {name: media.Video(path) for name, path, is_video in footage if is_video}
    with progress((), "predict", "image", _count(paths, videos)) as bar:
        shots = ((name, images.read_image(path)) for name, path in paths.items())
        for name, overlay in predictor.overlays(shots):
            with atomic.replacing(out / f"{name}_overlay.jpg") as temporary:
                Image.fromarray(overlay).save(temporary, format="JPEG", quality=92)
            bar.update()
        for name, video in videos.items():
            _predict_video(predictor, name, video, bar.update)
    predictor.write_classes()


def _count(paths: dict[str, Path], videos: dict[str, media.Video]) -> int | None:
    """Number of photographs and frames; None if a video does not say how long it is."""
    count = len(paths)
    for video in videos.values():
        if video.said is None:
            return None
        count += video.said
    return count


def _check_places(footage: list[media.Footage], out: Path, settings: Predict) -> None:
    """Raises BadInput if a prediction would be written over an input, or over or into another prediction."""
    inputs = {path.resolve() for _, path, _ in footage}
    sources: dict[Path, Path | None] = {out / CLASSES: None}  # path to write → input that it is made from
    for name, source, is_video in footage:
        frames = (out / name).resolve()
        if is_video and any(path.parent == frames for path in inputs):
            raise BadInput(f"{out / name}: an input lies in it, and frames might be written over it; write elsewhere")
        for path in _outputs(out / name, is_video, settings):
            if path.resolve() in inputs:
                raise BadInput(f"{path}: it is an input too, and would be lost; write elsewhere")
            if path in sources:
                raise BadInput(f"{source}: {_written(path, sources[path])}; {RENAME}")
            sources[path] = source
    for path, source in sources.items():
        for folder in path.parents:
            if folder in sources:
                raise BadInput(f"{source}: its folder {_written(folder, sources[folder])}; {RENAME}")


def _outputs(path: Path, is_video: bool, settings: Predict) -> Iterator[Path]:
    """What is written for a photograph or a video whose predictions are called `path`; of its frames, the first."""
    maps = path / f"{0:{FRAME}}" if is_video else path
    yield path.with_name(f"{path.name}_overlay{'.mp4' if is_video else '.jpg'}")
    yield maps.with_name(f"{maps.name}.png")
    if settings.confidence:
        yield maps.with_name(f"{maps.name}_confidence.png")
    if settings.entropy:
        yield maps.with_name(f"{maps.name}_entropy.png")


def _written(path: Path, source: Path | None) -> str:
    return f"{path} is also written for {source or 'the table of classes'}"


def _predict_video(predictor: "_Predictor", name: str, video: media.Video, frame_done: Callable[[], object]) -> None:
    """Writes the predictions of a video's frames, and its overlay."""
    with atomic.replacing(predictor.out / f"{name}_overlay.mp4") as temporary:
        writer = media.VideoWriter(temporary.with_suffix(".mp4"), video.fps)  # OpenCV goes by the ending
        frames = ((f"{name}/{number:{FRAME}}", frame) for number, frame in enumerate(video))
        try:
            for _, overlay in predictor.overlays(frames):
                writer.write(overlay)
                frame_done()
        finally:
            writer.close()
        writer.path.rename(temporary)
    if video.said and video.frames < video.said:
        print(f"predict: {video.path}: {video.frames} of {video.said} frames could be read", file=sys.stderr)


# ---- models and classes -----------------------------------------------------------------------------------------


def _predictor(settings: Predict, model_paths: list[Path], out: Path) -> "_Predictor":
    dataset = load_dataset(WORKFLOW, settings.convention) if settings.convention else None
    devices.prepare(settings.threads)
    models = _load(model_paths, settings)
    classes = models[0].classes
    values = range(len(classes))
    encoding = "ids"
    if dataset:
        values = class_values(dataset, classes)
        encoding = dataset.encoding
    colors = []
    for name, default in zip(classes, default_colors(len(classes)), strict=True):
        colors.append(settings.colors.get(name, default))
    return _Predictor(
        settings=settings,
        out=out,
        maps=inference.of_any_size(inference.ensemble(models), settings.batch),
        longest=settings.longest or _trained_at(models[0]),
        classes=classes,
        colors=colors,
        values=values,
        encoding=encoding,
    )


def _load(paths: list[Path], settings: Predict) -> list[segmenter.Segmenter]:
    """The models on their device; raises BadInput unless all have the classes of the first."""
    device = devices.device_of(settings.device)
    models: list[segmenter.Segmenter] = []
    for path in paths:
        classes = models[0].classes if models else None
        models.append(checkpoint.load(path, classes, settings.trust))
    return [model.to(device) for model in models]


def _trained_at(model: segmenter.Segmenter) -> int:
    """Longer side of the images that a model was trained with, as its provenance says."""
    settings = model.made_by.get("settings", {})
    if not isinstance(settings, dict):
        return LONGEST
    size = settings.get("target_size") or settings.get("source_size")
    if not isinstance(size, list) or len(size) != 2:
        return LONGEST
    if not all(isinstance(side, int) and side >= 16 for side in size):
        return LONGEST
    return max(size)


# ---- predictions ------------------------------------------------------------------------------------------------


@dataclass
class _Predictor:
    """Writes what is asked for of each image."""

    settings: Predict
    out: Path
    maps: Callable[[NamedImages], Iterator[torch.Tensor]]  # the probabilities of each image
    longest: int  # side that the network sees, pixels
    classes: tuple[str, ...]
    colors: list[Color]
    values: Sequence[int]  # of the classes, in the images that are written
    encoding: str

    def overlays(self, named_images: NamedImages) -> Iterator[tuple[str, np.ndarray]]:
        """Writes the predictions of each image; gives its name and its overlay (H, W, 3) uint8."""
        waiting: deque[tuple[str, np.ndarray]] = deque()
        for probabilities in self.maps(self._resized(named_images, waiting)):
            name, image = waiting.popleft()
            label, confidence, entropy = inference.decided(probabilities, image.shape[:2])
            self._write(f"{name}.png", labels.encoded(label, self.values, self.encoding))
            if self.settings.confidence:
                self._write(f"{name}_confidence.png", _as_uint16(confidence))
            if self.settings.entropy:
                self._write(f"{name}_entropy.png", _as_uint16(entropy))
            yield name, figures.overlay(image, label, self.colors, self.settings.opacity)

    def _resized(self, named_images: NamedImages, waiting: deque) -> NamedImages:
        """The images as the network sees them; they themselves wait for its answer."""
        for name, image in named_images:
            waiting.append((name, image))
            size = self.settings.size or self._fitting(image.shape[:2])
            yield name, images.resized(image, size)

    def _fitting(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that the network sees of an image of `size`."""
        scale = min(1, self.longest / max(size))
        height, width = size
        return max(1, round(scale * height)), max(1, round(scale * width))

    def _write(self, name: str, pixels: np.ndarray) -> None:
        if pixels.dtype == np.uint16 and pixels.ndim == 3:
            raise BadInput("convention: red with ids above 255 cannot be written; name another convention")
        with atomic.replacing(self.out / name) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")

    def write_classes(self) -> None:
        """Writes classes.csv: number, name, value and colour of each class."""
        import pandas as pd  # here: it takes long to import, and the first image is waited for

        coding = Coding(encoding=self.encoding)
        rows = []
        for number, name in enumerate(self.classes):
            red, green, blue = self.colors[number]
            row = {
                "class": number,
                "name": name,
                "value": labels.spelled(self.values[number], coding),
                "red": red,
                "green": green,
                "blue": blue,
            }
            rows.append(row)
        with atomic.replacing(self.out / CLASSES) as temporary:
            pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")


def _as_uint16(shares: np.ndarray) -> np.ndarray:
    """Shares in [0, 1] → round(share·65535) uint16."""
    return np.rint(shares * SCALE).astype(np.uint16)
