"""What a run will cost, before it is paid: jobs, hours and disk.

The jobs and what each waits for follow from the plan; what a piece of work takes is a machine's rates (`Rates`), which
`calibration` measures. Nothing is looked up in results: the costs are those of a run from scratch.
"""

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
from cotrain.procedure.timeline import Timeline
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


class Costs:
    """Costs of the jobs of a plan at the rates of a machine. Images are counted where the datasets are."""

    def __init__(self, plan: Plan, rates: Rates):
        self.plan, self.rates = plan, rates
        self.jobs = {job: self._cost(job) for job in needed_jobs(plan)}

    @cached_property
    def timeline(self) -> Timeline:
        """When the jobs can run."""
        return Timeline(list(self.jobs), self.seconds, self.gpus)

    @cached_property
    def images(self) -> dict[str, int]:
        """Images of each domain."""
        return {domain: self._count(domain) for domain in self.plan.domains.domains}

    def _count(self, name: str) -> int:
        domain = self.plan.domains.domains[name]
        if self.plan.domains.scenes(name):
            scenes = getattr(self.plan.config.toycity, domain.split)
            return min(scenes, domain.limit or scenes)
        settings = Index.model_validate_json(self.plan.settings("index", name))
        return len(indexing.listed(Path(self.plan.domains.data_root(name)), settings))

    @cache  # noqa: B019 (it lives as long as one command)
    def images_in(self, path: str) -> int:
        """Images in a table or file of labels, at most: those of earlier cycles may be the same."""
        job = self.plan.makers[path]
        if job.stage == "index":
            return self.images[job.name.removesuffix(LABELLED)]
        if job.stage == "draw":
            return self._limited(job, job.inputs["index"][0])
        if job.stage in ("select", "exchange"):
            return self._limited(job, job.inputs["pseudolabels"][0])
        if job.stage == "infer":
            return self.images_in(job.inputs["images"][0])
        if job.stage == "fuse":
            fused = [self.images_in(file) for role in ("selected", "previous") for file in job.inputs[role]]
            return min(sum(fused), self.images["target"])
        return self.images_in(job.reads[0])

    def _limited(self, job: Job, path: str) -> int:
        count = self.images_in(path)
        return min(job.settings["count"] or count, count)

    def steps(self, job: Job) -> int:
        """Iterations of a training."""
        course, batch = job.settings["course"], job.settings["batch"]
        if not job.inputs["target"]:
            return iterations(course["steps"], course["epochs"], self.images["source"], batch)
        labels = job.inputs["labels"] or job.inputs["target"]
        per_step = max(1, round(job.settings["target_share"] * batch))
        return iterations(course["steps"], course["epochs"], self.images_in(labels[0]), per_step)

    def seconds(self, job: Job, gpus: int) -> float:
        """Seconds of a job where there are so many GPUs; several halve, third, … the steps of a training at best."""
        seconds, used = self.jobs[job].seconds, self.gpus(job, gpus)
        if used <= 1:
            return seconds
        return self.rates.network + (seconds - self.rates.network) / used

    def gpus(self, job: Job, gpus: int) -> int:
        """GPUs that a job takes where there are so many; 0 for one without a network."""
        return min(gpus, self.jobs[job].gpus)

    # ---- one job ------------------------------------------------------------------------------------------------

    def _cost(self, job: Job) -> Cost:
        if job.stage == "train":
            return self._training(job)
        if job.stage == "evaluate":
            return self._evaluation(job)
        if job.stage == "render":
            return self._rendering(job)
        if job.runs_network:
            return self._inference(job)
        return self._labelling(job)

    def _training(self, job: Job) -> Cost:
        step = self.rates.mixed_step if job.inputs["target"] else self.rates.source_step
        seconds = self.rates.network + step * self.steps(job)
        return Cost(seconds, self.plan.config.training.gpus, {"models": self.rates.model_bytes})

    def _inference(self, job: Job) -> Cost:
        images: float = self.images_in(job.inputs["images"][0])
        disk = {"predictions": images * self.rates.prediction_bytes}
        if job.rule == "infer_shard":
            images /= self.plan.config.inference.shards
            disk = {}  # until it is merged
        seconds = self.rates.network + images * len(job.inputs["models"]) * self.rates.infer
        return Cost(seconds, 1, disk)

    def _evaluation(self, job: Job) -> Cost:
        images = len(job.inputs["models"]) * self.images["validation"]
        return Cost(self.rates.network + images * self.rates.evaluate, 1, {})

    def _rendering(self, job: Job) -> Cost:
        scenes = job.settings["count"]
        seconds = self.rates.small + scenes * self.rates.scene
        return Cost(seconds, 0, {"scenes": scenes * self.rates.scene_bytes})

    def _labelling(self, job: Job) -> Cost:
        """Cost of a stage without a network, by the images that it goes through."""
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
            return sum(self.images_in(path) for path in job.outputs)
        if job.stage == "measure":
            return self.images_in(job.inputs["labels"][0])
        return 0

    # ---- all jobs -----------------------------------------------------------------------------------------------

    @property
    def disk(self) -> dict[str, float]:
        """Bytes by kind. Restart files, shards and predictions that are not kept are only there while jobs run."""
        total: dict[str, float] = defaultdict(float)
        for cost in self.jobs.values():
            for kind, size in cost.disk.items():
                total[kind] += size
        if not self.plan.config.inference.keep_predictions:
            del total["predictions"]
            total["predictions at the same time, at most"] = self._peak() * self.rates.prediction_bytes
        total["restart file of each training under way"] = self.rates.restart_bytes
        if any(job.rule == "merge" for job in self.jobs):
            total["shards until they are merged"] = self.images["target"] * self.rates.prediction_bytes
        return dict(total)

    def _peak(self) -> int:
        """Images with predictions at the same time, at most, if none is kept once all have read it."""
        inferences = {
            job: self.images_in(job.outputs[0])
            for job in self.jobs
            if job.stage == "infer" and job.rule != "infer_shard"
        }
        return self.timeline.most_at_a_time(inferences)


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


