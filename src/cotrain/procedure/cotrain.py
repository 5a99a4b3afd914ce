"""The co-training loop (Gómez et al. 2022, Algorithms 2 and 3), for two models or more."""

from collections.abc import Iterator, Sequence

from cotrain.procedure import selftrain
from cotrain.procedure.domains import Domains
from cotrain.procedure.jobs import Job
from cotrain.procedure.labelling import combine, draw, exchange, fuse, infer, shares_inference, threshold
from cotrain.procedure.rounds import COTRAIN, Round
from cotrain.procedure.trainings import mixing, mixing_keys, train
from cotrain.settings.config import Config

CATEGORY = "Co-training"


def starts(config: Config) -> list[Round]:
    """W_{0,i} of each member: the model of the self-training round that it starts from."""
    return [
        selftrain.rounds(config, config.model_of(number))[config.start_of(member) - 1]
        for number, member in enumerate(config.cotrain.members, start=1)
    ]


def cycles(config: Config) -> list[list[Round]]:
    """Cycles 1 … K: one round for each member, which trains from the member's W_{0,i}."""
    return [
        [
            Round(
                phase=COTRAIN,
                title=f"co-training {cycle}, model {number}",
                category=CATEGORY,
                cycle=cycle,
                member=str(number),
                model=config.model_of(number),
                start=start,
                pseudolabelled=True,
            )
            for number, start in enumerate(starts(config), start=1)
        ]
        for cycle in range(1, config.cotrain.cycles + 1)
    ]


def last_models(config: Config) -> list[Round]:
    """The members' models at the end of the loop; without cycles, those that they would start from."""
    return cycles(config)[-1] if config.cotrain.cycles else starts(config)


def ensemble(config: Config) -> Round | None:
    """The members of the last cycle scored as one, by the mean of their softmaxes; None without cycles."""
    if not config.cotrain.cycles:
        return None
    members = cycles(config)[-1]
    who = "both" if len(members) == 2 else "all"
    return Round(
        phase=COTRAIN,
        title=f"co-training {config.cotrain.cycles}, {who} models",
        category=CATEGORY,
        cycle=config.cotrain.cycles,
        member=who,
        models=tuple(members),
    )


def cotrain(domains: Domains) -> Iterator[Job]:
    """Algorithm 3: all members label the same candidates, combine and exchange their labels, and train."""
    labellers = starts(domains.config)
    earlier: Sequence[Round | None] = [None] * len(labellers)  # X^l̂ starts from the empty set
    for members in cycles(domains.config):
        yield draw(domains, members[0], "cotrain")
        for member, labeller in zip(members, labellers, strict=True):
            yield from _label(domains, member, labeller)
        yield from _collaborate(domains, members, earlier)
        for member in members:
            yield _train(domains, member)
        labellers, earlier = members, members


def _label(domains: Domains, member: Round, labeller: Round) -> Iterator[Job]:
    """Run(W_i, X^u_N, k, T) of one member."""
    candidates = f"{member.cycle_path}/candidates.csv"
    in_shards = shares_inference(domains, domains.config.cotrain.candidates)
    keys = start_keys(domains.config, member) if member.cycle == 1 else ()
    yield from infer(domains, member, [labeller], candidates, in_shards=in_shards, keys=keys)
    yield threshold(domains, member, "cotrain", k=member.cycle - 1)


def _collaborate(domains: Domains, members: Sequence[Round], earlier: Sequence[Round | None]) -> Iterator[Job]:
    """Combination, Algorithm 2 in all directions, and the fusion of what each member receives with what it has."""
    files = [member.file("pseudolabels.h5") for member in members]
    if members[0].cycle >= domains.config.cotrain.combine_from_cycle:
        yield combine(members)
        files = [member.file("combined.h5") for member in members]
    yield exchange(domains, members, files)
    for number, member in enumerate(members):
        received = files
        if len(files) == 2:  # from the only other member
            received = [files[1 - number]]
        previous = earlier[number]
        labels = previous.file("labels.h5") if previous else None
        yield fuse(member, received, labels, keys=["cotrain.members", "cotrain.combine_from_cycle"])


def _train(domains: Domains, member: Round) -> Job:
    """Train from W_{0,i} on X^l and on what the member received."""
    mix = mixing(domains, domains.config.mix.collage_share, rare_crops=True)
    return train(
        domains,
        member,
        "cycle",
        labels=member.file("labels.h5"),
        thresholds=member.file("thresholds.csv") if mix else None,
        more=mix,
        keys=[*start_keys(domains.config, member), *mixing_keys(domains, collage=True)],
    )


def start_keys(config: Config, member: Round) -> list[str]:
    """Config keys that say which model a member starts from."""
    start = config.cotrain.members[int(member.member) - 1].start
    cycle_keys = {"early": ["selftrain.early_cycle"], "last": ["selftrain.cycles"]}
    return ["cotrain.members", *cycle_keys.get(start, [])]
