"""Prints what a run will cost before it is paid: jobs, hours, disk, and how long it takes on 1, 2, 4 and 8 GPUs."""

import json
import os
from pathlib import Path

from cotrain import calibration, costs, plain, store
from cotrain.config import read_plain
from cotrain.errors import BadInput
from cotrain.plan import Plan
from cotrain.settings import parse


def run(config: list[Path], rates: Path | None = None, out: Path | None = None) -> None:
    """CONFIG are config.yaml and the overlays on it, in the order that `snakemake --configfile` gets them.

    The folder `workflow` is looked for beside the first.
    Without `--rates` a few real commands are timed on this machine first; `--out` keeps what they took, for `--rates`.
    """
    plan = Plan(merged(config), config[0].absolute().parent / "workflow")
    found = parse(costs.Rates, _json(rates), str(rates)) if rates else calibration.measure(plan)
    lines = list(costs.report(costs.Costs(plan, found), os.cpu_count() or 1))
    if out:
        store.write_bytes(out, (json.dumps(found.model_dump(), indent=1) + "\n").encode())
    print("\n".join(lines))


def merged(files: list[Path]) -> dict:
    """The config that Snakemake makes of several files: the later one wins, section by section."""
    config: dict = {}
    for file in files:
        content = read_plain(file)
        if not isinstance(content, dict):
            raise BadInput(f"{file}: not a config, which has keys and values; give config.yaml first, then overlays")
        _update(config, content)
    return config


def _update(config: dict, changes: dict) -> None:
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            _update(config[key], value)
        else:
            config[key] = value


def _json(path: Path) -> object:
    try:
        return plain.from_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: not JSON ({error}); give what `cotrain plan --out` wrote") from None
