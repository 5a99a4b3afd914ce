# What every round does alike: infer, threshold, fuse and finetune, each written once.


scattergather:
    shards=CONFIG.inference.shards,


rule draw:
    input:
        unpack(job("draw", f"{RUN}/{{cycle}}/candidates.csv", "cycle", index=f"{RUN}/data/target.csv")),
    output:
        f"{RUN}/{{cycle}}/candidates.csv",
    log:
        f"{RUN}/logs/{{cycle}}/draw.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("draw", "cycle"),
    shell:
        "cotrain draw --index {input.index:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule infer:
    input:
        unpack(
            job(
                "infer",
                f"{RUN}/{{round}}/predictions.h5",
                models=lambda wildcards: of_run(PLAN.predictors(wildcards.round)),
                images=lambda wildcards: of_run(PLAN.candidates(wildcards.round)),
                statistics=lambda wildcards: of_run(PLAN.prior(wildcards.round)),
            )
        ),
    output:
        predictions(f"{RUN}/{{round}}/predictions.h5"),
    log:
        f"{RUN}/logs/{{round}}/infer.log",
    wildcard_constraints:
        round=PLAN.inferred(in_shards=False),
    conda:
        "../../envs/environment.yaml"
    threads: CONFIG.inference.threads
    resources:
        gpu=GPUS,
    params:
        settings=settings("infer"),
    shell:
        "cotrain infer --model {input.models:q} --images {input.images:q} --statistics {input.statistics:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule infer_shard:
    input:
        unpack(
            job(
                "infer",
                f"{RUN}/.shards/{{shard}}/predictions.h5",
                "shard",
                models=lambda wildcards: of_run(PLAN.predictors(round_of(wildcards.shard))),
                images=lambda wildcards: of_run(PLAN.candidates(round_of(wildcards.shard))),
                statistics=lambda wildcards: of_run(PLAN.prior(wildcards.shard)),
            )
        ),
    output:
        shard=temp(f"{RUN}/.shards/{{shard}}/predictions.h5"),
        provenance=temp(sidecar(Path(f"{RUN}/.shards/{{shard}}/predictions.h5"))),
    log:
        f"{RUN}/logs/{{shard}}/infer.log",
    wildcard_constraints:
        shard=f"({PLAN.inferred(in_shards=True)})/{SHARD}",
    conda:
        "../../envs/environment.yaml"
    threads: CONFIG.inference.threads
    resources:
        gpu=GPUS,
    params:
        settings=settings("infer", "shard"),
    shell:
        "cotrain infer --model {input.models:q} --images {input.images:q} --statistics {input.statistics:q}"
        " --out {output.shard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule merge:
    input:
        unpack(
            job(
                "infer",
                f"{RUN}/{{round}}/predictions.h5",
                models=lambda wildcards: of_run(PLAN.predictors(wildcards.round)),
                images=lambda wildcards: of_run(PLAN.candidates(wildcards.round)),
                statistics=lambda wildcards: of_run(PLAN.prior(wildcards.round)),
            )
        ),
        shards=gather.shards(f"{RUN}/.shards/{{{{round}}}}/{{scatteritem}}/predictions.h5"),
        provenances=gather.shards(str(sidecar(Path(f"{RUN}/.shards/{{{{round}}}}/{{scatteritem}}/predictions.h5")))),
    output:
        predictions(f"{RUN}/{{round}}/predictions.h5"),
    log:
        f"{RUN}/logs/{{round}}/merge.log",
    wildcard_constraints:
        round=PLAN.inferred(in_shards=True),
    conda:
        "../../envs/environment.yaml"
    shell:
        "cotrain merge --predictions {input.shards:q} --out {output:q} 2>&1 | tee {log:q}"


rule threshold:
    input:
        unpack(
            job(
                "threshold",
                f"{RUN}/{{round}}/pseudolabels.h5",
                beside=[f"{RUN}/{{round}}/thresholds.csv"],
                predictions=f"{RUN}/{{round}}/predictions.h5",
            )
        ),
    output:
        labels=f"{RUN}/{{round}}/pseudolabels.h5",
        table=shown(f"{RUN}/{{round}}/thresholds.csv", "thresholds"),
    log:
        f"{RUN}/logs/{{round}}/threshold.log",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("threshold"),
    shell:
        "cotrain threshold --predictions {input.predictions:q} --out {output.labels:q} --table {output.table:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule fuse:
    input:
        unpack(
            job(
                "fuse",
                f"{RUN}/{{round}}/labels.h5",
                pseudolabels=lambda wildcards: of_run(PLAN.fused(wildcards.round)["pseudolabels"]),
                selected=lambda wildcards: of_run(PLAN.fused(wildcards.round)["selected"]),
                previous=lambda wildcards: of_run(PLAN.fused(wildcards.round).get("previous", [])),
            )
        ),
    output:
        f"{RUN}/{{round}}/labels.h5",
    log:
        f"{RUN}/logs/{{round}}/fuse.log",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    shell:
        "cotrain fuse --previous {input.previous:q} --pseudolabels {input.pseudolabels:q}"
        " --selected {input.selected:q} --out {output:q} 2>&1 | tee {log:q}"


rule finetune:
    input:
        unpack(
            job(
                "train",
                f"{RUN}/{{round}}/model.pt",
                **source_inputs(),
                initial=lambda wildcards: of_run(PLAN.initial(wildcards.round)),
                target=f"{RUN}/data/target.csv",
                labels=lambda wildcards: of_run(PLAN.labels(wildcards.round)),
                thresholds=lambda wildcards: of_run(PLAN.thresholds(wildcards.round)),
            )
        ),
    output:
        f"{RUN}/{{round}}/model.pt",
    log:
        f"{RUN}/logs/{{round}}/train.log",
    wildcard_constraints:
        round=r"(selftrain|selftrain_2|mixbatch)/\d\d|cotrain/\d\d/[12]",
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
        "cotrain train --init {input.initial:q} --source {input.source:q} --color {input.color:q}"
        " --statistics {input.statistics:q} --target {input.target:q} --pseudolabels {input.labels:q}"
        " --thresholds {input.thresholds:q} --out {output:q} --restart {params.restart:q}"
        " --tensorboard {params.tensorboard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
