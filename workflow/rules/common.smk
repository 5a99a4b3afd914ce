import gc
import os
import sys
from pathlib import Path

from snakemake.io import apply_wildcards

from cotrain.settings.yaml_files import read_plain
from cotrain.base.errors import BadInput
from cotrain.procedure.plan import ROUND, SHARD, Plan, round_of
from cotrain.files.sidecars import sidecar
from cotrain.reruns.tickets import Reruns, wanted
from cotrain.reruns.sharing import hold, take

gc.freeze()  # of what Snakemake and we imported, nothing is garbage: looking for it again and again takes time


def bad_input(error):
    print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    sys.exit(2)


try:
    if workflow.is_main_process:
        for file in workflow.configfiles:  # Snakemake takes the later of two equal keys
            read_plain(Path(file))
    PLAN = Plan(config, Path(workflow.basedir) / "workflow")
    CONFIG = PLAN.config
    for domain in PLAN.domains:
        PLAN.data_root(domain)  # says at once what is missing
    RUN = str(Path(CONFIG.results, CONFIG.run))
    GPUS = PLAN.gpus()
    TRAINING_CORES, FINAL_CORES = (PLAN.training_cores(workflow.resource_settings.cores, r) for r in (None, "final"))
    if not workflow.is_main_process:  # a job may see GPUs that the login node lacks; it has the cores it was given
        TRAINING_CORES = int(os.environ.get("SLURM_CPUS_PER_TASK", TRAINING_CORES))
        FINAL_CORES = int(os.environ.get("SLURM_CPUS_PER_TASK", FINAL_CORES))
    if CONFIG.share_with and workflow.is_main_process:
        take(PLAN)
    RERUNS = Reruns(Path(RUN), active=workflow.is_main_process)
except BadInput as error:
    bad_input(error)

SHARED = str(Path(CONFIG.results, "shared"))
HELD = []  # locks, until this process ends


wildcard_constraints:
    round=ROUND,
    cycle=r"(selftrain|cotrain)/\d\d",
    model="[12]",
    table="source|target|target_labelled|validation",


def of_run(paths):
    """Paths below the run's folder, whatever holds them."""
    if isinstance(paths, dict):
        return {name: of_run(path) for name, path in paths.items()}
    if isinstance(paths, str):
        return f"{RUN}/{paths}"
    return [of_run(path) for path in paths]


def predictions(path):
    """Predictions as an output: temporary unless they are kept."""
    return path if CONFIG.inference.keep_predictions else temp(path)


def settings(stage, wildcard="round"):
    """Settings of a stage as its one parameter, for the round (or other wildcard) of the job."""
    return answered(lambda wildcards: PLAN.settings(stage, getattr(wildcards, wildcard, wildcard)))


def answered(question):
    """An input or params function that tells of bad input in one line."""

    def answer(wildcards):
        try:
            return question(wildcards)
        except BadInput as error:
            bad_input(error)

    return answer


def job(stage, output, wildcard="round", folder=None, beside=(), **inputs):
    """The named inputs of a job of a stage, and the ticket that makes it run again when `output` is out of date.

    `beside` are its other outputs, of which it is known too how they were made. An input is a pattern, a list of them, or a function of the wildcards; `folder` is one that an index lists.
    """

    def of_job(wildcards):
        paths = {}
        for name, given in inputs.items():
            given = given(wildcards) if callable(given) else given
            filled = [apply_wildcards(p, wildcards) for p in ([given] if isinstance(given, str) else given)]
            paths[name] = filled[0] if isinstance(given, str) else filled
        name = getattr(wildcards, wildcard, wildcard)
        read = [p for given in paths.values() for p in ([given] if isinstance(given, str) else given)]

        def making():
            return wanted(stage, PLAN.settings(stage, name), PLAN.keys(stage, name), read, folder and folder(wildcards))

        outputs = [apply_wildcards(path, wildcards) for path in (output, *beside)]
        return paths | {"ticket": RERUNS.ticket(stage, name, outputs, making)}

    return answered(of_job)


def together(name):
    """The group of a rule's jobs, which a cluster runs as one job; `labels`: one of each cycle, for both models."""

    def group(wildcards):
        if workflow.dryrun:  # which lists jobs one by one
            return None
        cycle = Path(wildcards.get("round") or wildcards.cycle).parts[:2] if name == "labels" else []
        return "_".join([name, *cycle])

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


def dataset_root(wildcards):
    return PLAN.data_root(wildcards.table)


def rendered(wildcards):
    """The scenes that an index lists, if this project renders them; a folder of photographs is no rule's output."""
    generated = PLAN.dataset(wildcards.table.removesuffix("_labelled")).generator
    return PLAN.data_root(wildcards.table) if generated else []


def source_inputs():
    """What every training reads of the source: images, colours to align them to, class counts to balance them by."""
    return {
        "source": f"{RUN}/data/source.csv",
        "color": lambda wildcards: f"{RUN}/data/color.csv" if PLAN.aligned(getattr(wildcards, "round", "")) else [],
        "statistics": f"{RUN}/data/source_statistics.h5" if CONFIG.training.class_balance else [],
    }


onstart:
    if (lock := answered(hold)(Path(RUN))) is None:
        bad_input(f"{RUN}: another Snakemake is at work in this folder; wait for it, or give another `run`")
    HELD.append(lock)


onsuccess:
    if (table := Path(RUN, "summary.txt")).exists():
        print(f"\n{table.read_text()}\nTable: {RUN}/summary.csv   Pictures: {RUN}/figures")
