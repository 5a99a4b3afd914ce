"""What is measured of the rounds, and the tables, figures and report that show it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cotrain.base.errors import BadInput
from cotrain.procedure import baselines, cotrain, final, selftrain
from cotrain.procedure.domains import Domains
from cotrain.procedure.images import LABELLED_TABLE, TARGET_TABLE, VALIDATION_TABLE
from cotrain.procedure.jobs import Job
from cotrain.procedure.labelling import trust, trust_keys
from cotrain.procedure.rounds import FINAL, Round
from cotrain.settings.config import MODEL, Config

# Config keys that decide which rounds there are.
ROUND_KEYS = (
    "selftrain.cycles",
    "cotrain.cycles",
    "cotrain.members",
    "final?",
    "align_colors",
    "data.target.truth",
)


def evaluated(config: Config) -> list[Round]:
    """Rounds that are scored, in the order of the procedure."""
    rounds = [baselines.source_only()]
    if config.align_colors:  # without, W_0 is the source-only model
        rounds.append(baselines.source())
    rounds += selftrain.rounds(config)
    for model in config.models:
        if model != MODEL:
            rounds += [baselines.source(model), *selftrain.rounds(config, model)]
    for members in cotrain.cycles(config):
        rounds += members
    if ensemble := cotrain.ensemble(config):
        rounds.append(ensemble)
    if config.final:
        rounds.append(final.last_round())
    if config.data.target.truth:
        rounds.append(baselines.upper_bound())
    return rounds


def ablation(config: Config) -> dict[Round, str]:
    """Rows of the paper's Table IV and what they add; what the config leaves out has no row."""
    rows = {baselines.source_only(): "source only"}
    if config.align_colors:
        rows[baselines.source()] = "+ LAB"
    last_cycle = selftrain.rounds(config)[-1]
    if without_collage := selftrain.mixbatch_rounds(config):
        rows[without_collage[-1]] = "+ MixBatch"
        rows[last_cycle] = "+ ClassMix"
    else:
        rows[last_cycle] = "+ MixBatch"
    if config.final:
        rows[final.last_round()] = "+ co-training"
    if config.data.target.truth:
        rows[baselines.upper_bound()] = "upper bound"
    return rows


def series(config: Config) -> list[tuple[str, list[str]]]:
    """Curves over the rounds: name, paths of rounds."""
    curves = {"self-training": selftrain.rounds(config)}
    for model in config.models:
        if model != MODEL:
            curves[f"self-training, model {model}"] = selftrain.rounds(config, model)
    for members in zip(*cotrain.cycles(config), strict=True):
        curves[f"co-training, model {members[0].member}"] = list(members)
    if config.final:
        curves["last training"] = [final.last_round()]
    return [(name, [round_.path for round_ in rounds]) for name, rounds in curves.items()]


def pictured(config: Config) -> list[Round]:
    """Rounds that the overview shows side by side."""
    rounds = [baselines.source_only(), selftrain.rounds(config)[-1]]
    if ensemble := cotrain.ensemble(config):
        rounds.append(ensemble)
    if config.final:
        rounds.append(final.last_round())
    return rounds


def score_jobs(domains: Domains, labels: Mapping[str, str]) -> Iterator[Job]:
    """Scores, measures, tables, figures and report. `labels` are the pseudo-labels that rounds train on, by path."""
    config = domains.config
    rounds = evaluated(config)
    if config.data.validation:
        for round_ in rounds:
            yield evaluate(domains, round_)
        for round_ in ablation(config):
            if round_ not in rounds:
                yield evaluate(domains, round_).on_request()
        for round_ in measured(config):
            yield measure(domains, round_, labels[round_.path])
        yield summarize(domains, "evaluated", {round_: round_.title for round_ in rounds}, measured(config))
        yield summarize(domains, "ablation", ablation(config), []).on_request()
        yield plot(domains)
    yield report(domains)


def measured(config: Config) -> list[Round]:
    """Scored rounds that train on pseudo-labels."""
    return [round_ for round_ in evaluated(config) if round_.pseudolabelled]


def evaluate(domains: Domains, round_: Round) -> Job:
    """mIoU on the validation images."""
    config, inference = domains.config, domains.config.inference
    keys = [
        "data.labelset",
        "data.validation?",
        "data.validation.dataset",
        "data.validation.size",
        "evaluation",
        "inference.batch",
        "inference.threads",
        "device",
        *trust_keys(domains),
    ]
    if round_.models:
        keys.append("cotrain.members")
    return Job(
        stage="evaluate",
        name=round_.path,
        inputs={"models": round_.model_files, "images": (VALIDATION_TABLE,)},
        outputs=(f"evaluation/{round_.path}.json", f"evaluation/{round_.path}.h5"),
        settings={
            "labels": domains.labels("validation"),
            "size": config.data.validation.size,
            **config.evaluation.model_dump(mode="json"),
            "batch": inference.batch,
            "threads": inference.threads,
            "device": config.device,
            **trust(domains),
        },
        keys=tuple(keys),
        round=round_,
    )


