"""CSV tables, with columns, types and ranges checked."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cotrain.base.errors import BadInput, in_short, unreadable
from cotrain.settings.types import SUMMARY

if TYPE_CHECKING:  # pandas is imported where a table is read or written: it takes a third of a stage's start
    import pandas as pd
from cotrain.files.atomic import replacing, write_sidecar
from cotrain.files.contract import RANGES, TABLES
from cotrain.files.ids import check_ids


def write_table(path: Path, kind: str, rows: list[dict], made_by: dict) -> None:
    """A CSV table of `TABLES`, with its provenance beside it. BadInput for a text that a CSV file does not keep."""
    import pandas as pd

    texts = [name for name, type_ in TABLES[kind].items() if type_ is str]
    for text in (row.get(name, "") for row in rows for name in texts):
        if "\r" in text:
            raise BadInput(f"{path}: {text!r} has a carriage return, which a CSV table does not keep; rename the file")
    with replacing(path) as temporary:
        pd.DataFrame(rows, columns=list(TABLES[kind])).to_csv(temporary, index=False, lineterminator="\n")
    write_sidecar(path, made_by)


def read_table(path: Path, kind: str) -> "pd.DataFrame":
    """A CSV table of `TABLES`, with its columns, types and ranges checked; an empty text cell is ""."""
    columns = TABLES[kind]
    frame = read_csv(path, [name for name, type_ in columns.items() if type_ is str])
    if missing := [name for name in columns if name not in frame]:
        raise BadInput(f"{path}: column {missing[0]} is missing; a {kind} table has {', '.join(columns)}")
    for name, type_ in columns.items():
        if type_ is not str:
            frame[name] = _numbers(path, frame[name], type_)
    if kind == "index" and frame.empty:
        raise BadInput(f"{path}: it lists no images; make it again")
    if "image_id" in frame:
        check_ids(frame["image_id"].tolist(), path)
    if "class" in frame and frame["class"].tolist() != list(range(len(frame))):
        raise BadInput(f"{path}: column class must count 0, 1, 2, …; make it again")
    return frame


def read_csv(path: Path, text: list[str]) -> "pd.DataFrame":
    """A CSV table; the columns `text` are read as they are, with "" for empty cells."""
    import pandas as pd

    try:
        types = dict.fromkeys(text, str)
        frame = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""], compression=None)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run the stage that makes it") from None
    except Exception as error:  # pandas raises many kinds for a bad file
        broken = BadInput(f"{path}: not a CSV table ({in_short(error)}); make it again")
        raise unreadable(path, error) or broken from None
    if not isinstance(frame.index, pd.RangeIndex):
        raise BadInput(f"{path}: its rows have more cells than its head line; make it again")
    if twice := [name for name in frame if f"{name}.1" in frame]:
        raise BadInput(f"{path}: column {twice[0]} occurs twice; make it again")
    return frame.fillna(dict.fromkeys(text, ""))


def read_summary(path: Path) -> "pd.DataFrame":
    """A table of the summarize stage by round; its shares are numbers, NaN where they are not known."""
    import pandas as pd

    frame = read_csv(path, ["round", "name"])
    if missing := [column for column in SUMMARY if column not in frame]:
        raise BadInput(f"{path}: column {missing[0]} is missing; give a table of the summarize stage")
    numbers = frame[[column for column in SUMMARY if column not in ("round", "name")]].apply(
        pd.to_numeric, errors="coerce"
    )
    if (numbers.isna() & frame[numbers.columns].notna()).any(axis=None) or frame["round"].duplicated().any():
        raise BadInput(f"{path}: scores must be numbers and rounds occur once; make it again")
    return frame.assign(**numbers).set_index("round")


def _numbers(path: Path, column: "pd.Series", type_: type) -> "pd.Series":
    low, high = RANGES.get(column.name, (-np.inf, np.inf))
    try:
        numbers = column.astype(float)
        if not np.isfinite(numbers).all() or (type_ is int and (numbers % 1 != 0).any()):
            raise ValueError
    except (TypeError, ValueError):
        raise BadInput(f"{path}: column {column.name} must hold only {type_.__name__} values; make it again") from None
    if outside := numbers[(numbers < low) | (numbers > high)].tolist():
        raise BadInput(f"{path}: column {column.name} holds {outside[0]}, expected {low} to {high}; make it again")
    return column.astype(type_)
