"""Finished runs as rows of a table: scores, hours, and where their configs differ; seeds are averaged."""

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
SCORES = ("miou", "gap_closed")
HOURS = ("hours", "network_hours")
HEADINGS = {"miou": "mIoU", "gap_closed": "gap closed", "hours": "hours", "network_hours": "network hours"}
PLACES = {"run", "results", "data.root"}  # config keys that say where files are
NETWORK_STAGES = ("train", "infer", "evaluate")  # those that take a GPU where there is one

Config = dict[str, object]  # dotted key → value


class Run(NamedTuple):
    """What is known of a finished run."""

    name: str
    round: str  # that the scores are of
    scores: dict[str, float]  # SCORES → share
    iou: dict[str, float]  # class, or further mean of the label set → share
    config: Config  # as far as the run's jobs read it
    hours: float | None  # of all jobs; None if one does not say
    network_hours: float | None  # of jobs with a network


def read(folder: Path, round_name: str = "") -> Run:
    """A run from its folder, with the scores of a round, by default of the last that is not the upper bound."""
    path = folder / "summary.csv"
    if not path.is_file():
        raise BadInput(f"{folder}: it has no summary.csv; give the folder of a finished run with a validation set")
    summary = tables.read_summary(path)
    round_name = round_name or _last_model(summary)
    if round_name not in summary.index:
        raise BadInput(f"{path}: no row of the round {round_name}; there are: {', '.join(summary.index)}")
    try:
        shares = summary.loc[round_name].drop("name").astype(float).to_dict()
    except ValueError:
        raise BadInput(f"{path}: the row of {round_name} holds what is no number; make it again") from None
    classes = [name for name in summary if name not in SUMMARY]
    hours, network_hours = _hours(folder / "logs")
    return Run(
        name=folder.resolve().name,
        round=round_name,
        scores={name: shares[name] for name in SCORES},
        iou={name: shares[name] for name in classes},
        config=config_of(folder),
        hours=hours,
        network_hours=network_hours,
    )


def _last_model(summary: pd.DataFrame) -> str:
    """The last round of a summary that is not the upper bound."""
    rounds = [name for name in summary.index if name != UPPER_BOUND]
    return rounds[-1] if rounds else "none"


def _hours(logs: Path) -> tuple[float | None, float | None]:
    """Hours of all jobs, and of those with a network, by the last lines of their logs; None if one does not say."""
    jobs = times(logs)
    if not jobs or len(jobs) < len(list(logs.rglob("*.log"))):
        return None, None
    seconds = 0.0
    network_seconds = 0.0
    for stage, seconds_of_job, _ in jobs.values():
        seconds += seconds_of_job
        if stage in NETWORK_STAGES:
            network_seconds += seconds_of_job
    return seconds / 3600, network_seconds / 3600


def table(runs: list[Run]) -> pd.DataFrame:
    """A row for each set of runs that differ in the seed alone: means over them, and sample standard deviations.

    Columns: runs, n, seeds, round; miou, gap_closed, each with …_sd; hours, network_hours (means); `config KEY` for
    each key that differs between rows; `iou CLASS` and `iou CLASS sd`. Scores are shares; empty where not known.
    """
    groups = _groups(runs)
    keys = _differing_keys([group[0].config for group in groups])
    return pd.DataFrame([_row(group, keys) for group in groups])


def _groups(runs: list[Run]) -> list[list[Run]]:
    """Runs that differ in the seed alone, together."""
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if _differ_in_seed_alone(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def _differ_in_seed_alone(run: Run, other: Run) -> bool:
    """Whether they do as far as is known; false if nothing is known of what either was made with."""
    if run.round != other.round or run.iou.keys() != other.iou.keys():
        return False
    common = run.config.keys() & other.config.keys() - PLACES - {"seed"}
    if not common:
        return False
    return all(run.config[key] == other.config[key] for key in common if _has_effect(key))


def _has_effect(key: str) -> bool:
    """Whether a config key changes what is computed."""
    return key.rpartition(".")[2] not in WITHOUT_EFFECT


def _differing_keys(configs: list[Config]) -> list[str]:
    """Keys, sorted, that have more than one value in the configs that have them."""
    keys = set().union(*configs) - PLACES - {"seed"}
    differing = []
    for key in sorted(keys):
        values = {json.dumps(config[key]) for config in configs if key in config}
        if _has_effect(key) and len(values) > 1:
            differing.append(key)
    return differing


def _row(group: list[Run], keys: list[str]) -> dict[str, object]:
    """The row of runs that differ in the seed alone; `keys` of the config are shown."""
    first = group[0]
    row: dict[str, object] = {
        "runs": ", ".join(run.name for run in group),
        "n": len(group),
        "seeds": ", ".join(str(run.config.get("seed", "")) for run in group),
        "round": first.round,
    }
    for name in SCORES:
        shares = [run.scores[name] for run in group]
        row[name] = float(np.mean(shares))
        row[f"{name}_sd"] = _deviation(shares)
    for name in HOURS:
        hours = [getattr(run, name) for run in group]
        row[name] = None if None in hours else float(np.mean(hours))
    for key in keys:
        row[f"config {key}"] = json.dumps(first.config[key]) if key in first.config else ""
    for class_name in first.iou:
        shares = [run.iou[class_name] for run in group]
        row[f"iou {class_name}"] = float(np.mean(shares))
        row[f"iou {class_name} sd"] = _deviation(shares)
    return row


def _deviation(values: list[float]) -> float:
    """Sample standard deviation; NaN of one value."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else np.nan


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """The table for people: percent, mean ± standard deviation; columns of which nothing is known are left out."""
    text = pd.DataFrame(
        {
            "runs": frame["runs"],
            "n": frame["n"].astype(str),
            "round": frame["round"],
        }
    )
    for name in SCORES:
        if frame[name].notna().any():
            text[HEADINGS[name]] = _percent(frame[name], frame[f"{name}_sd"])
    for name in HOURS:
        if frame[name].notna().any():
            text[HEADINGS[name]] = [_number(hours, digits=2) for hours in frame[name].astype(float)]
    for name in frame.filter(regex="^config "):
        text[name.removeprefix("config ")] = frame[name]
    for name in frame.filter(regex="^iou .*(?<! sd)$"):
        text[name.removeprefix("iou ")] = _percent(frame[name], frame[f"{name} sd"])
    return text


def _percent(means: pd.Series, deviations: pd.Series) -> list[str]:
    """Means and standard deviations in percent; "" for what is not known."""
    texts = []
    for mean, deviation in zip(means.astype(float) * 100, deviations * 100, strict=True):
        text = _number(mean, digits=1)
        if text and not np.isnan(deviation):
            text += f" ± {_number(deviation, digits=1)}"
        texts.append(text)
    return texts


def _number(value: float, digits: int) -> str:
    return "" if np.isnan(value) else f"{value:.{digits}f}"
