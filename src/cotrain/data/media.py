"""A person's own photographs and videos: which there are, and their images one by one."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from cotrain.base.errors import BadInput, unreadable
from cotrain.base.patterns import matching
from cotrain.data import decoding
from cotrain.data.images import PHOTOGRAPHS

VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm")
FPS = 25  # of a video that does not say


class Footage(NamedTuple):
    """A photograph or a video, and the name of its predictions: that of the file, from the folder that was given on."""

    name: str
    path: Path
    video: bool


def listed(paths: list[Path], out: Path) -> list[Footage]:
    """Photographs and videos that are given or lie in given folders, by name; those below `out` are left out.

    In folders the ending of a file decides, so that notes and tables may lie beside photographs; a given file must be
    a photograph or a video. Raises BadInput for what is missing, cannot be read, or would be written to the same place
    as another.
    """
    media = []
    for path in paths:
        media += _listed_in(path, out)
    _check_names(media)
    return media


def _check_names(media: list[Footage]) -> None:
    """BadInput if the predictions of two would be written to one place, or a photograph cannot be read."""
    paths: dict[str, Path] = {}
    for name, path, is_video in media:
        if name in paths:
            raise BadInput(f"{path}: {paths[name]} has the same name, {name}; predict them into different folders")
        paths[name] = path
        if not is_video:
            decoding.size(path, PHOTOGRAPHS)
    for name, path, _ in media:
        for folder in map(str, Path(name).parents):
            if folder in paths:
                raise BadInput(f"{path}: {folder} is also the name of {paths[folder]}; rename one of them")


def _listed_in(path: Path, out: Path) -> list[Footage]:
    """The media in a folder, or the one that a file is."""
    try:
        exists = path.exists()
        is_folder = path.is_dir()
    except OSError as error:  # a name that is too long, a folder that may not be entered
        too_long = BadInput(f"{path}: cannot be read ({error.strerror}); check the path")
        raise unreadable(path, error) or too_long from None
    if is_folder:
        return _in_folder(path, out)
    if not exists:
        raise BadInput(f"{path}: no such file or folder; check the path")
    if not path.is_file():
        raise BadInput(f"{path}: a device, expected a photograph, a video or a folder of them")
    return [Footage(path.stem, path, path.suffix.lower() in VIDEOS)]


def _in_folder(folder: Path, out: Path) -> list[Footage]:
    endings = {*_photograph_endings(), *VIDEOS}
    output = out.resolve()
    names = [Path(name) for name, _ in matching(folder, "{id}")]
    media = []
    for name in sorted(names):
        ending = name.suffix.lower()
        path = folder / name
        is_medium = ending in endings and path.is_file()
        if is_medium and output not in path.resolve().parents:
            stem = name.with_suffix("").as_posix()
            media.append(Footage(stem, path, ending in VIDEOS))
    if not media:
        remedy = "give files that end in .jpg, .png, .mp4, …"
        raise BadInput(f"{folder}: no photograph or video in this folder; {remedy}")
    return media


def _photograph_endings() -> list[str]:
    Image.init()  # registers the formats that Pillow knows
    endings = []
    for ending, name in Image.registered_extensions().items():
        if name in decoding.FORMATS:
            endings.append(ending)
    return endings


class Video:
    """An open video; its frames as sRGB (H, W, 3) uint8, upright. Raises BadInput."""

    def __init__(self, path: Path):
        self.path = path
        self.frames = 0  # that were read
        # OpenCV takes other names than a whole path for a camera or an address.
        self._capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
        if not self._capture.isOpened():
            raise BadInput(f"{path}: not a readable video; convert it to MP4, or replace it")
        self.said = self._frame_count()
        self.fps = self._frame_rate()

    def _frame_count(self) -> int | None:
        """Frames by the head of the file; None if it does not say."""
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        return int(count) if 0 < count < 1e9 else None

    def _frame_rate(self) -> float:
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        if not 0 < rate < 1000:
            return FPS
        return float(Fraction(rate).limit_denominator(1001))  # as 30000/1001

    def __iter__(self) -> Iterator[np.ndarray]:
        while True:
            is_read, frame = self._capture.read()
            if not is_read:
                break
            self.frames += 1
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        self._capture.release()
        if not self.frames:
            raise BadInput(f"{self.path}: no frame of it can be read; convert it to MP4, or replace it")


class VideoWriter:
    """Writes sRGB frames (H, W, 3) uint8 of one size into a new MP4 file. Raises BadInput."""

    def __init__(self, path: Path, fps: float):
        self.path = path
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None  # made when the first frame gives the size

    def write(self, frame: np.ndarray) -> None:
        if self._writer is None:
            height, width = frame.shape[:2]
            self._writer = self._open(height, width)
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))

    def _open(self, height: int, width: int) -> cv2.VideoWriter:
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self.path), cv2.CAP_FFMPEG, codec, self.fps, (width, height))
        if not writer.isOpened():
            raise BadInput(f"{self.path}: OpenCV cannot write a video of {width}×{height}; predict its frames")
        return writer

    def close(self) -> None:
        if self._writer:
            self._writer.release()
