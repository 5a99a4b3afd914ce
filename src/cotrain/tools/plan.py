"""Prints what a run will cost before it is paid: jobs, hours, disk, and how long it takes on 1, 2, 4 and 8 GPUs."""

import json
import os
from pathlib import Path
from typing import Annotated

from cotrain.base.roles import POSITIONAL, READ, WRITE
from cotrain.files import atomic, scores
from cotrain.procedure import costs
from cotrain.procedure.plan import Plan
from cotrain.settings.strict import parse
from cotrain.settings.yaml_files import joined, read_plain
from cotrain.tools import calibration


def run(
    config: Annotated[list[Path], READ | POSITIONAL],
    rates: Annotated[Path | None, READ] = None,
    out: Annotated[Path | None, WRITE] = None,
) -> None:
    """CONFIG are config.yaml and the overlays on it, in the order that `snakemake --configfile` gets them.

    The folder `workflow` is looked for beside the first.
    Without `--rates` a few real commands are timed on this machine first; `--out` keeps what they took, for `--rates`.
    """
    contents = {path: read_plain(path) for path in config}
    plan = Plan(joined(contents), config[0].absolute().parent / "workflow")
    rates_of_machine = _read(rates) if rates else calibration.measure(plan)
    lines = list(costs.report(costs.Costs(plan, rates_of_machine), os.cpu_count() or 1))
    if out:
        text = json.dumps(rates_of_machine.model_dump(), indent=1)
        atomic.write_bytes(out, f"{text}\n".encode())
    print("\n".join(lines))


def _read(rates: Path) -> costs.Rates:
    return parse(costs.Rates, scores.read_json(rates), str(rates))
