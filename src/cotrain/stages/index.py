"""Lists the images of a dataset, and their labels where they may be used, as an index table."""

from pathlib import Path

from cotrain.data import indexing
from cotrain.files import tables
from cotrain.settings.datasets import Index


def run(settings: Index, root: Path, out: Path, made_by: dict) -> None:
    tables.write_table(out, "index", indexing.index(root, settings), made_by)
