"""How any file of this project was made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from cotrain.base import strict_json
from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.sidecars import kept

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass
from cotrain.files.hdf5 import open_hdf5
from cotrain.files.scores import read_json


def read_provenance(path: Path) -> dict[str, Any]:
    """Provenance of any file this project made."""
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    if path.suffix == ".h5":
        with open_hdf5(path) as file, file.blamed():
            return strict_json.from_json(file.attrs["provenance"])
    if path.suffix == ".json":
        content = read_json(path)
        if not isinstance(content, dict) or "provenance" not in content:
            raise BadInput(f"{path}: nothing is known of how it was made; was it made by cotrain?")
        return content["provenance"]
    if (found := kept(path)) is None:
        raise BadInput(f"{path}: nothing is known of how it was made; was it made by cotrain?")
    if found["sha256"] != sha256(path):
        raise BadInput(f"{path}: it was changed after it was made; delete it and run snakemake")
    return found["provenance"]
