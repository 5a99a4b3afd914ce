"""Progress of long loops, as a bar in a terminal or as lines in a log, and the last line that a stage prints."""

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
FORMAT = "{desc}: {n_fmt}/{total_fmt} {unit}s, {elapsed} gone, {remaining} left, {rate_fmt}{postfix}"
QUIET = "COTRAIN_QUIET"  # in the environment, so that the processes of a training know it too


class _Lines:
    """A file for tqdm in which each redrawn bar is a line of its own."""

    def write(self, text: str) -> None:
        if text.strip():
            with contextlib.suppress(BrokenPipeError):  # the work goes on if its reader was killed
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
    """Iterate over `items` and show count, rate and remaining time on standard error.

    `what` is done, in items called `unit`; `done` of `total` came before.
    """
    from tqdm import tqdm  # here: it looks up its own version among all packages, a tenth of a stage's start

    if not shown or QUIET in os.environ:
        return tqdm(items, disable=True)
    if sys.stderr.isatty():
        return tqdm(items, what, total, unit=unit, initial=done, dynamic_ncols=True, file=sys.stderr)
    return tqdm(
        items,
        what,
        total,
        unit=unit,
        initial=done,
        file=_Lines(),
        bar_format=FORMAT,
        mininterval=SECONDS_BETWEEN_LINES,
        miniters=1,
    )


def last_line(stage: str, seconds: float, memory: float) -> str:
    """The line by which a stage tells its time and memory (MiB) at its end; `times` reads it."""
    return f"{stage}: {seconds:.1f} s, at most {memory:.0f} MiB of memory"


def times(logs: Path) -> dict[str, tuple[str, float, int]]:
    """Log below a folder, without its ending → stage, seconds, MiB of memory, as `last_line` tells them."""
    jobs = {}
    for path in sorted(logs.rglob("*.log")):
        lines = TIME.findall(path.read_text(encoding="utf-8", errors="replace"))
        if lines:
            stage, seconds, memory = lines[-1]
            name = path.relative_to(logs).with_suffix("").as_posix()
            jobs[name] = (stage, float(seconds), int(memory))
    return jobs
