"""Self-training (Gómez et al. 2022, Algorithm 1)."""

from collections.abc import Iterator

from cotrain.procedure import baselines
from cotrain.procedure.domains import Domains
from cotrain.procedure.jobs import Job
from cotrain.procedure.labelling import draw, fuse, infer, select, shares_inference, threshold
from cotrain.procedure.rounds import MIXBATCH, SELFTRAIN, Round
from cotrain.procedure.trainings import mixing, mixing_keys, train
from cotrain.settings.config import MODEL, Config


def rounds(config: Config, model: int = MODEL) -> list[Round]:
    """Cycles 1 … K_M of a model. Each trains from W_0, or from the model of the cycle before."""
    phase, of_model = (SELFTRAIN, "") if model == MODEL else (f"{SELFTRAIN}_{model}", f", model {model}")
    return _cycles(config, phase, "Self-training", "self-training {cycle}" + of_model, model)


def mixbatch_rounds(config: Config) -> list[Round]:
    """The same cycles without the collage: a row of the ablation (Table IV). None where no cycle has a collage."""
    if config.mix.collage_share is None:
        return []
    return _cycles(config, MIXBATCH, "Ablation", "mixbatch {cycle}", MODEL)


def _cycles(config: Config, phase: str, category: str, title: str, model: int) -> list[Round]:
    start = baselines.source(model)
    cycles: list[Round] = []
    for cycle in range(1, config.selftrain.cycles + 1):
        round_ = Round(
            phase=phase,
            title=title.format(cycle=cycle),
            category=category,
            cycle=cycle,
            model=model,
            start=start,
            pseudolabelled=True,
        )
        cycles.append(round_)
        if config.selftrain.start_from == "previous":
            start = round_
    return cycles


def selftrain(domains: Domains, model: int = MODEL) -> Iterator[Job]:
    """Algorithm 1 for one of the run's models; all models label the candidates that the first draws."""
    labeller = baselines.source(model)  # W, which labels the images of a cycle
    earlier = None  # X^l̂ of the cycles before
    for round_ in rounds(domains.config, model):
        if model == MODEL:
            yield draw(domains, round_, "selftrain")
        yield from _label(domains, round_, labeller, earlier)
        yield _train(domains, round_, labels=round_, collage=True)
        labeller, earlier = round_, round_


def mixbatch(domains: Domains) -> Iterator[Job]:
    """Algorithm 1 without the collage. What the first cycle trains on does not depend on it, and is shared."""
    labelled = previous = rounds(domains.config)[0]
    for round_ in mixbatch_rounds(domains.config):
        if round_.cycle > 1:
            yield from _label(domains, round_, labeller=previous, earlier=labelled, in_run=False)
            labelled = round_
        yield _train(domains, round_, labels=labelled, collage=False, in_run=False)
        previous = round_


def _label(
    domains: Domains, round_: Round, labeller: Round, earlier: Round | None, in_run: bool = True
) -> Iterator[Job]:
    """Run(W, X^u_N, k, T), the n most confident images, and their fusion with those of earlier cycles."""
    config = domains.config.selftrain
    candidates = f"{SELFTRAIN}/{round_.cycle:02d}/candidates.csv"
    in_shards = shares_inference(domains, config.candidates)
    fused = earlier.file("labels.h5") if earlier and config.fuse else None
    jobs = [
        *infer(domains, round_, [labeller], candidates, in_shards=in_shards),
        threshold(domains, round_, "selftrain", k=round_.cycle - 1),
        select(domains, round_),
        fuse(round_, [round_.file("pseudolabels.h5")], fused, keys=["selftrain.fuse"] if earlier else []),
    ]
    for job in jobs:
        yield job if in_run else job.on_request()


def _train(domains: Domains, round_: Round, labels: Round, collage: bool, in_run: bool = True) -> Job:
    """Train from W_0 on X^l and X^l̂, mixed (MixBatch) and pasted (ClassMix)."""
    mix = mixing(domains, domains.config.mix.collage_share if collage else None, rare_crops=True)
    return train(
        domains,
        round_,
        "cycle",
        labels=labels.file("labels.h5"),
        thresholds=labels.file("thresholds.csv") if mix else None,
        more=mix,
        keys=["selftrain.start_from", *mixing_keys(domains, collage)],
        in_run=in_run,
    )
