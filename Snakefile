from pathlib import Path

from snakemake.utils import min_version

min_version("9.27")


# The same defaults wherever Snakemake is called; a config.yaml there goes on top.
configfile: str(Path(workflow.basedir, "config.yaml"))


if Path("config.yaml").is_file():

    configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/rounds.smk"
include: "workflow/rules/selftrain.smk"
include: "workflow/rules/cotrain.smk"
include: "workflow/rules/evaluate.smk"


rule all:
    default_target: True
    input:
        of_run(PLAN.files),
