import sys
from pathlib import Path

from cotrain.errors import BadInput
from cotrain.plan import ROUND, Plan


def bad_input(error):
    print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    sys.exit(2)


try:
    PLAN = Plan(config, Path(workflow.basedir) / "workflow")
    ROOTS = {domain: PLAN.data_root(domain) for domain in PLAN.domains}
except BadInput as error:
    bad_input(error)

CONFIG = PLAN.config
RUN = f"{CONFIG.results}/{CONFIG.run}"
SHARED = f"{CONFIG.results}/shared"
GPUS = PLAN.gpus()


wildcard_constraints:
    round=ROUND,
    cycle=r"(selftrain|cotrain)/\d\d",
    model="[12]",
    table="source|target|target_labelled|validation",


def of_run(paths):
    """Paths below the run's folder, whatever holds them."""
    if isinstance(paths, dict):
        return {name: of_run(path) for name, path in paths.items()}
    return f"{RUN}/{paths}" if isinstance(paths, str) else [f"{RUN}/{path}" for path in paths]


def settings(stage, wildcard="round"):
    """Settings of a stage as its one parameter, for the round (or other wildcard) of the job."""

    def of_job(wildcards):
        try:
            return PLAN.settings(stage, getattr(wildcards, wildcard, ""))
        except BadInput as error:
            bad_input(error)

    return of_job


def rendered(wildcards):
    """The scenes that an index lists, if this project renders them; a folder of photographs is no rule's output."""
    domain = wildcards.table.removesuffix("_labelled")
    return ROOTS[domain] if PLAN.datasets[domain].generator else []


def source_inputs(wildcards):
    """What every training reads of the source: images, colours to align them to, class counts to balance them by."""
    return {
        "source": f"{RUN}/data/source.csv",
        "color": f"{RUN}/data/color.csv" if PLAN.aligned(getattr(wildcards, "round", "")) else [],
        "statistics": f"{RUN}/data/source_statistics.h5" if CONFIG.training.class_balance else [],
    }


def fused(wildcards):
    return {"previous": []} | of_run(PLAN.fused(wildcards.round))


onsuccess:
    if (table := Path(RUN, "summary.txt")).exists():
        print(f"\n{table.read_text()}\nTable: {RUN}/summary.csv   Pictures: {RUN}/figures")
