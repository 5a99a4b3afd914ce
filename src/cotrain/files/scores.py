"""Scores and measures as JSON."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, Field, model_validator

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.settings.strict import parse
from cotrain.settings.types import Names, Share

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    pass
from cotrain.files.atomic import write_bytes, write_sidecar
from cotrain.files.contract import FORMAT_VERSION


class Metrics(BaseModel, defer_build=True):
    """What other stages read of the file of an evaluation."""

    classes: Names
    miou: Share | None
    iou: tuple[Share | None, ...]
    confusion: tuple[tuple[Annotated[int, Field(ge=0)], ...], ...] = ()

    @model_validator(mode="after")
    def _one_per_class(self) -> Self:
        if len(self.iou) != len(self.classes):
            raise ValueError(f"{len(self.iou)} values of iou for {len(self.classes)} classes")
        if self.confusion and {len(self.confusion), *map(len, self.confusion)} != {len(self.classes)}:
            raise ValueError(f"confusion is not {len(self.classes)} rows of {len(self.classes)} numbers")
        return self


class Measured(BaseModel, defer_build=True):
    """What other stages read of the file of a measure."""

    images: Annotated[int, Field(ge=0)] = 0
    coverage: Share
    accuracy: Share | None
    precision: tuple[Share | None, ...] = ()


SCORES = {"metrics": Metrics, "measure": Measured}


def write_json(path: Path, kind: str, content: dict, made_by: dict) -> None:
    head = {"format": f"cotrain-{kind}", "version": FORMAT_VERSION}
    text = json.dumps(head | content | {"provenance": made_by}, indent=1)
    write_bytes(path, (text + "\n").encode())
    write_sidecar(path, made_by)


def read_json(path: Path, kind: str | None = None) -> dict:
    """Content of a JSON file; of a `kind`, with what other stages read of it checked."""
    try:
        content = strict_json.from_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError, MemoryError) as error:
        broken = BadInput(f"{path}: not JSON ({in_short(error)}); make it again")
        raise unreadable(path, error) or broken from None
    if kind is None:
        return content
    if not isinstance(content, dict) or content.get("format") != f"cotrain-{kind}":
        raise BadInput(f"{path}: not a cotrain-{kind} file; give the file of that stage")
    if content.get("version") != FORMAT_VERSION:
        raise BadInput(f"{path}: format version {content.get('version')}, this code reads {FORMAT_VERSION}")
    return content | parse(SCORES[kind], content, str(path)).model_dump()
