"""The provenance of any file that this project made, from inside the file where its format holds it."""

from pathlib import Path
from typing import Any

from cotrain.base import strict_json
from cotrain.base.errors import BadInput
from cotrain.files.hashes import sha256
from cotrain.files.hdf5 import open_hdf5
from cotrain.files.scores import read_json
from cotrain.files.sidecars import kept


def read_provenance(path: Path) -> dict[str, Any]:
    """Provenance of a file or folder. Raises BadInput."""
    if not path.exists():
        raise BadInput(f"{path}: no such file; check the path")
    if path.suffix == ".h5":
        with open_hdf5(path) as file, file.blamed():
            return strict_json.from_json(file.attrs["provenance"])
    unknown = BadInput(f"{path}: nothing is known of how it was made; was it made by cotrain?")
    if path.suffix == ".json":
        content = read_json(path)
        if not isinstance(content, dict) or "provenance" not in content:
            raise unknown
        return content["provenance"]
    content = kept(path)
    if content is None:
        raise unknown
    if content["sha256"] != sha256(path):
        raise BadInput(f"{path}: it was changed after it was made; delete it and run snakemake")
    return content["provenance"]
