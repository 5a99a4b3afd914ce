import json
import sys
from pathlib import Path

from snakemake.io import apply_wildcards

from cotrain.config import read_plain
from cotrain.errors import BadInput
from cotrain.plan import ROUND, Plan
from cotrain.reruns import Reruns, Wanted, listing


def bad_input(error):
    print("\n".join(f"error: {line}" for line in str(error).splitlines()), file=sys.stderr)
    sys.exit(2)


try:
    if workflow.is_main_process:
        for file in workflow.configfiles:  # Snakemake takes the later of two equal keys
            read_plain(Path(file))
    PLAN = Plan(config, Path(workflow.basedir) / "workflow")
    ROOTS = {domain: PLAN.data_root(domain) for domain in PLAN.domains}
except BadInput as error:
    bad_input(error)

CONFIG = PLAN.config
RUN = str(Path(CONFIG.results, CONFIG.run))
SHARED = str(Path(CONFIG.results, "shared"))
GPUS = PLAN.gpus()
RERUNS = Reruns(Path(RUN, ".tickets"), active=workflow.is_main_process)


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


def wanted_settings(stage, name):
    try:
        return PLAN.settings(stage, name)
    except BadInput as error:
        bad_input(error)


def settings(stage, wildcard="round"):
    """Settings of a stage as its one parameter, for the round (or other wildcard) of the job."""
    return lambda wildcards: wanted_settings(stage, getattr(wildcards, wildcard, wildcard))


def job(stage, output, wildcard="round", folder=None, **inputs):
    """The named inputs of a job of a stage, and the ticket that makes it run again when `output` is out of date.

    An input is a pattern, a list of them, or a function of the wildcards; `folder` is one that the stage lists.
    """

    def of_job(wildcards):
        paths = {}
        for name, given in inputs.items():
            given = given(wildcards) if callable(given) else given
            filled = [apply_wildcards(p, wildcards) for p in ([given] if isinstance(given, str) else given)]
            paths[name] = filled[0] if isinstance(given, str) else filled
        name = getattr(wildcards, wildcard, wildcard)
        read = [p for given in paths.values() for p in ([given] if isinstance(given, str) else given)]
        listings = {folder(wildcards): listing(folder(wildcards))} if folder else {}
        wanted = Wanted(
            json.loads(wanted_settings(stage, name)),
            PLAN.keys(stage, name),
            list(dict.fromkeys([*read, *listings])),
            listings,
        )
        return paths | {"ticket": RERUNS.ticket(stage, name, apply_wildcards(output, wildcards), wanted)}

    return of_job


def dataset_root(wildcards):
    return ROOTS[wildcards.table.removesuffix("_labelled")]


def rendered(wildcards):
    """The scenes that an index lists, if this project renders them; a folder of photographs is no rule's output."""
    domain = wildcards.table.removesuffix("_labelled")
    return ROOTS[domain] if PLAN.dataset(domain).generator else []


def source_inputs():
    """What every training reads of the source: images, colours to align them to, class counts to balance them by."""
    return {
        "source": f"{RUN}/data/source.csv",
        "color": lambda wildcards: f"{RUN}/data/color.csv" if PLAN.aligned(getattr(wildcards, "round", "")) else [],
        "statistics": f"{RUN}/data/source_statistics.h5" if CONFIG.training.class_balance else [],
    }


onsuccess:
    if (table := Path(RUN, "summary.txt")).exists():
        print(f"\n{table.read_text()}\nTable: {RUN}/summary.csv   Pictures: {RUN}/figures")
