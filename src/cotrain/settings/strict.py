"""Settings that are checked strictly: unknown keys and other types are errors, told in one line each."""

import json
import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from cotrain.base import strict_json
from cotrain.base.errors import BadInput, in_short

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # it would look for some in every package there is
MAX_BYTES = 1_000_000  # of a file of settings


class Strict(BaseModel):
    """Unknown keys are errors; so are values of another type, except that 5.0 is 5."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _numbers_are_numbers(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool | str) and _is_number(cls.model_fields[info.field_name].annotation):
            raise ValueError("input should be a number")
        return value


def _is_number(annotation: object) -> bool:
    """int or float, with or without bounds, or null."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return {get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds} <= {int, float, NoneType}


def parse(kind: type[Strict], data: object, where: str) -> Strict:
    """Check `data` against the settings class `kind`; every fault becomes one line of one BadInput."""
    try:
        strict_json.check(data)
        return kind.model_validate(data)
    except ValidationError as error:
        raise BadInput(*(_line(kind, fault, where) for fault in _first_hand(error.errors()))) from None
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def parse_json(kind: type[Strict], text: str) -> Strict:
    """Settings from `--settings`: JSON text, or the path of a JSON file."""
    source = text
    try:
        if not text.lstrip().startswith("{"):
            source = read_text(Path(text))
        data = strict_json.from_json(source)
    except OSError as error:
        raise BadInput(f"--settings {text}: cannot be read ({error.strerror}); give JSON text or a file") from None
    except ValueError as error:
        why = in_short(error)
        raise BadInput(f"--settings: not JSON ({why}); give text like '{{\"count\": 5}}' or a file") from None
    return parse(kind, data, "--settings")


def read_text(path: Path) -> str:
    """Text of a file that a person wrote. Raises OSError or ValueError; what never ends, like a device, is no file."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    return path.read_text(encoding="utf-8")


def _first_hand(faults: list[dict]) -> list[dict]:
    """Without lists that are too short only because an item of theirs is at fault."""
    first_hand = []
    for fault in faults:
        place = fault["loc"]
        inside = [other for other in faults if other is not fault and other["loc"][: len(place)] == place]
        if fault["type"] != "too_short" or not inside:
            first_hand.append(fault)
    return first_hand


def _line(kind: type[Strict], fault: dict, where: str) -> str:
    path = ".".join(str(part) for part in fault["loc"])
    place = f"{where}: {path}" if path else where
    if fault["type"] == "extra_forbidden":
        return f"{place}: unknown key{_did_you_mean(kind, fault['loc'])}"
    if fault["type"] == "missing":
        return f"{place}: missing; add this key"
    got, message = json.dumps(fault["input"], default=str), fault["msg"].removeprefix("Value error, ")
    return f"{place}: {message[0].lower()}{message[1:]}, got {got[:80]}"


def _did_you_mean(kind: type[Strict], location: tuple) -> str:
    from difflib import get_close_matches

    for part in location[:-1]:
        annotation = getattr(kind.model_fields.get(str(part)), "annotation", None)
        models = [k for k in (annotation, *get_args(annotation)) if isinstance(k, type) and issubclass(k, BaseModel)]
        if not models:
            return "; see config.yaml for the keys there are"
        kind = models[0]
    names = [field.alias or name for name, field in kind.model_fields.items()]
    close = get_close_matches(str(location[-1]), names, 1)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(names)}"
