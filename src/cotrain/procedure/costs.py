"""What a run will cost, before it is paid: jobs, hours, disk, and how long it takes on so many GPUs.

The jobs and what each waits for follow from the plan; what a piece of work takes is a machine's rates (`Rates`), which
`calibration` measures. Nothing is looked up in results: the costs are those of a run from scratch.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from cotrain.data import indexing
from cotrain.method.sampling import iterations
from cotrain.procedure.domains import LABELLED
from cotrain.procedure.jobs import Job
from cotrain.procedure.plan import Plan
from cotrain.settings.datasets import Index
from cotrain.settings.strict import Strict
from cotrain.settings.types import Positive

GPUS = (1, 2, 4, 8)


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


class Cost(NamedTuple):
    seconds: float  # on one GPU
    gpus: int  # that it may use at a time; 0: none
    disk: dict[str, float]  # bytes that stay, by kind


def needed_jobs(plan: Plan) -> list[Job]:
    """Every job of a run from scratch, each after those whose files it reads."""
    needed: dict[Job, None] = {}

    def visit(path: str) -> None:
        job = plan.makers.get(path)
        if job and job not in needed:
            for read in job.reads:
                visit(read)
            needed[job] = None

    for path in plan.files:
        visit(path)
    return list(needed)


class Costs:
    """Of the jobs of a plan at some rates. How many images there are is looked up where the datasets are."""

    def __init__(self, plan: Plan, rates: Rates):
        self.plan, self.rates = plan, rates
        self.jobs = {job: self._cost(job) for job in needed_jobs(plan)}

    @cached_property
    def images(self) -> dict[str, int]:
        """Of each domain."""
        count = {}
        for name, domain in self.plan.domains.domains.items():
            if self.plan.domains.scenes(name):
                scenes = getattr(self.plan.config.toycity, domain.split)
                count[name] = min(scenes, domain.limit or scenes)
            else:
                settings = Index.model_validate_json(self.plan.settings("index", name))
                count[name] = len(indexing.listed(Path(self.plan.domains.data_root(name)), settings))
        return count

    @cache  # noqa: B019 (of one command)
    def images_in(self, path: str) -> int:
        """Images in a table or file of labels, at most: those of earlier cycles may be the same."""
        job = self.plan.makers[path]
        if job.stage == "index":
            return self.images[job.name.removesuffix(LABELLED)]
        if job.stage in ("draw", "select", "exchange"):
            (source, *_) = job.inputs["index" if job.stage == "draw" else "pseudolabels"]
            return min(job.settings["count"] or self.images["target"], self.images_in(source))
        if job.stage == "infer":
            return self.images_in(job.inputs["images"][0])
        if job.stage == "fuse":
            files = (*job.inputs["selected"], *job.inputs["previous"])
            return min(sum(map(self.images_in, files)), self.images["target"])
        return self.images_in(job.reads[0])

    def steps(self, job: Job) -> int:
        """Iterations of a training."""
        course, batch = job.settings["course"], job.settings["batch"]
        if not job.inputs["target"]:
            return iterations(course["steps"], course["epochs"], self.images["source"], batch)
        labels = job.inputs["labels"] or job.inputs["target"]
        per_step = max(1, round(job.settings["target_share"] * batch))
        return iterations(course["steps"], course["epochs"], self.images_in(labels[0]), per_step)

    def _cost(self, job: Job) -> Cost:
        costs = {
            "train": self._training,
            "infer": self._inference,
            "evaluate": self._evaluation,
            "render": self._rendering,
        }
        cost = self._labelling if job.rule == "merge" else costs.get(job.stage, self._labelling)
        return cost(job)

    def _training(self, job: Job) -> Cost:
        step = self.rates.mixed_step if job.inputs["target"] else self.rates.source_step
        seconds = self.rates.network + step * self.steps(job)
        return Cost(seconds, self.plan.config.training.gpus, {"models": self.rates.model_bytes})

    def _inference(self, job: Job) -> Cost:
        images: float = self.images_in(job.inputs["images"][0])
        if job.rule == "infer_shard":
            images /= self.plan.config.inference.shards
        seconds = self.rates.network + images * len(job.inputs["models"]) * self.rates.infer
        is_whole = job.rule != "infer_shard"
        return Cost(seconds, 1, {"predictions": images * self.rates.prediction_bytes} if is_whole else {})

    def _evaluation(self, job: Job) -> Cost:
        images = len(job.inputs["models"]) * self.images["validation"]
        return Cost(self.rates.network + images * self.rates.evaluate, 1, {})

    def _rendering(self, job: Job) -> Cost:
        scenes = job.settings["count"]
        return Cost(self.rates.small + scenes * self.rates.scene, 0, {"scenes": scenes * self.rates.scene_bytes})

    def _labelling(self, job: Job) -> Cost:
        """A stage without a network, by the images that it goes through."""
        images = self._images_read(job)
        disk = {}
        if job.stage in ("threshold", "combine", "fuse"):
            disk["pseudo-labels"] = images * self.rates.label_bytes
        if job.rule == "merge":
            disk["predictions"] = images * self.rates.prediction_bytes
        return Cost(self.rates.small + images * self.rates.map, 0, disk)

    def _images_read(self, job: Job) -> int:
        if job.stage in ("color", "statistics"):
            return self.images["source"]
        if job.stage in ("infer", "threshold", "fuse"):
            return self.images_in(job.outputs[0])
        if job.stage == "combine":
            return sum(map(self.images_in, job.outputs))
        return self.images_in(job.inputs["labels"][0]) if job.stage == "measure" else 0

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
        makers = {path: job for job in self.jobs for path in job.outputs}
        before: dict[Job, set[Job]] = {}  # each job and all that must have ended before it
        readers: dict[Job, list[Job]] = defaultdict(list)  # of the predictions of a round, by the job that makes them
        for job in self.jobs:  # each after those that it reads from
            needed = {makers[path] for path in job.reads if path in makers}
            before[job] = {job}.union(*(before[other] for other in needed))
            for other in needed:
                if other.stage == "infer" and other.rule != "infer_shard":
                    readers[other].append(job)

        def beside(a: Job, b: Job) -> bool:
            return not (before[b].issuperset(readers[a]) or before[a].issuperset(readers[b]))

        def most(rounds: list[Job]) -> int:
            sets = ((one, [job for job in rounds[n:] if beside(one, job)]) for n, one in enumerate(rounds, start=1))
            return max((self.images_in(one.outputs[0]) + most(others) for one, others in sets), default=0)

        return most(list(readers))

    def longest_chain(self) -> tuple[float, list[Job]]:
        """Seconds and jobs of the chain that no number of GPUs shortens, each training on all that it may use."""
        makers = {path: job for job in self.jobs for path in job.outputs}
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
        makers = {path: job for job in self.jobs for path in job.outputs}
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
                slots = min(gpus, self.jobs[job].gpus) if job.runs_network else 1
                if free[job.runs_network] >= slots:
                    free[job.runs_network] -= slots
                    ready.remove(job)
                    heapq.heappush(running, (now + self.seconds(job, gpus), len(running), slots, job))
            now, _, slots, done = heapq.heappop(running)
            free[done.runs_network] += slots
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
        by_rule[job.rule or job.stage].append(job)
    yield f"{'rule':<18} {'jobs':>6} {'time':>9} {'GPU hours':>10}"
    for rule, some in by_rule.items():
        seconds = sum(costs.jobs[job].seconds for job in some)
        hours = f"{seconds / 3600:10.2f}" if some[0].runs_network else f"{'':>10}"
        yield f"{rule:<18} {len(some):>6} {_time(seconds):>9} {hours}"
    gpu = sum(costs.jobs[job].seconds for job in costs.jobs if job.runs_network)
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
