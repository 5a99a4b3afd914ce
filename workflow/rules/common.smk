import gc
import os
import sys
from pathlib import Path

from snakemake.io import apply_wildcards

from cotrain.base.errors import BadInput
from cotrain.base.home import ensure_home
from cotrain.files.sidecars import sidecar
from cotrain.procedure.plan import Plan
from cotrain.procedure.rounds import CYCLE, ROUND, SHARD
from cotrain.reruns.sharing import hold, take
from cotrain.reruns.tickets import Reruns, wanted
from cotrain.settings.yaml_files import read_plain

gc.freeze()  # nothing that Snakemake and we imported is garbage, and searching it again and again takes time


def bad_input(error):
    print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    sys.exit(2)


try:
    ensure_home()  # again, for a profile other than the default one
    if workflow.is_main_process:
        for file in workflow.configfiles:  # Snakemake takes the later of two equal keys
            read_plain(Path(file))
    PLAN = Plan(config, Path(workflow.basedir) / "workflow")
    CONFIG = PLAN.config
    for domain in PLAN.domains.domains:
        PLAN.domains.data_root(domain)  # a missing folder is an error now, not in a job
    RUN = str(Path(CONFIG.results, CONFIG.run))
    SHARED = str(Path(CONFIG.results, "shared"))
    GPUS = PLAN.gpus()
    if CONFIG.share_with and workflow.is_main_process:
        take(PLAN)
    RERUNS = Reruns(Path(RUN), active=workflow.is_main_process)
except BadInput as error:
    bad_input(error)

LOCKS = []  # held until this process ends


wildcard_constraints:
    round=ROUND,
    cycle=CYCLE,
    table="source|target|target_labelled|validation",


def of_run(paths):
    """Paths below the run's folder, whatever holds them."""
    if isinstance(paths, str):
        return paths if paths.startswith(f"{SHARED}/") else f"{RUN}/{paths}"
    return [of_run(path) for path in paths]


def answered(question):
    """An input or params function that reports bad input in one line."""

    def answer(wildcards):
        try:
            return question(wildcards)
        except BadInput as error:
            bad_input(error)

    return answer


def job_of(output, wildcards):
    """The job that makes `output`, a pattern below the run's folder or that of all runs."""
    return PLAN.maker(apply_wildcards(output, wildcards).removeprefix(f"{RUN}/"))


def inputs(output):
    """The inputs of the job that makes `output`, by role, and its ticket, which makes it run again when out of date."""

    def of_job(wildcards):
        job = job_of(output, wildcards)
        paths = {role: of_run(paths) for role, paths in job.inputs.items()}
        if job.scenes:
            paths["scenes"] = job.scenes
        folder = PLAN.domains.data_root(job.name) if job.stage == "index" else None

        def making():
            read = of_run(job.inputs_of_ticket)
            return wanted(job.stage, job.settings_json, PLAN.keys_of(job), read, folder)

        return paths | {"ticket": RERUNS.ticket(job.stage, job.name, of_run(job.outputs), making)}

    return answered(of_job)


def settings(output):
    """Settings of the job that makes `output`, as its one parameter."""
    return answered(lambda wildcards: job_of(output, wildcards).settings_json)


def predictions(path):
    """Predictions as an output: temporary unless they are kept."""
    return path if CONFIG.inference.keep_predictions else temp(path)


def training_cores(wildcards):
    """Cores of a training; a job on a cluster has those it was given, and may see GPUs that the login node lacks."""
    cores = PLAN.training_cores(wildcards.round, workflow.resource_settings.cores)
    return cores if workflow.is_main_process else int(os.environ.get("SLURM_CPUS_PER_TASK", cores))


def together(name):
    """The group of a rule's jobs, which a cluster runs as one job; `labels`: one of each cycle, for all its models."""

    def group(wildcards):
        if workflow.dryrun:  # which lists jobs one by one
            return None
        if name != "labels":
            return name
        cycle = PLAN.cycle_of(wildcards.get("round") or wildcards.cycle)
        return "_".join([name, *Path(cycle).parts])

    return group


def shown(path, what, model=None):
    """An output that `snakemake --report` shows, by phase and cycle; `what` is its caption in workflow/report."""
    caption = f"../report/{what}.rst"
    if "{round}" not in path and "{cycle}" not in path:
        return report(path, caption=caption, category="Results", labels={"file": what})

    def heading(wildcards):
        return PLAN.heading(wildcards.get("round") or wildcards.cycle)

    return report(
        path,
        caption=caption,
        category=lambda wildcards: heading(wildcards)[0],
        subcategory=lambda wildcards: heading(wildcards)[1],
        labels=lambda wildcards: {"file": what, "model": model or heading(wildcards)[2]},
    )


onstart:
    if (lock := answered(hold)(Path(RUN))) is None:
        bad_input(f"{RUN}: another Snakemake is at work in this folder; wait for it, or give another `run`")
    LOCKS.append(lock)


onsuccess:
    if (table := Path(RUN, "summary.txt")).exists():
        print(f"\n{table.read_text()}\nTable: {RUN}/summary.csv   Pictures: {RUN}/figures")
