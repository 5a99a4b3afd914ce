"""Declares that the changes of cotrain's code since the files of a run were made do not matter to them."""

from pathlib import Path
from typing import Annotated

from cotrain.base.roles import LOOKUP, POSITIONAL, READ
from cotrain.reruns import lineage


def run(folder: Annotated[Path, READ | LOOKUP | POSITIONAL]) -> None:
    """`snakemake` will not make them again for that; their own provenance keeps the code that really made them."""
    lineage.check_folder(folder)
    print(f"accepted: {lineage.accept(folder)} files made by other code")
