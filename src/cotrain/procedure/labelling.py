"""Jobs from a model to the pseudo-labels that the next one trains on: Run(W, X^u_N, k, T) and what follows it.

Symbols are those of Gómez et al. 2022, Sect. III.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from cotrain.base.seeds import seed_of
from cotrain.method.sampling import portion
from cotrain.procedure.domains import Domains
from cotrain.procedure.images import TARGET_TABLE, prior_inputs
from cotrain.procedure.jobs import Job
from cotrain.procedure.rounds import Round
from cotrain.settings import architectures
from cotrain.settings.config import CoTraining, SelfTraining


def draw(domains: Domains, cycle: Round, section: str) -> Job:
    """Draw the N candidate images of a cycle. `section` of the config is selftrain or cotrain."""
    phase: SelfTraining | CoTraining = getattr(domains.config, section)
    return Job(
        stage="draw",
        name=cycle.cycle_path,
        inputs={"index": (TARGET_TABLE,)},
        outputs=(f"{cycle.cycle_path}/candidates.csv",),
        settings={"count": phase.candidates, "seed": seed_of(domains.config.seed, "draw", cycle.cycle_path)},
        keys=(f"{section}.candidates", "seed"),
        round=cycle,
    )


def infer(
    domains: Domains,
    round_: Round,
    models: Sequence[Round],
    images: str,
    *,
    in_shards: bool = False,
    ensemble: str = "mean",
    keys: Sequence[str] = (),
) -> Iterator[Job]:
    """Run the models of earlier rounds on a table of images; `in_shards`: in several jobs, whose files are merged.

    `keys` are config keys that the choice of models follows from.
    """
    settings, own_keys = _of_inference(domains, round_)
    job = Job(
        stage="infer",
        name=round_.path,
        inputs={
            "models": tuple(model.file("model.pt") for model in models),
            "images": (images,),
            "statistics": prior_inputs(domains),
        },
        outputs=(round_.file("predictions.h5"),),
        settings={**settings, "ensemble": ensemble},
        keys=(*own_keys, *keys),
        round=round_,
    )
    if in_shards:
        yield from shards_of(job, domains.config.inference.shards)
    else:
        yield job


def _of_inference(domains: Domains, round_: Round) -> tuple[dict[str, Any], list[str]]:
    """Settings and config keys that all inferences have in common, and the seed of a round's patches."""
    config, inference = domains.config, domains.config.inference
    settings = {
        "classes": domains.classes,
        "size": config.data.target.size,
        "scales": inference.scales,
        "flip": inference.flip,
        "keep_classes": min(inference.keep_classes, len(domains.classes)),
        "ego_mask": config.data.ego_mask,
        "batch": inference.batch,
        "threads": inference.threads,
        "device": config.device,
        **trust(domains),
    }
    keys = [
        "data.labelset",
        "data.target.size",
        "data.ego_mask",
        "device",
        "inference.scales",
        "inference.flip",
        "inference.keep_classes",
        "inference.batch",
        "inference.threads",
        "inference.prior",
        "inference.patches.count",
        *trust_keys(domains),
    ]
    if inference.patches.count:
        settings["patches"] = inference.patches.model_dump(mode="json")
        settings["seed"] = seed_of(config.seed, "patches", round_.path)
        keys += ["inference.patches", "seed"]
    return settings, keys


def shards_of(job: Job, count: int) -> Iterator[Job]:
    """The inference of a job in `count` parts, and the merge that makes its file of them."""
    files = []
    for number in range(1, count + 1):
        name = f"{job.name}/{number}-of-{count}"
        files.append(f".shards/{name}/predictions.h5")
        yield Job(
            stage="infer",
            rule="infer_shard",
            name=name,
            inputs=job.inputs,
            outputs=(files[-1],),
            settings={**job.settings, "shard": {"number": number, "count": count}},
            keys=job.keys,
            round=job.round,
            in_run=False,
        )
    yield Job(
        stage="infer",
        rule="merge",
        name=job.name,
        inputs=job.inputs,
        outputs=job.outputs,
        settings=job.settings,
        keys=job.keys,
        round=job.round,
        shards=tuple(files),
    )


