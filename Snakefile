from snakemake.utils import min_version

min_version("9.27")


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
