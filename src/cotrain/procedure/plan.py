"""The unrolled procedure of a config: the jobs of all phases, joined and checked.

The workflow's rules, a run's list of files, its costs, sharing between runs, tables and report all follow from one list
of jobs. No arithmetic on data and no heavy imports: Snakemake reads this in every job.
"""

import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from cotrain.base.errors import BadInput
from cotrain.base.gpus import visible_gpus
from cotrain.procedure import cotrain, final, scores, selftrain
from cotrain.procedure.baselines import baseline_jobs
from cotrain.procedure.domains import Domains
from cotrain.procedure.images import image_jobs
from cotrain.procedure.jobs import Job, values_of
from cotrain.procedure.rounds import FINAL, Round
from cotrain.settings import architectures
from cotrain.settings.config import Config, NamedModel, parse_config
from cotrain.settings.training import workers_of


class Plan:
    """All jobs of a config, and what the workflow asks about them."""

    def __init__(self, config: dict, workflow: Path):
        """`config` is the content of config.yaml, `workflow` the folder with descriptions of datasets and label sets.

        Raises BadInput with a line for each fault of the config.
        """
        self.config: Config = parse_config(config)
        self.domains = Domains(self.config, workflow)
        for key, model in self.config.named_models.items():
            self._check_model(key, model)

    def _check_model(self, key: str, model: NamedModel) -> None:
        architecture, batch = model.architecture, self.config.training.batch
        needed = architectures.needs(architecture).batch
        if batch < needed:
            raise BadInput(
                f"config: training.batch: {batch}, and BatchNorm in {architecture} needs {needed} images; raise it"
            )
        is_own = architectures.library(architecture) == architectures.OWN
        if is_own and architectures.source_file(architecture) is None:
            module = architecture.partition(":")[0]
            raise BadInput(
                f"config: {key}.architecture: no module {module}; put it into the current folder or where Python finds "
                "packages (PYTHONPATH)"
            )

    # ---- jobs ---------------------------------------------------------------------------------------------------

    @cached_property
    def jobs(self) -> list[Job]:
        """All jobs that there are rules for, those of the ablation too. Raises BadInput for a missing data folder."""
        jobs = list(self._jobs())
        labels = {job.name: job.inputs["labels"][0] for job in jobs if job.stage == "train" and job.inputs["labels"]}
        return jobs + list(scores.score_jobs(self.domains, labels))

    def _jobs(self) -> Iterator[Job]:
        yield from image_jobs(self.domains)
        yield from baseline_jobs(self.domains)
        for model in self.config.models:
            yield from selftrain.selftrain(self.domains, model)
        yield from selftrain.mixbatch(self.domains)
        yield from cotrain.cotrain(self.domains)
        yield from final.final(self.domains)

    @cached_property
    def makers(self) -> dict[str, Job]:
        """The job that makes each file, by its path below the run's folder."""
        return {path: job for job in self.jobs for path in job.outputs}

    @cached_property
    def _by_name(self) -> dict[tuple[str, str], Job]:
        return {(job.stage, job.name): job for job in self.jobs}

    def job(self, stage: str, name: str = "") -> Job | None:
        """The job of a stage for a round, cycle or table; None if there is none."""
        return self._by_name.get((stage, name))

    def maker(self, path: str) -> Job:
        """The job that makes a file. Raises BadInput, saying which part of the config leaves it out."""
        job = self.makers.get(path)
        if job is None:
            raise self._absent(path)
        return job

    def _absent(self, path: str) -> BadInput:
        if path.startswith(f"{FINAL}/") and self.config.final is None:
            return BadInput("config: final: null, and this target needs the last training; give final.labels_from")
        if path.startswith(("evaluation/", "figures/", "summary", "ablation")) and not self.config.data.validation:
            return scores.no_scores()
        return BadInput(f"config: nothing makes {path}; ask for a round and cycle that the config has")

    @property
    def files(self) -> list[str]:
        """Every file of a run. All are asked for, so that a deleted one is made again with what follows from it."""
        return [path for job in self.jobs if job.in_run and job.stage != "render" for path in self._lasting(job)]

    def _lasting(self, job: Job) -> tuple[str, ...]:
        """Files that a job leaves; predictions are removed after use unless they are kept."""
        keeps = job.stage != "infer" or self.config.inference.keep_predictions
        return job.outputs if keeps else ()

    def settings(self, stage: str, name: str = "") -> str:
        """What `cotrain STAGE --settings` gets for a job: canonical JSON. Raises KeyError if there is no such job."""
        return self._by_name[stage, name].settings_json

    def keys_of(self, job: Job) -> dict[str, Any]:
        """Config keys that the settings and inputs of a job follow from, with their values."""
        return values_of(self.config, job.keys)

    # ---- rounds -------------------------------------------------------------------------------------------------

    @cached_property
    def rounds(self) -> dict[str, Round]:
        """Rounds by their paths, and those of one member by the path of their cycle."""
        rounds: dict[str, Round] = {}
        for job in self.jobs:
            if job.round:
                rounds.setdefault(job.round.cycle_path, job.round)
                rounds.setdefault(job.round.path, job.round)
        return rounds

    @property
    def members(self) -> list[str]:
        """Names of co-training's members in paths."""
        return [str(number) for number, _ in enumerate(self.config.cotrain.members, start=1)]

    def heading(self, name: str) -> tuple[str, str, str]:
        """Phase, cycle and model of a round or cycle, as a person reads them."""
        return self.rounds[name].heading

    def cycle_of(self, name: str) -> str:
        """Path of the cycle of a round, for which jobs are grouped."""
        return self.rounds[name].cycle_path

    def rounds_made_by(self, rule: str) -> str:
        """A regular expression of the rounds that a rule has jobs for."""
        paths = [job.round.path for job in self.jobs if job.round and (job.rule or job.stage) == rule]
        return "|".join(map(re.escape, dict.fromkeys(paths))) or "none"

    # ---- processors ---------------------------------------------------------------------------------------------

    def gpus(self) -> int:
        """GPUs that a job with a network asks for."""
        device = self.config.device
        return int(device == "cuda" or (device == "auto" and visible_gpus() != []))

    def training_cores(self, name: str, cores: int | None = None) -> int:
        """Processor cores that the training of a round asks for.

        Of a machine's `cores` each of its GPUs has its share, or GPUs would wait for cores that do little.
        """
        training, threads = self.config.training, self._by_name["train", name].settings["threads"]
        per_process = threads + workers_of(training.workers, self.gpus() > 0)
        if cores and visible_gpus():
            per_process = min(per_process, max(threads, cores // len(visible_gpus())))
        return training.gpus * per_process

    def training_memory(self) -> int:
        """MB of memory that a training asks a cluster for; measured in docs/cluster.md for images of 96 × 192."""
        training = self.config.training
        processes = training.gpus * (1 + workers_of(training.workers, self.gpus() > 0))
        return 1070 + 330 * processes
