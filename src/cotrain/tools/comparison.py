"""Finished runs side by side: their scores, what they took and what differs in their configs; seeds as one row."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from cotrain.base.errors import BadInput
from cotrain.base.progress import times
from cotrain.files import tables
from cotrain.reruns.tickets import WITHOUT_EFFECT, config_of
from cotrain.settings.types import SUMMARY

UPPER_BOUND = "upper_bound"
PLACES = {"run", "results", "data.root"}  # keys that say where, and not what
NETWORK = ("train", "infer", "evaluate")  # stages that take a GPU where there is one


class Run(NamedTuple):
    """What is known of a finished run."""

    name: str
    round: str
    scores: dict[str, float]  # miou and gap_closed, shares
    iou: dict[str, float]  # class → share; the label set's further means too
    config: dict[str, object]  # dotted key → value, as far as its jobs read it
    hours: float | None  # of all jobs; None if not known of each
    network_hours: float | None  # of jobs with a network


def read(folder: Path, round: str = "") -> Run:
    """A run from its folder; scores are those of `round`, by default of the last model that is not the upper bound."""
    path = folder / "summary.csv"
    if not path.is_file():
        raise BadInput(f"{folder}: it has no summary.csv; give the folder of a finished run with a validation set")
    table = tables.read_summary(path)
    known = [name for name in table.index if name != UPPER_BOUND]
    chosen = round or (known[-1] if known else "none")
    if chosen not in table.index:
        raise BadInput(f"{path}: no row of the round {chosen}; there are: {', '.join(table.index)}")
    try:
        values = table.loc[chosen].drop("name").astype(float).to_dict()
    except ValueError:
        raise BadInput(f"{path}: the row of {chosen} holds what is no number; make it again") from None
    scores = {name: values.pop(name) for name in SUMMARY[2:]}
    took = _hours(folder)
    return Run(folder.resolve().name, chosen, scores, values, config_of(folder), *took)


def _hours(folder: Path) -> tuple[float | None, float | None]:
    """Of all jobs, and of those with a network, by the last line of their logs; None if one does not say."""
    logs = folder / "logs"
    found = times(logs)
    if not found or len(found) < len(list(logs.rglob("*.log"))):
        return None, None
    network = [seconds for stage, seconds, _ in found.values() if stage in NETWORK]
    return sum(seconds for _, seconds, _ in found.values()) / 3600, sum(network) / 3600


def table(runs: list[Run]) -> pd.DataFrame:
    """A row for each set of runs that differ in the seed alone: means over them, and sample standard deviations.

    Columns: runs, n, seeds, round; miou, gap_closed, each with …_sd; hours, network_hours (means); `config KEY` for
    each key that differs between rows; `iou CLASS` and `iou CLASS sd`. Scores are shares; empty where not known.
    """
    groups: list[list[Run]] = []
    for run in runs:
        same = next((group for group in groups if _alike(group[0], run)), None)
        groups.append([run]) if same is None else same.append(run)
    configs = [group[0].config for group in groups]
    keys = sorted(set().union(*configs) - PLACES - {"seed"})
    differing = [k for k in keys if _counts(k) and len({json.dumps(c[k]) for c in configs if k in c}) > 1]
    rows = []
    for config, alike in zip(configs, groups, strict=True):
        row = {"runs": ", ".join(run.name for run in alike), "n": len(alike)}
        row |= {"seeds": ", ".join(str(run.config.get("seed", "")) for run in alike), "round": alike[0].round}
        for name in ("miou", "gap_closed"):
            row |= _spread(name, f"{name}_sd", [run.scores[name] for run in alike])
        for name in ("hours", "network_hours"):
            took = [getattr(run, name) for run in alike]
            row[name] = None if None in took else float(np.mean(took))
        row |= {f"config {k}": json.dumps(config[k]) if k in config else "" for k in differing}
        for c in alike[0].iou:
            row |= _spread(f"iou {c}", f"iou {c} sd", [run.iou[c] for run in alike])
        rows.append(row)
    return pd.DataFrame(rows)


def _alike(one: Run, other: Run) -> bool:
    """Whether two runs differ in the seed alone, as far as both say what they were made by."""
    both = one.config.keys() & other.config.keys() - PLACES - {"seed"}
    same = all(one.config[key] == other.config[key] for key in both if _counts(key))
    return bool(both) and same and (one.round, one.iou.keys()) == (other.round, other.iou.keys())


def _counts(key: str) -> bool:
    return key.rpartition(".")[2] not in WITHOUT_EFFECT


def _spread(name: str, sd: str, values: list[float]) -> dict[str, float]:
    return {name: float(np.mean(values)), sd: float(np.std(values, ddof=1)) if len(values) > 1 else np.nan}


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """The table as text for people: percent, mean ± standard deviation; columns of which nothing is known left out."""
    text = pd.DataFrame({"runs": frame["runs"], "n": frame["n"].astype(str), "round": frame["round"]})
    heads = {"miou": "mIoU", "gap_closed": "gap closed", "hours": "hours", "network_hours": "network hours"}
    for name, head in heads.items():
        if frame[name].notna().any():
            spread = frame.get(f"{name}_sd")
            scale, digits = (1, 2) if "hours" in name else (100, 1)
            text[head] = _texts(frame[name].astype(float) * scale, None if spread is None else spread * scale, digits)
    for name in frame.filter(regex="^config "):
        text[name.removeprefix("config ")] = frame[name]
    for name in frame.filter(regex="^iou .*(?<! sd)$"):
        text[name.removeprefix("iou ")] = _texts(frame[name] * 100, frame[f"{name} sd"] * 100, 1)
    return text


def _texts(means: pd.Series, spreads: pd.Series | None, digits: int) -> list[str]:
    known = spreads if spreads is not None else pd.Series(np.nan, means.index)
    return [
        "" if np.isnan(m) else f"{m:.{digits}f}" + ("" if np.isnan(s) else f" ± {s:.{digits}f}")
        for m, s in zip(means, known, strict=True)
    ]
