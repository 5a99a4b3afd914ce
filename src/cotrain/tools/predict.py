"""Labels a person's own photographs, folders of them and videos: class PNGs and colour overlays."""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.data import images, labels, media
from cotrain.data.colors import default_colors
from cotrain.data.descriptions import class_values, load_dataset
from cotrain.files import atomic
from cotrain.method.labelmaps import SCALE
from cotrain.networks import checkpoint, devices, inference, segmenter
from cotrain.report import figures
from cotrain.settings.datasets import Coding
from cotrain.settings.tools import Predict

WORKFLOW = Path("workflow")
LONGEST = 2048  # pixels that the network sees at most, if the model does not say what it was trained at

Shots = Iterable[tuple[str, np.ndarray]]  # name and image (H, W, 3) uint8


def run(settings: Predict, model: list[Path], photographs: list[Path], out: Path) -> None:
    """PHOTOGRAPHS are images, videos, and folders of either.

    Writes NAME.png (classes) and NAME_overlay.jpg into the folder `out` for each image NAME.*, with the folders it lies
    in below the folder that was given; of a video NAME/000000.png, … and NAME_overlay.mp4. `classes.csv` there says
    which value and colour each class has.
    """
    found = media.listed(photographs, out)
    _check_places(found, out)
    dataset = load_dataset(WORKFLOW, settings.convention) if settings.convention else None
    devices.prepare(settings.threads)
    device = devices.device_of(settings.device)
    first = checkpoint.load(model[0], trust=settings.trust)
    classes = first.classes
    others = [checkpoint.load(path, classes, settings.trust) for path in model[1:]]
    loaded = [network.to(device) for network in (first, *others)]
    values = class_values(dataset, classes) if dataset else range(len(classes))
    coding = Coding(encoding=dataset.encoding if dataset else "ids")
    default = default_colors(len(classes))
    colors = [settings.colors.get(name, color) for name, color in zip(classes, default, strict=True)]
    maps = inference.of_any_size(inference.ensemble(loaded), settings.batch)
    longest = settings.longest or _trained_at(loaded[0])

    def predicted(shots: Shots) -> Iterator[tuple[str, np.ndarray]]:
        """Writes what is asked for of each image; name and overlay of each."""
        waiting: deque[tuple[str, np.ndarray]] = deque()
        for p in maps(_sized(shots, waiting, settings.size, longest)):
            name, image = waiting.popleft()
            label, *doubt = inference.decided(p, image.shape[:2])
            _write(out / f"{name}.png", labels.encoded(label, values, coding.encoding))
            for map, kind in zip(doubt, ("confidence", "entropy"), strict=True):
                if getattr(settings, kind):
                    _write(out / f"{name}_{kind}.png", np.rint(map * SCALE).astype(np.uint16))
            yield name, figures.overlay(image, label, colors, settings.opacity)

    videos = {name: media.Video(path) for name, path, video in found if video}
    lengths = [video.said for video in videos.values()]
    total = None if None in lengths else len(found) - len(videos) + sum(lengths)
    with progress((), "predict", "image", total) as bar:
        shots = ((name, images.read_image(path)) for name, path, video in found if not video)
        for name, shaded in predicted(shots):
            with atomic.replacing(out / f"{name}_overlay.jpg") as temporary:
                Image.fromarray(shaded).save(temporary, format="JPEG", quality=92)
            bar.update()
        for name, video in videos.items():
            _predict_video(out / f"{name}_overlay.mp4", name, video, predicted, bar.update)
    _write_classes(out / "classes.csv", classes, [labels.spelled(v, coding) for v in values], colors)


def _predict_video(
    path: Path, name: str, video: media.Video, predicted: Callable[[Shots], Iterator], done: Callable
) -> None:
    with atomic.replacing(path) as temporary:
        writer = media.VideoWriter(temporary.with_suffix(".mp4"), video.fps)  # OpenCV goes by the ending
        try:
            for _, shaded in predicted((f"{name}/{i:06d}", frame) for i, frame in enumerate(video)):
                writer.write(shaded)
                done()
        finally:
            writer.close()
        writer.path.rename(temporary)
    if video.said and video.frames < video.said:
        print(f"predict: {video.path}: {video.frames} of {video.said} frames could be read", file=sys.stderr)


def _check_places(found: list[media.Footage], out: Path) -> None:
    """BadInput if a prediction would be written over a photograph or a video."""
    read = {one.path.resolve() for one in found}
    ends = ("_overlay.mp4",), (".png", "_overlay.jpg", "_confidence.png", "_entropy.png")
    for name, _, video in found:
        for end in ends[not video]:
            if (path := out / f"{name}{end}").resolve() in read:
                raise BadInput(f"{path}: it is an input too, and would be lost; write elsewhere")


def _trained_at(model: segmenter.Segmenter) -> int:
    """Longer side of the images that a model was trained with, as its provenance says."""
    said = model.made_by.get("settings", {})
    size = isinstance(said, dict) and (said.get("target_size") or said.get("source_size"))
    whole = isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side >= 16 for side in size)
    return max(size) if whole else LONGEST


def _sized(shots: Shots, waiting: deque, size: tuple[int, int] | None, longest: int) -> Shots:
    """The images as the network sees them; they themselves wait for its answer."""
    for name, image in shots:
        waiting.append((name, image))
        share = min(1, longest / max(image.shape[:2]))
        fitting = tuple(max(1, round(share * side)) for side in image.shape[:2])
        yield name, images.resized(image, size or fitting)


def _write(path: Path, pixels: np.ndarray) -> None:
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        raise BadInput("convention: red with ids above 255 cannot be written; name another convention")
    with atomic.replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary, format="PNG")


def _write_classes(path: Path, classes: tuple[str, ...], values: list[str], colors: list[tuple[int, int, int]]) -> None:
    import pandas as pd  # here: it takes long to import, and the first image is waited for

    rows = [
        {"class": c, "name": name, "value": value, "red": red, "green": green, "blue": blue}
        for c, (name, value, (red, green, blue)) in enumerate(zip(classes, values, colors, strict=True))
    ]
    with atomic.replacing(path) as temporary:
        pd.DataFrame(rows).to_csv(temporary, index=False, lineterminator="\n")
