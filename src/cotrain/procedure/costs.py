"""What a run will cost, before it is paid: jobs, hours, disk, and how long it takes on so many GPUs.

The jobs and what each waits for follow from the plan; what a piece of work takes is a machine's rates (`Rates`), which
`calibration` measures. Nothing is looked up in results: the costs are those of a run from scratch.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from cotrain.data import indexing
from cotrain.method.sampling import iterations
from cotrain.procedure.plan import FINAL, SELFTRAIN, SOURCE, SOURCE_2, SOURCE_ONLY, UPPER_BOUND, Plan
from cotrain.settings.config import CoTraining, SelfTraining
from cotrain.settings.datasets import Index
from cotrain.settings.strict import Strict
from cotrain.settings.types import Positive

GPUS = (1, 2, 4, 8)
NETWORK = ("train_source", "finetune", "train_final", "train_upper_bound", "infer", "infer_shard", "evaluate")


class Rates(Strict):
    """What pieces of work take on a machine, at the sizes and with the model of a config."""

    machine: str = Field("", description="where they were measured")
    small: Positive = Field(description="seconds of a job without a network, but for its images")
    network: Positive = Field(description="seconds of a job with a network, but for its steps or images")
    scene: Positive = Field(description="seconds to render a scene")
    map: Positive = Field(description="seconds per image of threshold, combine and the like")
    source_step: Positive = Field(description="seconds per step of a training on the source alone")
    mixed_step: Positive = Field(description="seconds per step of a training on source and target")
    infer: Positive = Field(description="seconds per image and model of an inference")
    evaluate: Positive = Field(description="seconds per image and model of an evaluation")
    scene_bytes: Positive = Field(description="bytes of a scene with its labels")
    prediction_bytes: Positive = Field(description="bytes per image in predictions.h5")
    label_bytes: Positive = Field(description="bytes per image in pseudolabels.h5")
    model_bytes: Positive = Field(description="bytes of a model.pt")
    restart_bytes: Positive = Field(description="bytes of a restart file")


class Job(NamedTuple):
    rule: str
    name: str  # of the round, table or cycle
    makes: tuple[str, ...]  # files below the run's folder
    reads: tuple[str, ...]

    @property
    def has_network(self) -> bool:
        return self.rule in NETWORK


class Cost(NamedTuple):
    seconds: float  # on one GPU
    gpus: int  # that it may use at a time; 0: none
    disk: dict[str, float]  # bytes that stay, by kind


# ---- the jobs of a run ------------------------------------------------------------------------------------------


def jobs(plan: Plan) -> list[Job]:
    """Every job of a run from scratch, each after those whose files it reads."""
    made = {path: job for job in _possible(plan) for path in job.makes}
    found: dict[Job, None] = {}

    def visit(path: str) -> None:
        job = made.get(path)
        if job and job not in found:
            for read in job.reads:
                visit(read)
            found[job] = None

    for path in plan.files:
        visit(path)
    return list(found)


def _possible(plan: Plan) -> Iterator[Job]:
    """Jobs that the rules have for the rounds of a plan, wanted or not."""
    yield from _of_data(plan)
    for round in (SOURCE, SOURCE_2, SOURCE_ONLY):
        yield Job("train_source", round, (f"{round}/model.pt",), _source(plan, round))
    initial = tuple(plan.initial(UPPER_BOUND))
    files = (*initial, "data/target_labelled.csv", *_source(plan, UPPER_BOUND))
    yield Job("train_upper_bound", UPPER_BOUND, (f"{UPPER_BOUND}/model.pt",), files)
    for round in plan.selftrain_rounds:
        yield Job("draw", round, (f"{round}/candidates.csv",), ("data/target.csv",))
    for round in plan.selftrain_rounds + plan.selftrain_2_rounds:
        yield Job("select", round, (f"{round}/selected.csv",), (f"{round}/pseudolabels.h5",))
        yield from _of_round(plan, round)
    for pair in zip(plan.cotrain_rounds(1), plan.cotrain_rounds(2), strict=True):
        yield from _of_pair(plan, pair)
    if plan.config.final:
        yield from _of_round(plan, FINAL)
    if "validation" in plan.domains:
        yield from _of_scores(plan)
    yield Job("report", "", ("report.html",), tuple(path for paths in plan.reported().values() for path in paths))


def _of_data(plan: Plan) -> Iterator[Job]:
    tables = [*plan.domains, *(["target_labelled"] if plan.config.data.target.truth else [])]
    for table in tables:
        domain = table.removesuffix("_labelled")
        rendered = (plan.scenes(plan.domains[domain].split),) if plan.dataset(domain).generator else ()
        yield Job("index", table, (f"data/{table}.csv",), rendered)
        for folder in rendered:
            yield Job("render", plan.domains[domain].split, (folder,), ())
    yield Job("color", "", ("data/color.csv",), ("data/source.csv", "data/target.csv"))
    yield Job("statistics", "", ("data/source_statistics.h5", *plan.prior_picture), ("data/source.csv",))


def _source(plan: Plan, round: str) -> tuple[str, ...]:
    """What every training reads of the source."""
    color = ["data/color.csv"] if plan.aligned(round) else []
    statistics = ["data/source_statistics.h5"] if plan.config.training.class_balance else []
    return ("data/source.csv", *color, *statistics)


def _of_round(plan: Plan, round: str) -> Iterator[Job]:
    """From the inference to the training."""
    predictions, candidates = f"{round}/predictions.h5", plan.candidates(round)
    read = (*plan.predictors(round), candidates, *plan.prior(round))
    if plan.in_shards(round):
        count = plan.config.inference.shards
        shards = tuple(f".shards/{round}/{n}-of-{count}/predictions.h5" for n in range(1, count + 1))
        for shard in shards:
            yield Job("infer_shard", round, (shard,), read)
        yield Job("merge", round, (predictions,), shards)
    else:
        yield Job("infer", round, (predictions,), read)
    yield Job("threshold", round, (f"{round}/pseudolabels.h5", f"{round}/thresholds.csv"), (predictions,))
    trained = (*plan.initial(round), "data/target.csv", plan.labels(round), *plan.thresholds(round))
    rule = "train_final" if round == FINAL else "finetune"
    yield Job(rule, round, (f"{round}/model.pt",), (*trained, *_source(plan, round)))
    if round != FINAL:
        yield Job("fuse", round, (f"{round}/labels.h5",), tuple(plan.fused(round).values()))


def _of_pair(plan: Plan, rounds: tuple[str, str]) -> Iterator[Job]:
    """A cycle of co-training."""
    cycle = rounds[0].rpartition("/")[0]
    yield Job("draw", cycle, (f"{cycle}/candidates.csv",), ("data/target.csv",))
    for round in rounds:
        yield from _of_round(plan, round)
    both = [f"{round}/{name}.h5" for round in rounds for name in ("pseudolabels", "predictions")]
    yield Job("combine", cycle, tuple(f"{round}/combined.h5" for round in rounds), tuple(both))
    read = plan.exchanged(cycle)
    selected = tuple(f"{round}/selected.csv" for round in rounds)
    yield Job("exchange", cycle, selected, (*read["pseudolabels"], *read["thresholds"]))


def _of_scores(plan: Plan) -> Iterator[Job]:
    scores, measures = [], []
    for round in plan.evaluated:
        made = (f"evaluation/{round}.json", f"evaluation/{round}.h5")
        yield Job("evaluate", round, made, (*plan.models(round), "data/validation.csv"))
        scores.append(made[0])
    for round in plan.measured:
        truth = ["data/target_labelled.csv"] if plan.config.data.target.truth else []
        measures.append(f"evaluation/pseudolabels/{round}.json")
        yield Job("measure", round, (measures[-1],), (plan.labels(round), *truth))
    yield Job("summarize", "", ("summary.csv", "summary.txt"), (*scores, *measures))
    pictures = (f"evaluation/{round}.h5" for round in plan.pictured)
    yield Job("plot", "", ("figures/overview.png", "figures/progress.png"), ("summary.csv", *pictures))


# ---- what a job costs -------------------------------------------------------------------------------------------


class Costs:
    """Of the jobs of a plan at some rates. How many images there are is looked up where the datasets are."""

    def __init__(self, plan: Plan, rates: Rates):
        self.plan, self.rates = plan, rates
        self.jobs = {job: self._cost(job) for job in jobs(plan)}

    @cached_property
    def images(self) -> dict[str, int]:
        """Of each domain."""
        found = {}
        for name, domain in self.plan.domains.items():
            if self.plan.dataset(name).generator:
                there = getattr(self.plan.config.toycity, domain.split)
                found[name] = min(there, domain.limit or there)
            else:
                settings = Index.model_validate_json(self.plan.settings("index", name))
                found[name] = len(indexing.listed(Path(self.plan.data_root(name)), settings))
        return found

    def candidates(self, round: str) -> int:
        """Images that a round's model is run on."""
        wanted = None if round == FINAL else self._stage(round).candidates
        return min(wanted or self.images["target"], self.images["target"])

    def labelled(self, round: str) -> int:
        """Images with pseudo-labels that a round trains on, at most: those of earlier cycles may be the same."""
        if round == FINAL:
            return self.images["target"]
        selftrain, stage, cycle = round.startswith(SELFTRAIN), self._stage(round), int(round.split("/")[1])
        fused = cycle if not selftrain or stage.fuse else 1
        return min(fused * (stage.selected or self.candidates(round)), self.images["target"])

    def steps(self, job: Job) -> int:
        """Iterations of a training."""
        training = self.plan.config.training
        if job.rule == "train_source":
            return iterations(training.source.steps, training.source.epochs, self.images["source"], training.batch)
        course = training.cycle if job.rule == "finetune" else training.final
        shown = self.images["target"] if job.rule == "train_upper_bound" else self.labelled(job.name)
        per_step = round(self.plan.config.mix.target_share * training.batch)
        return iterations(course.steps, course.epochs, shown, max(per_step, 1))

    def _stage(self, round: str) -> SelfTraining | CoTraining:
        return self.plan.config.selftrain if round.startswith(SELFTRAIN) else self.plan.config.cotrain

    def _cost(self, job: Job) -> Cost:
        rates, config = self.rates, self.plan.config
        if job.rule in ("train_source", "finetune", "train_final", "train_upper_bound"):
            step = rates.source_step if job.rule == "train_source" else rates.mixed_step
            seconds = rates.network + step * self.steps(job)
            return Cost(seconds, config.training.gpus, {"models": rates.model_bytes})
        if job.rule == "evaluate":
            models = len(self.plan.models(job.name))
            return Cost(rates.network + models * self.images["validation"] * rates.evaluate, 1, {})
        if job.rule in ("infer", "infer_shard"):
            images = self.candidates(job.name) / (config.inference.shards if job.rule == "infer_shard" else 1)
            seconds = rates.network + images * len(self.plan.predictors(job.name)) * rates.infer
            return Cost(seconds, 1, {"predictions": images * rates.prediction_bytes} if job.rule == "infer" else {})
        if job.rule == "render":
            scenes = getattr(config.toycity, job.name)
            return Cost(rates.small + scenes * rates.scene, 0, {"scenes": scenes * rates.scene_bytes})
        images = self._maps(job)
        labels = {"pseudo-labels": images * rates.label_bytes}
        kept = {"merge": {"predictions": images * rates.prediction_bytes}}
        kept |= {"threshold": labels, "combine": labels, "fuse": labels}
        return Cost(rates.small + images * rates.map, 0, kept.get(job.rule, {}))

    def _maps(self, job: Job) -> int:
        """How many images a stage without a network goes through."""
        if job.rule in ("color", "statistics"):
            return self.images["source"]
        if job.rule in ("merge", "threshold"):
            return self.candidates(job.name)
        if job.rule == "combine":
            return 2 * self.candidates(job.name)
        return self.labelled(job.name) if job.rule in ("fuse", "measure") else 0

    # ---- of all -------------------------------------------------------------------------------------------------

    @property
    def disk(self) -> dict[str, float]:
        """Bytes by kind; restart files and shards, and predictions that are not kept, are there only while jobs run."""
        total: dict[str, float] = defaultdict(float)
        for cost in self.jobs.values():
            for kind, size in cost.disk.items():
                total[kind] += size
        if not self.plan.config.inference.keep_predictions:
            del total["predictions"]
            total["predictions at the same time, at most"] = self._peak * self.rates.prediction_bytes
        total["restart file of each training under way"] = self.rates.restart_bytes
        if any(job.rule == "merge" for job in self.jobs):
            total["shards until they are merged"] = self.images["target"] * self.rates.prediction_bytes
        return dict(total)

    @property
    def _peak(self) -> int:
        """Images with predictions at the same time, at most, if none is kept once it was read by all."""
        makers = {path: job for job in self.jobs for path in job.makes}
        before: dict[Job, set[Job]] = {}  # each job and all that must have ended before it
        readers: dict[Job, list[Job]] = defaultdict(list)  # of the predictions of a round, by the job that makes them
        for job in self.jobs:  # each after those that it reads from
            needed = {makers[path] for path in job.reads if path in makers}
            before[job] = {job}.union(*(before[other] for other in needed))
            for other in needed:
                if other.rule in ("infer", "merge"):
                    readers[other].append(job)

        def beside(a: Job, b: Job) -> bool:
            return not (before[b].issuperset(readers[a]) or before[a].issuperset(readers[b]))

        def most(rounds: list[Job]) -> int:
            sets = ((one, [job for job in rounds[n:] if beside(one, job)]) for n, one in enumerate(rounds, start=1))
            return max((self.candidates(one.name) + most(others) for one, others in sets), default=0)

        return most(list(readers))

    def longest_chain(self) -> tuple[float, list[Job]]:
        """Seconds and jobs of the chain that no number of GPUs shortens, each training on all that it may use."""
        makers = {path: job for job in self.jobs for path in job.makes}
        ends: dict[Job, tuple[float, list[Job]]] = {}
        for job in self.jobs:  # each after those that it reads from
            before = max((ends[makers[path]] for path in job.reads if path in makers), default=(0.0, []), key=_first)
            ends[job] = (before[0] + self.seconds(job, GPUS[-1]), [*before[1], job])
        return max(ends.values(), key=_first)

    def seconds(self, job: Job, gpus: int) -> float:
        """Of a job where there are so many GPUs; several halve, third, … the steps of a training at best."""
        cost, used = self.jobs[job], min(gpus, max(1, self.jobs[job].gpus))
        return self.rates.network + (cost.seconds - self.rates.network) / used if used > 1 else cost.seconds

    def wall(self, gpus: int, cores: int) -> float:
        """Seconds that a run takes if ready jobs start as soon as they can, those with the longest way to go first.

        Jobs with a network take GPUs, the others a core each.
        """
        makers = {path: job for job in self.jobs for path in job.makes}
        waits = {job: {makers[path] for path in job.reads if path in makers} for job in self.jobs}
        followers, ahead = defaultdict(list), {}
        for job, needed in waits.items():
            for other in needed:
                followers[other].append(job)
        for job in reversed(self.jobs):
            ahead[job] = self.seconds(job, gpus) + max((ahead[other] for other in followers[job]), default=0.0)
        free, running, now = {True: gpus, False: cores}, [], 0.0
        ready = [job for job, needed in waits.items() if not needed]
        while ready or running:
            for job in sorted(ready, key=ahead.__getitem__, reverse=True):
                slots = min(gpus, self.jobs[job].gpus) if job.has_network else 1
                if free[job.has_network] >= slots:
                    free[job.has_network] -= slots
                    ready.remove(job)
                    heapq.heappush(running, (now + self.seconds(job, gpus), len(running), slots, job))
            now, _, slots, done = heapq.heappop(running)
            free[done.has_network] += slots
            for job in followers[done]:
                waits[job].discard(done)
                if not waits[job]:
                    ready.append(job)
        return now


