"""Prints what made a file: stage, settings, inputs with their hashes, version of the code."""

import json
from pathlib import Path

from cotrain import store


def run(file: Path) -> None:
    if file.suffix == ".pt":
        from cotrain import models

        made_by = models.read(file)["provenance"]
    else:
        made_by = store.read_provenance(file)
    print(json.dumps(made_by, indent=2))
