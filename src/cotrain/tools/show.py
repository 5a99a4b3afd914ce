"""Shows what is in a file: images, classes, thresholds, coverage; with --png also its maps as pictures."""

from pathlib import Path
from typing import Annotated

from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import FOLDER, LOOKUP, POSITIONAL, READ, WRITE
from cotrain.files import atomic
from cotrain.settings.tools import Show
from cotrain.tools import contents


def run(
    settings: Show,
    file: Annotated[Path, READ | LOOKUP | POSITIONAL],
    png: Annotated[Path | None, WRITE | FOLDER] = None,
) -> None:
    """FILE is predictions, pseudo-labels, statistics, pictures or scores, a table or a model of a run.

    `--png` names a folder for the label maps, and what else can be seen, of the images that are listed first.
    """
    contents_of_file = contents.of(file, settings.images, settings.colors)
    count = len(contents_of_file.pictures)
    if png and not count:
        raise BadInput(f"{file}: nothing in it can be pictured; leave out --png")
    print("\n".join(contents_of_file.lines))
    if png is None:
        return
    pictures = contents.pictures(contents_of_file, png)
    for path, pixels in progress(pictures, "show", "picture", count):
        with atomic.replacing(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
