"""Compares finished runs: scores, hours, what differs in their configs; seeds are averaged."""

from pathlib import Path
from typing import Annotated

from cotrain.base.errors import BadInput
from cotrain.base.roles import LOOKUP, POSITIONAL, READ, WRITE
from cotrain.files import atomic
from cotrain.tools import comparison

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>cotrain: comparison</title><style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em }} table {{ border-collapse: collapse }}
th, td {{ border: 1px solid #999; padding: .3em .6em; text-align: left; white-space: nowrap }}
</style></head><body><h1>Comparison of runs</h1>
{table}
<p>Percent; mean ± sample standard deviation over the n runs that differ in the seed alone.</p></body></html>
"""


def run(
    runs: Annotated[list[Path], READ | LOOKUP | POSITIONAL],
    out: Annotated[Path | None, WRITE] = None,
    markdown: Annotated[Path | None, WRITE] = None,
    html: Annotated[Path | None, WRITE] = None,
    round: str = "",
) -> None:
    """RUNS are folders of results; those that differ in the seed alone are averaged. Prints a table for people.

    `--markdown` and `--html` are that table, `--out` the same as CSV with all digits. `--round` names the round whose
    scores are compared (otherwise the last that is not the upper bound).
    """
    _check_distinct(runs)
    table = comparison.table([comparison.read(folder, round) for folder in runs])
    text = comparison.as_text(table)
    if out:
        with atomic.replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    if markdown:
        lines = text.to_markdown(index=False, disable_numparse=True)
        atomic.write_bytes(markdown, f"{lines}\n".encode())
    if html:
        page = PAGE.format(table=text.to_html(index=False))
        atomic.write_bytes(html, page.encode())
    print(text.T.to_string(header=False))


def _check_distinct(folders: list[Path]) -> None:
    """Raises BadInput if a folder is given twice, under whatever names."""
    resolved = set()
    for folder in folders:
        if folder.resolve() in resolved:
            raise BadInput(f"{folder}: given twice; give each run once")
        resolved.add(folder.resolve())
