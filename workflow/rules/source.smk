def source_inputs(wildcards):
    """What every training reads of the source: images, colours to align them to, class counts to balance them by."""
    return {
        "source": f"{RUN}/data/source.csv",
        "color": f"{RUN}/data/color.csv" if PLAN.aligned(getattr(wildcards, "round", "")) else [],
        "statistics": f"{RUN}/data/source_statistics.h5" if CONFIG.training.class_balance else [],
    }


rule train_source:
    input:
        unpack(source_inputs),
    output:
        f"{RUN}/{{round}}/model.pt",
    wildcard_constraints:
        round="source|source_only",
    params:
        settings=settings("train"),
    threads: CONFIG.training.threads
    resources:
        gpu=GPUS,
    log:
        f"{RUN}/logs/{{round}}/train.log",
    shell:
        "cotrain train --source {input.source:q} --color {input.color:q} --statistics {input.statistics:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule train_upper_bound:
    input:
        unpack(source_inputs),
        initial=f"{RUN}/source/model.pt",
        target=f"{RUN}/data/target_labelled.csv",
    output:
        f"{RUN}/upper_bound/model.pt",
    params:
        settings=PLAN.settings("train", "upper_bound"),
    threads: CONFIG.training.threads
    resources:
        gpu=GPUS,
    log:
        f"{RUN}/logs/upper_bound/train.log",
    shell:
        "cotrain train --init {input.initial:q} --source {input.source:q} --color {input.color:q}"
        " --statistics {input.statistics:q} --target {input.target:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
