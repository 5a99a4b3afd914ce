"""JSON text, and data from YAML, that may come from anyone: no key twice, nothing endless, no odd numbers."""

import json
import math
from collections.abc import Hashable, Iterable, Iterator

MAX_VALUES = 200_000
MAX_DEPTH = 50
MAX_INTEGER = 2**63

Keys = tuple[str, ...]  # that lead to a value


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
    waiting: list[tuple[object, Keys]] = [(data, ())]
    count = 0
    while waiting:
        value, keys = waiting.pop()
        count += 1
        if count > MAX_VALUES:
            raise ValueError(f"more than {MAX_VALUES:,} values; is it the right file?")
        if len(keys) > MAX_DEPTH:
            raise ValueError(f"{'.'.join(keys[:3])}…: nested more than {MAX_DEPTH} deep; write it flat")
        _check_number(value, keys)
        for key, item in _items(value):
            waiting.append((item, (*keys, str(key))))


def _check_number(value: object, keys: Keys) -> None:
    place = ".".join(keys)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{place}: {value} is not a finite number; give one")
    if isinstance(value, int) and abs(value) >= MAX_INTEGER:
        raise ValueError(f"{place}: a number of {value.bit_length()} bits; give one below 2^63")


def _items(value: object) -> Iterator[tuple[object, object]]:
    """(key, value) of what is within a dictionary or a list."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)
