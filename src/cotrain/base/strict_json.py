"""JSON text, and data from YAML, that may come from anyone: nothing said twice, nothing endless, no odd numbers."""

import json
import math
from collections.abc import Hashable, Iterable

MAX_VALUES = 200_000
MAX_DEPTH = 50
MAX_INTEGER = 2**63


def from_json(text: str | bytes) -> object:
    """Data of a JSON text. Raises ValueError, also for a key that occurs twice and for endless brackets."""
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _once(pairs: list[tuple[str, object]]) -> dict:
    refuse_twice(key for key, _ in pairs)
    return dict(pairs)


def refuse_twice(keys: Iterable[Hashable]) -> None:
    """ValueError for a key that occurs twice: the later value would silently win."""
    seen = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"key {key!r} occurs twice")
        seen.add(key)


def check(data: object) -> None:
    """ValueError unless `data` is a reasonable number of finite values, not nested too deeply.

    A few lines of YAML that refer to each other stand for billions of values ("billion laughs"); each reference counts.
    """
    todo, count = [(data, ())], 0
    while todo:
        value, path = todo.pop()
        count += 1
        if count > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values; is it the right file?")
        if len(path) > MAX_DEPTH:
            raise ValueError(f"{'.'.join(path[:3])}…: nested more than {MAX_DEPTH} deep; write it flat")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{'.'.join(path)}: {value} is not a finite number; give one")
        if isinstance(value, int) and abs(value) >= MAX_INTEGER:
            raise ValueError(f"{'.'.join(path)}: a number of {value.bit_length()} bits; give one below 2^63")
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            todo.append((item, (*path, str(key))))
