"""Compares finished runs: scores, hours, what differs in their configs; seeds are averaged."""

from pathlib import Path

from cotrain.base.errors import BadInput
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
    runs: list[Path],
    out: Path | None = None,
    markdown: Path | None = None,
    html: Path | None = None,
    round: str = "",
) -> None:
    """RUNS are folders of results; those that differ in the seed alone are averaged. Prints a table for people.

    `--markdown` and `--html` are that table, `--out` the same as CSV with all digits. `--round` names the round whose
    scores are compared (otherwise the last that is not the upper bound).
    """
    if twice := [path for path in runs if sum(path.resolve() == other.resolve() for other in runs) > 1]:
        raise BadInput(f"{twice[0]}: given twice; give each run once")
    frame = comparison.table([comparison.read(path, round) for path in runs])
    text = comparison.shown(frame)
    if out:
        with atomic.replacing(out) as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")
    if markdown:
        atomic.write_bytes(markdown, (text.to_markdown(index=False, disable_numparse=True) + "\n").encode())
    if html:
        atomic.write_bytes(html, PAGE.format(table=text.to_html(index=False)).encode())
    print(text.T.to_string(header=False))
