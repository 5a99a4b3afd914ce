"""For every key of the config, what runs again after an edit: measured on a finished run, written to docs/reruns.md.

`python tools/reruns_table.py` makes a tiny run in a temporary folder and rewrites the table; with the folder of a
finished one as its argument it uses that.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import yaml
from PIL import Image
from pydantic import BaseModel

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))

from workflow_runs import PROJECT, TINY, DryRuns, Planned, finished_run, merged

from cotrain.settings.config import Config

PAGE = PROJECT / "docs" / "reruns.md"
HEAD = "| key | edit | rules that run again first |\n|---|---|---|\n"
COMMAND = "python tools/reruns_table.py"
STREETS = {"data.root": "photographs"}  # where a dataset of one's own is looked for

# Other values that do not follow from a key's type.
OTHERS = {
    "run": "other",
    "results": "elsewhere",
    "share_with": "base",
    "data.root": "photographs",
    "data.labelset": "toycity17",
    "data.source.dataset": "streets.yaml",
    "data.target.dataset": "streets.yaml",
    "data.validation.dataset": "streets.yaml",
    "data.source.split": "validation",
    "data.target.split": "source",
    "data.validation.split": "target",
    "data.ego_mask": "mask.png",
    "data.source.limit": 9,
    "data.target.limit": 9,
    "data.validation.limit": 3,
    "model.architecture": "Unet",
    "model.encoder": "resnet18",
    "model.weights": None,
    "model.multiple": 64,
    "model.options": {"FPN": {"decoder_dropout": 0.1}},
    "cotrain.members": [
        {"start": "early"},
        {"start": "last", "model": {"architecture": "Unet", "encoder": "resnet18", "weights": None}},
    ],
    "training.workers": 2,
    "training.objectives": [{"name": "segmentation", "weight": 0.5}],
    "final.labels_from": "1",
    "training.source.epochs": 1,
    "training.cycle.epochs": 1,
    "training.final.epochs": 1,
    "inference.scales": [0.5, 1.0],
    "evaluation.scales": [0.5, 1.0],
}
# What has to be edited too, so that the config is in order.
ALSO = {
    "data.source.dataset": STREETS,
    "data.target.dataset": STREETS,
    "data.validation.dataset": STREETS,
    "model.encoder": {"model.weights": None},
    "training.source.epochs": {"training.source.steps": None},
    "training.cycle.epochs": {"training.cycle.steps": None},
    "training.final.epochs": {"training.final.steps": None},
}
# What a key or a section can be switched off by.
OFF = {
    "data.validation": None,
    "training.class_balance": None,
    "inference.patches.count": 0,
    "inference.prior": None,
    "mix.collage_share": None,
    "final.collage_share": None,
    "mix.rare_crops": 0.0,
    "cotrain.cycles": 0,
    "final": None,
}


# ---- edits ------------------------------------------------------------------------------------------------------


def leaves(kind: type[BaseModel], values: dict, prefix: str = "") -> dict[str, object]:
    """Dotted keys of a config class with their annotations; a section that is null in `values` counts as one key."""
    found = {}
    for name, field in kind.model_fields.items():
        kinds = [k for k in (field.annotation, *get_args(field.annotation)) if hasattr(k, "model_fields")]
        key, value = f"{prefix}{field.alias or name}", values.get(field.alias or name, {})
        nested = kinds and isinstance(value, dict)
        found |= leaves(kinds[0], value, f"{key}.") if nested else {key: field.annotation}
    return found


def tiny_config() -> dict:
    """The config of the tiny run: config.yaml under the overlay."""
    return merged(yaml.safe_load((PROJECT / "config.yaml").read_text()), yaml.safe_load(TINY.read_text()))


def value_of(config: dict, key: str) -> object:
    for part in key.split("."):
        config = config[part]
    return config


def nested(values: dict[str, object]) -> dict:
    """{"a": {"b": value}} for {"a.b": value}."""
    result: dict = {}
    for key, value in values.items():
        for part in reversed(key.split(".")):
            value = {part: value}
        result = merged(result, value)
    return result


def other_value(key: str, annotation: object, value: object) -> object:
    """A valid value of a key that is not `value`."""
    if key in OTHERS:
        return OTHERS[key]
    kinds = [annotation, *get_args(annotation)]
    kinds = [get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds]
    for choices in (get_args(kind) for kind in kinds if get_origin(kind) is Literal):
        return next(choice for choice in choices if choice != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int) and int in kinds:
        return value + 1
    if isinstance(value, int | float) and float in kinds:
        return round(value * 0.9, 6) or 0.1
    if isinstance(value, list) and len(value) == 2:
        return [value[0] / 2 if isinstance(value[0], float) else value[0] // 2, value[1]]
    raise AssertionError(f"tools/reruns_table.py: give OTHERS another valid value of the new key {key}")


def edits() -> dict[tuple[str, str], dict[str, object]]:
    """(key, what the table says is edited) → keys to edit, with their values; every leaf of the config is there."""
    config, found = tiny_config(), {}
    pairs = [(k, other_value(k, kind, value_of(config, k))) for k, kind in leaves(Config, config).items()]
    for key, value in [*pairs, *OFF.items()]:
        before = value_of(config, key)
        was = "…" if isinstance(before, dict) and before else json.dumps(before)
        more = "".join(f", {k}: {json.dumps(v)}" for k, v in ALSO.get(key, {}).items())
        found[key, f"{was} → {json.dumps(value)}{more}"] = {key: value} | ALSO.get(key, {})
    return found


def furnish(folder: Path) -> None:
    """Files that some of the edits name, beside a run."""
    dataset = yaml.safe_load((PROJECT / "workflow/datasets/toycity.yaml").read_text())
    (folder / "streets.yaml").write_text(yaml.safe_dump(dataset | {"name": "streets", "root": "", "generator": None}))
    (folder / "photographs").mkdir(exist_ok=True)
    Image.fromarray(np.zeros((64, 96), np.uint8)).save(folder / "mask.png")


# ---- the table --------------------------------------------------------------------------------------------------


def row(key: str, edit: str, plan: Planned) -> str:
    rules = ", ".join(f"`{rule}`" for rule in plan.first) or "none"
    return f"| `{key}` | `{edit}` | {rules} |"


def written_rows() -> list[str]:
    """The rows of the table in the documentation."""
    return PAGE.read_text(encoding="utf-8").partition(HEAD)[2].partition("\n\n")[0].splitlines()


def measured_rows(folder: Path, dry_run: DryRuns) -> Iterator[str]:
    furnish(folder)
    for (key, edit), values in edits().items():
        yield row(key, edit, dry_run(folder, nested(values)))


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if sys.argv[1:] else finished_run(Path(temporary))
        dry_run = DryRuns()
        rows = list(measured_rows(folder, dry_run))
        dry_run.close()
    before, _, after = PAGE.read_text(encoding="utf-8").partition(HEAD)
    after = after.partition("\n\n")[2]
    PAGE.write_text("\n".join([before + HEAD.rstrip(), *rows, "", after]), encoding="utf-8")


if __name__ == "__main__":
    main()
