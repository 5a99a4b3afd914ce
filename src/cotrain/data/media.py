"""A person's own photographs, folders of them, and videos: what there is, and its pictures one by one."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.base.patterns import matching
from cotrain.data import images

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
FPS = 25  # of a video that does not say


class Footage(NamedTuple):
    """A photograph or a video, and the name of its predictions: that of the file, below the folder that was given."""

    name: str
    path: Path
    video: bool


def listed(given: list[Path], out: Path) -> list[Footage]:
    """Photographs and videos that are given, or lie in folders that are given, by name; what is below `out` is not.

    Of files in folders the ending decides, so that notes and tables may lie beside photographs; what is given itself
    must be one. BadInput for what is missing, cannot be read, or would be written to the same place as another.
    """
    found = [footage for path in given for footage in _in(path, out)]
    names: dict[str, Path] = {}
    for name, path, video in found:
        if name in names:
            raise BadInput(f"{path}: {names[name]} has the same name, {name}; predict them into different folders")
        names[name] = path
        if not video:
            images.size(path, images.PHOTOGRAPHS)
    for name, path, _ in found:
        if clash := [str(folder) for folder in Path(name).parents if str(folder) in names]:
            raise BadInput(f"{path}: {clash[0]} is also the name of {names[clash[0]]}; rename one of them")
    return found


def _in(path: Path, out: Path) -> list[Footage]:
    try:
        there = path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise BadInput(f"{path}: cannot be read ({error.strerror}); check the path") from None
    if not path.is_dir():
        if not there:
            raise BadInput(f"{path}: no such file or folder; check the path")
        if not path.is_file():
            raise BadInput(f"{path}: a device, expected a photograph, a video or a folder of them")
        return [Footage(path.stem, path, path.suffix.lower() in VIDEOS)]
    Image.init()
    photographs = {end for end, kind in Image.registered_extensions().items() if kind in images.FORMATS}
    below = sorted(Path(name) for name, _ in matching(path, "{id}"))
    chosen = [name for name in below if name.suffix.lower() in {*photographs, *VIDEOS} and (path / name).is_file()]
    kept = [name for name in chosen if out.resolve() not in (path / name).resolve().parents]
    if not kept:
        raise BadInput(f"{path}: no photograph or video in this folder; give files that end in .jpg, .png, .mp4, …")
    return [Footage(name.with_suffix("").as_posix(), path / name, name.suffix.lower() in VIDEOS) for name in kept]


class Video:
    """An open video; its frames as sRGB (H, W, 3) uint8, upright."""

    def __init__(self, path: Path):
        self.path, self.frames = path, 0
        # A whole path is never taken for a camera or an address.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise BadInput(f"{path}: not a readable video; convert it to MP4, or replace it")
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.said = int(count) if 0 < count < 1e9 else None  # frames by its head
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(Fraction(fps).limit_denominator(1001)) if 0 < fps < 1000 else FPS

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            there, frame = self._capture.read()
            if not there:
                break
            self.frames += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()
        if not self.frames:
            raise BadInput(f"{self.path}: no frame of it can be read; convert it to MP4, or replace it")


class VideoWriter:
    """Writes sRGB frames (H, W, 3) uint8 of one size into a new MP4 file."""

    def __init__(self, path: Path, fps: float):
        self.path, self.fps, self._writer = path, fps, None

    def write(self, frame: np.ndarray) -> None:
        if self._writer is None:
            size, code = frame.shape[1::-1], cv2.VideoWriter_fourcc(*"mp4v")
            self._writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, code, self.fps, size)
            if not self._writer.isOpened():
                raise BadInput(f"{self.path}: OpenCV cannot write a video of {size[0]}×{size[1]}; predict its frames")
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self._writer:
            self._writer.release()
