"""Lists the images of a dataset, and their labels where they may be used, as an index table."""

from pathlib import Path
from typing import Annotated

from cotrain.base.roles import LOOKUP, READ, WRITE
from cotrain.data import indexing
from cotrain.files import tables
from cotrain.settings.datasets import Index


def run(settings: Index, root: Annotated[Path, READ | LOOKUP], out: Annotated[Path, WRITE], made_by: dict) -> None:
    tables.write_table(out, "index", indexing.index(root, settings), made_by)
