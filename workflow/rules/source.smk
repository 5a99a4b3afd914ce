rule train_source:
    input:
        unpack(job("train", f"{RUN}/{{round}}/model.pt", **source_inputs())),
    output:
        f"{RUN}/{{round}}/model.pt",
    log:
        f"{RUN}/logs/{{round}}/train.log",
    wildcard_constraints:
        round="source|source_2|source_only",
    conda:
        "../../envs/environment.yaml"
    threads: TRAINING_CORES
    resources:
        gpu=GPUS * CONFIG.training.gpus,
    params:
        settings=settings("train"),
        restart=f"{RUN}/.restart/{{round}}.pt",
        tensorboard=f"{RUN}/tensorboard/{{round}}",
    shell:
        "cotrain train --source {input.source:q} --color {input.color:q} --statistics {input.statistics:q}"
        " --out {output:q} --restart {params.restart:q}"
        " --tensorboard {params.tensorboard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule train_upper_bound:
    input:
        unpack(
            job(
                "train",
                f"{RUN}/upper_bound/model.pt",
                "upper_bound",
                **source_inputs(),
                initial=f"{RUN}/source/model.pt",
                target=f"{RUN}/data/target_labelled.csv",
            )
        ),
    output:
        f"{RUN}/upper_bound/model.pt",
    log:
        f"{RUN}/logs/upper_bound/train.log",
    conda:
        "../../envs/environment.yaml"
    threads: TRAINING_CORES
    resources:
        gpu=GPUS * CONFIG.training.gpus,
    params:
        settings=PLAN.settings("train", "upper_bound"),
        restart=f"{RUN}/.restart/upper_bound.pt",
        tensorboard=f"{RUN}/tensorboard/upper_bound",
    shell:
        "cotrain train --init {input.initial:q} --source {input.source:q} --color {input.color:q}"
        " --statistics {input.statistics:q} --target {input.target:q}"
        " --out {output:q} --restart {params.restart:q}"
        " --tensorboard {params.tensorboard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
