"""CSV tables, with columns, types and ranges checked."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.files.atomic import replacing, write_sidecar
from cotrain.files.contract import RANGES, TABLES
from cotrain.files.ids import check_ids
from cotrain.settings.types import SUMMARY

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    import pandas as pd

SUMMARY_TEXTS = ("round", "name")  # columns of a summary that hold no numbers


def write_table(path: Path, kind: str, rows: list[dict], made_by: dict) -> None:
    """A CSV table of `TABLES`, with its sidecar. Raises BadInput, also for a text that a CSV file does not keep."""
    import pandas as pd

    columns = TABLES[kind]
    for row in rows:
        for name in _texts(columns):
            text = row.get(name, "")
            if "\r" in text:
                fault = f"{text!r} has a carriage return, which a CSV table does not keep"
                raise BadInput(f"{path}: {fault}; rename the file")
    frame = pd.DataFrame(rows, columns=list(columns))
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, lineterminator="\n")
    write_sidecar(path, made_by)


def read_table(path: Path, kind: str) -> "pd.DataFrame":
    """A CSV table of `TABLES`, its columns, types and ranges checked; an empty text cell is "". Raises BadInput."""
    columns = TABLES[kind]
    frame = read_csv(path, _texts(columns))
    for name in columns:
        if name not in frame:
            names = ", ".join(columns)
            raise BadInput(f"{path}: column {name} is missing; a {kind} table has {names}")
    for name, column_type in columns.items():
        if column_type is not str:
            frame[name] = _numbers(path, frame[name], column_type)
    if kind == "index" and frame.empty:
        raise BadInput(f"{path}: it lists no images; make it again")
    if "image_id" in frame:
        check_ids(frame["image_id"].tolist(), path)
    if "class" in frame:
        positions = list(range(len(frame)))
        if frame["class"].tolist() != positions:
            raise BadInput(f"{path}: column class must count 0, 1, 2, …; make it again")
    return frame


def _texts(columns: dict[str, type]) -> list[str]:
    """Columns of text."""
    return [name for name, column_type in columns.items() if column_type is str]


def read_csv(path: Path, texts: list[str]) -> "pd.DataFrame":
    """A CSV table; the columns `texts` are read as they are, with "" for empty cells. Raises BadInput."""
    import pandas as pd

    try:
        frame = pd.read_csv(
            path,
            dtype=dict.fromkeys(texts, str),
            keep_default_na=False,
            na_values=[""],
            compression=None,
        )
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except Exception as error:  # pandas raises many kinds for a bad file
        broken = BadInput(f"{path}: not a CSV table ({in_short(error)}); make it again")
        raise unreadable(path, error) or broken from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise BadInput(f"{path}: its rows have more cells than its head line; make it again")
    for name in frame:
        if f"{name}.1" in frame:  # as pandas renames the second
            raise BadInput(f"{path}: column {name} occurs twice; make it again")
    return frame.fillna(dict.fromkeys(texts, ""))


def read_summary(path: Path) -> "pd.DataFrame":
    """A table of the summarize stage by round; shares are numbers, NaN where they are not known. Raises BadInput."""
    import pandas as pd

    frame = read_csv(path, list(SUMMARY_TEXTS))
    for name in SUMMARY:
        if name not in frame:
            raise BadInput(f"{path}: column {name} is missing; give a table of the summarize stage")
    columns = [name for name in SUMMARY if name not in SUMMARY_TEXTS]
    numbers = frame[columns].apply(pd.to_numeric, errors="coerce")
    is_text = numbers.isna() & frame[columns].notna()
    if is_text.any(axis=None) or frame["round"].duplicated().any():
        raise BadInput(f"{path}: scores must be numbers and rounds occur once; make it again")
    return frame.assign(**numbers).set_index("round")


def _numbers(path: Path, column: "pd.Series", column_type: type) -> "pd.Series":
    """A column as numbers of a type, in its range."""
    place = f"{path}: column {column.name}"
    wrong_type = BadInput(f"{place} must hold only {column_type.__name__} values; make it again")
    try:
        numbers = column.astype(float)
    except (TypeError, ValueError):
        raise wrong_type from None
    has_fractions = (numbers % 1 != 0).any()
    if not np.isfinite(numbers).all() or (column_type is int and has_fractions):
        raise wrong_type
    if column.name in RANGES:
        low, high = RANGES[column.name]
        is_outside = (numbers < low) | (numbers > high)
        outside = numbers[is_outside].tolist()
        if outside:
            raise BadInput(f"{place} holds {outside[0]}, expected {low} to {high}; make it again")
    return column.astype(column_type)
