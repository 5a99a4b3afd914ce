"""Scores and measures as JSON."""

import json
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, Field, model_validator

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.files.atomic import write_bytes, write_sidecar
from cotrain.files.contract import FORMAT_VERSION
from cotrain.settings.strict import parse
from cotrain.settings.types import Names, Share

Pixels = Annotated[int, Field(ge=0)]


class Metrics(BaseModel, defer_build=True):
    """The part of an evaluation's file that other stages read."""

    classes: Names
    miou: Share | None
    iou: tuple[Share | None, ...]
    confusion: tuple[tuple[Pixels, ...], ...] = ()

    @model_validator(mode="after")
    def _one_per_class(self) -> Self:
        count = len(self.classes)
        if len(self.iou) != count:
            raise ValueError(f"{len(self.iou)} values of iou for {count} classes")
        lengths = {len(self.confusion), *map(len, self.confusion)}
        if self.confusion and lengths != {count}:
            raise ValueError(f"confusion is not {count} rows of {count} numbers")
        return self


class Measured(BaseModel, defer_build=True):
    """The part of a measure's file that other stages read."""

    images: Annotated[int, Field(ge=0)] = 0
    coverage: Share
    accuracy: Share | None
    precision: tuple[Share | None, ...] = ()


SCORES = {"metrics": Metrics, "measure": Measured}


def write_json(path: Path, kind: str, content: dict, made_by: dict) -> None:
    """A new JSON file of a `kind` of `SCORES`, with its sidecar. Raises BadInput if it cannot be written."""
    whole = {
        "format": f"cotrain-{kind}",
        "version": FORMAT_VERSION,
        **content,
        "provenance": made_by,
    }
    text = json.dumps(whole, indent=1)
    write_bytes(path, (text + "\n").encode())
    write_sidecar(path, made_by)


def read_json(path: Path, kind: str | None = None) -> dict:
    """Content of a JSON file; that of a `kind` is checked. Raises BadInput."""
    try:
        content = strict_json.from_json(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except (OSError, ValueError, MemoryError) as error:
        broken = BadInput(f"{path}: not JSON ({in_short(error)}); make it again")
        raise unreadable(path, error) or broken from None
    if kind is None:
        return content
    return _checked(path, content, kind)


def _checked(path: Path, content: object, kind: str) -> dict:
    expected = f"cotrain-{kind}"
    if not isinstance(content, dict) or content.get("format") != expected:
        raise BadInput(f"{path}: not a {expected} file; give the file of that stage")
    version = content.get("version")
    if version != FORMAT_VERSION:
        raise BadInput(f"{path}: format version {version}, this code reads {FORMAT_VERSION}; make it again")
    scores = parse(SCORES[kind], content, str(path))
    return content | scores.model_dump()
