# Every training of the procedure: source models, cycles, last training, upper bound.


rule train:
    input:
        unpack(inputs(f"{RUN}/{{round}}/model.pt")),
    output:
        f"{RUN}/{{round}}/model.pt",
    log:
        f"{RUN}/logs/{{round}}/train.log",
    conda:
        "../../envs/environment.yaml"
    threads: training_cores
    resources:
        gpu=GPUS * CONFIG.training.gpus,
        mem_mb=lambda wildcards, attempt: attempt * PLAN.training_memory(),
    params:
        settings=settings(f"{RUN}/{{round}}/model.pt"),
        restart=f"{RUN}/.restart/{{round}}.pt",
        tensorboard=f"{RUN}/tensorboard/{{round}}",
    shell:
        "cotrain train --init {input.initial:q} --source {input.source:q} --color {input.color:q}"
        " --statistics {input.statistics:q} --target {input.target:q} --pseudolabels {input.labels:q}"
        " --thresholds {input.thresholds:q} --out {output:q} --restart {params.restart:q}"
        " --tensorboard {params.tensorboard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
