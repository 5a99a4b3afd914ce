"""Jobs as plain data: what is run, what it reads and writes, what it is told, and which config keys decide that."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from cotrain.procedure.rounds import Round
from cotrain.settings.config import Config

NETWORK = ("train", "infer", "evaluate")  # stages that run a network


@dataclass(frozen=True, eq=False)
class Job:
    """One call of a stage. Paths are below the run's folder."""

    stage: str  # the command
    name: str  # path of a round or cycle, a table, or ""; with the stage it names the job
    inputs: dict[str, tuple[str, ...]]  # role → files that other jobs make
    outputs: tuple[str, ...]
    settings: dict[str, Any]
    keys: tuple[str, ...]  # config keys that settings and inputs follow from; see `values_of`
    rule: str = ""  # of the workflow; "" stands for the stage's name
    round: Round | None = None
    shards: tuple[str, ...] = ()  # of a merge: the files that are joined
    scenes: str | None = None  # folder of rendered scenes, of all runs, that an index lists
    in_run: bool = True  # belongs to the run; False: only made when asked for, as the ablation

    def on_request(self) -> "Job":
        """The same job, made only when it is asked for."""
        return replace(self, in_run=False)

    @property
    def runs_network(self) -> bool:
        return self.stage in NETWORK and self.rule != "merge"

    @property
    def inputs_of_ticket(self) -> tuple[str, ...]:
        """Files whose contents decide whether the job is out of date; of a merge, those that its shards read."""
        files = [path for paths in self.inputs.values() for path in paths]
        scenes = [self.scenes] if self.scenes else []
        return (*files, *scenes)

    @property
    def settings_json(self) -> str:
        """The settings as `--settings` gets them: canonical JSON."""
        return json.dumps(self.settings, sort_keys=True)

    @property
    def reads(self) -> tuple[str, ...]:
        """All files that other jobs make and this one reads."""
        return (*self.inputs_of_ticket, *self.shards)


def values_of(config: Config, keys: Iterable[str]) -> dict[str, Any]:
    """Values of config keys as JSON, by their full dotted names.

    A key may name a section, which stands for all keys below it. `section?` stands for whether a section that can be
    null is there: its value is {} or None.
    """
    values: dict[str, Any] = {}
    for key in keys:
        section = key.removesuffix("?")
        value: Any = config
        for name in section.split("."):
            value = _field(value, name)
        if key.endswith("?"):
            values[section] = None if value is None else {}
        else:
            values |= _leaves(section, value)
    return values


def _field(section: BaseModel, key: str) -> Any:
    """Value of a key of a section, by the name that it has in YAML."""
    for name, description in type(section).model_fields.items():
        if key == (description.alias or name):
            return getattr(section, name)
    raise KeyError(key)


def _leaves(key: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, BaseModel):
        return {key: _as_json(value)}
    leaves: dict[str, Any] = {}
    for name, description in type(value).model_fields.items():
        leaves |= _leaves(f"{key}.{description.alias or name}", getattr(value, name))
    return leaves


def _as_json(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    return value
