"""Progress of long loops, a bar in a terminal or a plain line now and then in a log; and the last line of a stage."""

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10
TIME = re.compile(r"^(\w+): (\d+\.\d) s, at most (\d+) MiB of memory$", re.MULTILINE)
QUIET = "COTRAIN_QUIET"  # in the environment, so that processes of a training know it too


class _Lines:
    """Turns tqdm's redrawn bar into lines of their own."""

    def write(self, text: str) -> None:
        if text.strip():
            with contextlib.suppress(BrokenPipeError):  # a killed reader must not end the work
                sys.stderr.write(text.strip("\r\n") + "\n")

    def flush(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            sys.stderr.flush()


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Within it, no progress is shown."""
    before = os.environ.get(QUIET)
    os.environ[QUIET] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[QUIET]


def progress(
    items: Iterable, what: str, unit: str, total: int | None = None, done: int = 0, shown: bool = True
) -> "tqdm":
    """Iterate over `items` showing count, rate and the time left on standard error; `done` of `total` came before."""
    from tqdm import tqdm  # here: it looks up its own version among all packages, a tenth of a stage's start

    if not shown or QUIET in os.environ:
        return tqdm(items, disable=True)
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit=unit, initial=done, dynamic_ncols=True, file=sys.stderr)
    form = "{desc}: {n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} left, {rate_fmt}{postfix}"
    return tqdm(
        items,
        what,
        total,
        unit=unit,
        initial=done,
        file=_Lines(),
        bar_format=form,
        mininterval=SECONDS_BETWEEN_LINES,
        miniters=1,
    )


def last_line(stage: str, seconds: float, memory: float) -> str:
    """What a stage says at its end of its time and memory (MiB)."""
    return f"{stage}: {seconds:.1f} s, at most {memory:.0f} MiB of memory"


def times(logs: Path) -> dict[str, tuple[str, float, int]]:
    """Log below a folder, without its ending → stage, seconds, MiB of memory, of the jobs that said so at their end."""
    found = {}
    for path in sorted(logs.rglob("*.log")):
        if said := TIME.findall(path.read_text(encoding="utf-8", errors="replace")):
            stage, seconds, memory = said[-1]
            found[path.relative_to(logs).with_suffix("").as_posix()] = (stage, float(seconds), int(memory))
    return found
