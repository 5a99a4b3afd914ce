"""Shows what is in a file: images, classes, thresholds, coverage; with --png also its maps as pictures."""

from pathlib import Path

from PIL import Image

from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.files import atomic
from cotrain.settings.tools import Show
from cotrain.tools import contents


def run(settings: Show, file: Path, png: Path | None = None) -> None:
    """FILE is predictions, pseudo-labels, statistics, pictures or scores, a table or a model of a run.

    `--png` names a folder for the label maps, and what else can be seen, of the images that are listed first.
    """
    exhibit = contents.of(file, settings.images, settings.colors)
    if png and not exhibit.pictures:
        raise BadInput(f"{file}: nothing in it can be pictured; leave out --png")
    print("\n".join(exhibit.lines))
    if png is None:
        return
    pictures = contents.written(exhibit, png)
    for path, pixels in progress(pictures, "show", "picture", len(exhibit.pictures)):
        with atomic.replacing(path) as temporary:
            Image.fromarray(pixels).save(temporary, format="PNG")