def shares_inference(domains: Domains, candidates: int | None) -> bool:
    """Whether several jobs share the inference of a phase that draws so many candidates; None: the whole target set."""
    return domains.config.inference.shards > 1 and candidates is None


def threshold(domains: Domains, round_: Round, section: str, k: int, keys: Sequence[str] = ()) -> Job:
    """Pseudo-labels of cycle k, counted from 0, by the thresholds of a `section`: selftrain or cotrain."""
    thresholds = getattr(domains.config, section).thresholds
    return Job(
        stage="threshold",
        name=round_.path,
        inputs={"predictions": (round_.file("predictions.h5"),)},
        outputs=(round_.file("pseudolabels.h5"), round_.file("thresholds.csv")),
        settings={
            "round": round_.path,
            "policy": thresholds.policy,
            "portion": portion(thresholds.portion_start, thresholds.portion_step, thresholds.portion_max, k),
            "confidence_min": thresholds.confidence_min,
            "confidence_max": thresholds.confidence_max,
        },
        keys=(f"{section}.thresholds", *keys),
        round=round_,
    )


def select(domains: Domains, round_: Round) -> Job:
    """The n images with the highest image confidence."""
    return Job(
        stage="select",
        name=round_.path,
        inputs={"pseudolabels": (round_.file("pseudolabels.h5"),)},
        outputs=(round_.file("selected.csv"),),
        settings={"count": domains.config.selftrain.selected},
        keys=("selftrain.selected",),
        round=round_,
    )


def combine(members: Sequence[Round]) -> Job:
    """Fill each member's void pixels with the labels of the others."""
    return Job(
        stage="combine",
        name=members[0].cycle_path,
        inputs={
            "labels": tuple(member.file("pseudolabels.h5") for member in members),
            "predictions": tuple(member.file("predictions.h5") for member in members),
        },
        outputs=tuple(member.file("combined.h5") for member in members),
        settings={},
        keys=("cotrain.members",),
        round=members[0],
    )


def exchange(domains: Domains, members: Sequence[Round], pseudolabels: Sequence[str]) -> Job:
    """The images that each member receives from the others (Algorithm 2)."""
    cotrain = domains.config.cotrain
    return Job(
        stage="exchange",
        name=members[0].cycle_path,
        inputs={
            "pseudolabels": tuple(pseudolabels),
            "thresholds": tuple(member.file("thresholds.csv") for member in members),
        },
        outputs=tuple(member.file("selected.csv") for member in members),
        settings={
            "count": cotrain.selected,
            "lambda": cotrain.lambda_,
            "rank_by": cotrain.rank_by,
            "min_class_fraction": cotrain.min_class_fraction,
        },
        keys=(
            "cotrain.members",
            "cotrain.selected",
            "cotrain.lambda",
            "cotrain.rank_by",
            "cotrain.min_class_fraction",
            "cotrain.combine_from_cycle",
        ),
        round=members[0],
    )


def fuse(round_: Round, pseudolabels: Sequence[str], earlier: str | None, keys: Sequence[str] = ()) -> Job:
    """Join the selected images with those of earlier cycles, whose labels are in the file `earlier`."""
    return Job(
        stage="fuse",
        name=round_.path,
        inputs={
            "pseudolabels": tuple(pseudolabels),
            "selected": (round_.file("selected.csv"),),
            "previous": (earlier,) if earlier else (),
        },
        outputs=(round_.file("labels.h5"),),
        settings={},
        keys=tuple(keys),
        round=round_,
    )


def trust(domains: Domains) -> dict[str, Any]:
    """Code of the person's own that the model files of a run may name; empty if there is none."""
    names = {model.architecture for model in domains.config.models.values()}
    own = sorted(name for name in names if architectures.library(name) == architectures.OWN)
    return {"trust": own} if own else {}


def trust_keys(domains: Domains) -> list[str]:
    """Config keys that `trust` follows from, where it names anything."""
    return ["model.architecture", "cotrain.members"] if trust(domains) else []