# ---- in words ---------------------------------------------------------------------------------------------------


def report(costs: Costs, cores: int) -> Iterator[str]:
    """Lines of text."""
    yield from _table(costs)
    yield ""
    for kind, size in costs.disk.items():
        yield f"disk, {kind}: {_size(size)}"
    yield ""
    for gpus in GPUS:
        unit = "GPU" if gpus == 1 else "GPUs"
        yield f"with {gpus} {unit} and {cores} cores: {_time(costs.timeline.wall(gpus, cores))}"
    seconds, chain = costs.timeline.longest_chain(GPUS[-1])
    yield f"longest chain of jobs: {_time(seconds)}, {len(chain)} jobs"
    yield f"rates: {costs.rates.machine or 'given'}"


def _table(costs: Costs) -> Iterator[str]:
    by_rule: dict[str, list[Job]] = defaultdict(list)
    for job in costs.jobs:
        by_rule[job.rule or job.stage].append(job)
    yield f"{'rule':<18} {'jobs':>6} {'time':>9} {'GPU hours':>10}"
    gpu_seconds = 0.0
    for rule, jobs in by_rule.items():
        seconds = sum(costs.jobs[job].seconds for job in jobs)
        gpu_hours = ""
        if jobs[0].runs_network:
            gpu_seconds += seconds
            gpu_hours = f"{seconds / 3600:.2f}"
        yield f"{rule:<18} {len(jobs):>6} {_time(seconds):>9} {gpu_hours:>10}"
    total = sum(cost.seconds for cost in costs.jobs.values())
    yield f"{'total':<18} {len(costs.jobs):>6} {_time(total):>9} {gpu_seconds / 3600:10.2f}"


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def _size(size: float) -> str:
    if size < 1e9:
        return f"{size / 1e6:,.1f} MB"
    return f"{size / 1e9:,.1f} GB"
