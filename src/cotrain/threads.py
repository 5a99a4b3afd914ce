"""Work for a second processor core."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def prepared(make: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """`make(item)` of each item in order, made by another thread while the one before is used.

    What `make` raises is raised here, in its turn. One result is ahead at most.
    """
    from concurrent.futures import ThreadPoolExecutor  # here: most stages do without

    with ThreadPoolExecutor(1) as helper:
        later = None
        for item in items:
            now, later = later, helper.submit(make, item)
            if now:
                yield now.result()
        if later:
            yield later.result()
