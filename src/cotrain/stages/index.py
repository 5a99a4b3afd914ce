"""Lists the images of a dataset, and their labels where they may be used, as an index table."""

from pathlib import Path

from cotrain.data import datasets
from cotrain.files import store
from cotrain.settings.stages import Index


def run(settings: Index, root: Path, out: Path, made_by: dict) -> None:
    store.write_table(out, "index", datasets.index(root, settings), made_by)