def measure(domains: Domains, round_: Round, labels: str) -> Job:
    """Coverage of a round's pseudo-labels, and their accuracy where the target has labels."""
    has_truth = domains.config.data.target.truth
    keys = ["data.labelset", "data.target.truth"]
    if has_truth:
        keys.append("data.target.dataset")
    return Job(
        stage="measure",
        name=round_.path,
        inputs={"labels": (labels,), "images": (LABELLED_TABLE,) if has_truth else ()},
        outputs=(f"evaluation/pseudolabels/{round_.path}.json",),
        settings={"labels": domains.labels("target") if has_truth else {"classes": domains.classes}},
        keys=tuple(keys),
        round=round_,
    )


def summarize(domains: Domains, name: str, rows: Mapping[Round, str], measures: Sequence[Round]) -> Job:
    """A table of scores: `evaluated` of all rounds, in summary.csv, or `ablation`."""
    file = "summary" if name == "evaluated" else name
    bound = baselines.upper_bound()
    notes = [f"The source {name} has no labels of: {', '.join(classes)}" for name, classes in domains.missing.items()]
    inputs = {"scores": tuple(f"evaluation/{round_.path}.json" for round_ in rows)}
    if measures:
        inputs["measures"] = tuple(f"evaluation/pseudolabels/{round_.path}.json" for round_ in measures)
    return Job(
        stage="summarize",
        rule="" if name == "evaluated" else name,
        name=name,
        inputs=inputs,
        outputs=(f"{file}.csv", f"{file}.txt"),
        settings={
            "rows": [(round_.path, title) for round_, title in rows.items()],
            "source_only": baselines.source_only().path,
            "upper_bound": bound.path if bound in rows else None,
            "means": domains.labelset.means,
            "notes": notes,
        },
        keys=(*ROUND_KEYS, "mix.collage_share", "data.labelset", "data.source.dataset"),
    )


def plot(domains: Domains) -> Job:
    """The overview of predictions, and curves over the rounds."""
    rounds = pictured(domains.config)
    return Job(
        stage="plot",
        name="",
        inputs={
            "summary": ("summary.csv",),
            "predictions": tuple(f"evaluation/{round_.path}.h5" for round_ in rounds),
            "images": (VALIDATION_TABLE,),
        },
        outputs=("figures/overview.png", "figures/progress.png"),
        settings={
            "colors": domains.colors,
            "columns": [round_.title for round_ in rounds],
            "series": series(domains.config),
        },
        keys=(*ROUND_KEYS, "data.labelset"),
    )


def report(domains: Domains) -> Job:
    """The page that shows all of a run."""
    config = domains.config
    rounds = evaluated(config)
    adapted = [round_ for round_ in rounds if round_ != baselines.upper_bound()]
    settings: dict[str, Any] = {
        "title": config.run,
        "colors": domains.colors,
        "rounds": [(round_.path, round_.title) for round_ in rounds],
        "series": series(config),
        "before": baselines.source_only().path,
        "after": adapted[-1].path,
        "labels": domains.labels("target") if config.data.target.truth else None,
        **config.report.model_dump(mode="json"),
    }
    return Job(
        stage="report",
        name="",
        inputs=_reported(config),
        outputs=("report.html",),
        settings=settings,
        keys=(
            "run",
            "data.labelset",
            "data.target.dataset",
            "data.validation?",
            "report",
            "inference.keep_predictions",
            *ROUND_KEYS,
        ),
    )


def _reported(config: Config) -> dict[str, tuple[str, ...]]:
    """Files that the report shows; scores and what goes with them only where there is a validation set.

    Predictions only if they are kept: asked for here, all of them would stay until the end.
    """
    with_labels = [round_ for round_ in evaluated(config) if round_.pseudolabelled]
    cycles = [round_ for round_ in with_labels if round_.phase != FINAL]
    scored = evaluated(config) if config.data.validation else []
    kept = with_labels if config.inference.keep_predictions else []
    return {
        "thresholds": tuple(round_.file("thresholds.csv") for round_ in with_labels),
        "pseudolabels": tuple(round_.file("pseudolabels.h5") for round_ in with_labels),
        "predictions": tuple(round_.file("predictions.h5") for round_ in kept),
        "selected": tuple(round_.file("selected.csv") for round_ in cycles),
        "target": (LABELLED_TABLE if config.data.target.truth else TARGET_TABLE,),
        "summary": ("summary.csv",) if scored else (),
        "metrics": tuple(f"evaluation/{round_.path}.json" for round_ in scored),
        "evaluated": tuple(f"evaluation/{round_.path}.h5" for round_ in scored),
        "measures": tuple(f"evaluation/pseudolabels/{round_.path}.json" for round_ in with_labels if scored),
        "images": (VALIDATION_TABLE,) if scored else (),
    }


def no_scores() -> BadInput:
    return BadInput("config: data.validation: null, and this target needs scores; name a labelled dataset")
