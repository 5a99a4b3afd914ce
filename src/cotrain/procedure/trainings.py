"""The job that trains a model, for every phase: what it starts from, which images it sees, and for how long."""

from collections.abc import Sequence
from typing import Any

from cotrain.base.seeds import seed_of
from cotrain.procedure.domains import Domains
from cotrain.procedure.images import COLORS, LABELLED_TABLE, SOURCE_TABLE, STATISTICS, TARGET_TABLE
from cotrain.procedure.jobs import Job
from cotrain.procedure.labelling import trust, trust_keys
from cotrain.procedure.rounds import SOURCE, SOURCE_ONLY, Round
from cotrain.settings.config import MODEL
from cotrain.settings.training import TrainingOptions


def train(
    domains: Domains,
    round_: Round,
    course: str,
    *,
    labels: str | None = None,
    thresholds: str | None = None,
    true_labels: bool = False,
    more: dict[str, Any] | None = None,
    keys: Sequence[str] = (),
    in_run: bool = True,
) -> Job:
    """Train the model of a round on the source, and on the target if `labels` are given or its `true_labels` are read.

    `course` names a section of `training`: source, cycle or final. `labels` is a file of pseudo-labels, `thresholds`
    the table by which they are pasted and cropped. `more` are settings of this training alone, and `keys` the config
    keys that these and the choice of files follow from.
    """
    on_target = bool(labels) or true_labels
    settings, own_keys = _on_target(domains, true_labels) if on_target else _on_source(domains, round_)
    target = LABELLED_TABLE if true_labels else TARGET_TABLE
    return Job(
        stage="train",
        name=round_.path,
        inputs={
            "initial": _one(round_.start and round_.start.file("model.pt")),
            "source": (SOURCE_TABLE,),
            "color": _one(COLORS if _is_aligned(domains, round_) else None),
            "statistics": _one(STATISTICS if domains.config.training.class_balance else None),
            "target": _one(target if on_target else None),
            "labels": _one(labels),
            "thresholds": _one(thresholds),
        },
        outputs=(round_.file("model.pt"),),
        settings={**_of_every_training(domains, round_, course), **settings, **(more or {})},
        keys=(*_keys_of_every_training(round_, course), *own_keys, *keys),
        round=round_,
        in_run=in_run,
    )


def _one(path: str | None) -> tuple[str, ...]:
    return (path,) if path else ()


def _is_aligned(domains: Domains, round_: Round) -> bool:
    """Whether the source images get the target's colours; never for the row that gains are counted from."""
    return domains.config.align_colors and round_.phase != SOURCE_ONLY


def _of_every_training(domains: Domains, round_: Round, course: str) -> dict[str, Any]:
    config = domains.config
    drawn_as = SOURCE if round_.phase == SOURCE_ONLY else round_.path  # they differ in the colours alone
    return {
        "name": round_.path,
        "source": domains.labels("source"),
        "source_size": config.data.source.size,
        "course": getattr(config.training, course).model_dump(mode="json"),
        "seed": seed_of(config.seed, "train", drawn_as),
        "device": config.device,
        **config.training.model_dump(mode="json", include=set(TrainingOptions.model_fields)),
    }


def _keys_of_every_training(round_: Round, course: str) -> list[str]:
    keys = [
        "data.labelset",
        "data.source.dataset",
        "data.source.size",
        f"training.{course}",
        "seed",
        "device",
    ]
    for name in TrainingOptions.model_fields:
        keys.append(f"training.{name}")
    if round_.phase != SOURCE_ONLY:
        keys.append("align_colors")
    return keys


def _on_source(domains: Domains, round_: Round) -> tuple[dict[str, Any], list[str]]:
    """Settings and config keys of a training that builds its model."""
    model = domains.config.models[round_.model]
    options = model.options_of(model.architecture, model.options)
    settings = {"model": {**model.model_dump(mode="json"), "options": options}}
    return settings, ["model" if round_.model == MODEL else "cotrain.members"]


def _on_target(domains: Domains, true_labels: bool) -> tuple[dict[str, Any], list[str]]:
    """Settings and config keys of a training that goes on from a model, on source and target."""
    config = domains.config
    settings = {
        "target_share": config.mix.target_share,
        "target_size": config.data.target.size,
        **trust(domains),
    }
    keys = [
        "mix.target_share",
        "data.target.size",
        *trust_keys(domains),
    ]
    if true_labels:
        settings["target"] = domains.labels("target")
        keys.append("data.target.dataset")
    return settings, keys


def mixing(domains: Domains, collage_share: float | None, rare_crops: bool) -> dict[str, Any]:
    """Settings of how target images are pasted over (p_CM) and cropped; empty where neither is done."""
    mix, settings = domains.config.mix, {}
    if collage_share is not None:
        settings["collage_share"] = collage_share
    if rare_crops and mix.rare_crops:
        settings |= {"rare_crops": mix.rare_crops, "rare_share": mix.rare_share}
    return settings


def mixing_keys(domains: Domains, collage: bool) -> list[str]:
    """Config keys that the mixture of a cycle follows from; `collage`: whether it may have one."""
    keys = ["mix.rare_crops"]
    if domains.config.mix.rare_crops:
        keys.append("mix.rare_share")
    if collage:
        keys.append("mix.collage_share")
    return keys
