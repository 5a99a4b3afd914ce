"""The last training: all target images, and the model that is handed over (Gómez et al. 2022, Sect. III-B)."""

from collections.abc import Iterator

from cotrain.procedure import baselines, cotrain
from cotrain.procedure.domains import Domains
from cotrain.procedure.images import TARGET_TABLE
from cotrain.procedure.jobs import Job
from cotrain.procedure.labelling import infer, shares_inference, threshold
from cotrain.procedure.rounds import FINAL, Round
from cotrain.procedure.trainings import mixing, train
from cotrain.settings.config import Config


def last_round() -> Round:
    """Trained from W_0."""
    return Round(
        phase=FINAL,
        title="last training",
        category=baselines.SINGLE,
        start=baselines.source(),
        pseudolabelled=True,
    )


def labellers(config: Config) -> list[Round]:
    """Models that label all of X^u: that of `w`, or all for the ensemble."""
    models = cotrain.last_models(config)
    who = config.final.labels_from
    return models if who == "ensemble" else [models[int(who) - 1]]


def final(domains: Domains) -> Iterator[Job]:
    """Label all of X^u with k = K, and train on the long schedule; none if the config leaves it out."""
    config = domains.config
    if config.final is None:
        return
    round_ = last_round()
    models = labellers(config)
    yield from infer(
        domains,
        round_,
        models,
        TARGET_TABLE,
        in_shards=shares_inference(domains, candidates=None),
        ensemble=config.final.ensemble,
        keys=_keys_of_labellers(config),
    )
    yield threshold(domains, round_, "cotrain", k=config.cotrain.cycles, keys=["cotrain.cycles"])
    mix = mixing(domains, config.final.collage_share, rare_crops=False)
    yield train(
        domains,
        round_,
        "final",
        labels=round_.file("pseudolabels.h5"),
        thresholds=round_.file("thresholds.csv") if mix else None,
        more={**mix, "threads": max(config.training.threads, config.final.threads)},
        keys=["final?", "final.threads", "final.collage_share"],
    )


def _keys_of_labellers(config: Config) -> list[str]:
    keys = [
        "final?",
        "final.labels_from",
        "final.ensemble",
        "cotrain.cycles",
    ]
    if not config.cotrain.cycles:
        keys += [
            "cotrain.members",
            "selftrain.early_cycle",
            "selftrain.cycles",
        ]
    return keys