def _first(pair: tuple[float, list[Job]]) -> float:
    return pair[0]


# ---- in words ---------------------------------------------------------------------------------------------------


def report(costs: Costs, cores: int) -> Iterator[str]:
    """Lines of text."""
    by_rule: dict[str, list[Job]] = defaultdict(list)
    for job in costs.jobs:
        by_rule[job.rule].append(job)
    yield f"{'rule':<18} {'jobs':>6} {'time':>9} {'GPU hours':>10}"
    for rule, some in by_rule.items():
        seconds = sum(costs.jobs[job].seconds for job in some)
        hours = f"{seconds / 3600:10.2f}" if rule in NETWORK else f"{'':>10}"
        yield f"{rule:<18} {len(some):>6} {_time(seconds):>9} {hours}"
    gpu = sum(costs.jobs[job].seconds for job in costs.jobs if job.has_network)
    total = sum(cost.seconds for cost in costs.jobs.values())
    yield f"{'total':<18} {len(costs.jobs):>6} {_time(total):>9} {gpu / 3600:10.2f}"
    yield ""
    yield from (f"disk, {kind}: {_size(size)}" for kind, size in costs.disk.items())
    yield ""
    for gpus in GPUS:
        yield f"with {gpus} GPU{'s' if gpus > 1 else ''} and {cores} cores: {_time(costs.wall(gpus, cores))}"
    seconds, chain = costs.longest_chain()
    yield f"longest chain of jobs: {_time(seconds)}, {len(chain)} jobs"
    yield f"rates: {costs.rates.machine or 'given'}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(size: float) -> str:
    return f"{size / 1e6:,.1f} MB" if size < 1e9 else f"{size / 1e9:,.1f} GB"
