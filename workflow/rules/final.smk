rule train_final:
    input:
        unpack(
            job(
                "train",
                f"{RUN}/final/model.pt",
                "final",
                **source_inputs(),
                initial=f"{RUN}/source/model.pt",
                target=f"{RUN}/data/target.csv",
                labels=f"{RUN}/final/pseudolabels.h5",
                thresholds=of_run(PLAN.thresholds("final")),
            )
        ),
    output:
        f"{RUN}/final/model.pt",
    log:
        f"{RUN}/logs/final/train.log",
    conda:
        "../../envs/environment.yaml"
    threads: FINAL_CORES
    resources:
        gpu=GPUS * CONFIG.training.gpus,
    params:
        settings=PLAN.settings("train", "final"),
        restart=f"{RUN}/.restart/final.pt",
        tensorboard=f"{RUN}/tensorboard/final",
    shell:
        "cotrain train --init {input.initial:q} --source {input.source:q} --color {input.color:q}"
        " --statistics {input.statistics:q} --target {input.target:q} --pseudolabels {input.labels:q}"
        " --thresholds {input.thresholds:q} --out {output:q} --restart {params.restart:q}"
        " --tensorboard {params.tensorboard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
