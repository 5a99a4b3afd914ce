# From a model to the pseudo-labels that the next one trains on.


scattergather:
    shards=CONFIG.inference.shards,


rule draw:
    input:
        unpack(inputs(f"{RUN}/{{cycle}}/candidates.csv")),
    output:
        f"{RUN}/{{cycle}}/candidates.csv",
    log:
        f"{RUN}/logs/{{cycle}}/draw.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/{{cycle}}/candidates.csv"),
    shell:
        "cotrain draw --index {input.index:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule infer:
    input:
        unpack(inputs(f"{RUN}/{{round}}/predictions.h5")),
    output:
        predictions(f"{RUN}/{{round}}/predictions.h5"),
    log:
        f"{RUN}/logs/{{round}}/infer.log",
    wildcard_constraints:
        round=PLAN.rounds_made_by("infer"),
    conda:
        "../../envs/environment.yaml"
    threads: CONFIG.inference.threads
    resources:
        gpu=GPUS,
    params:
        settings=settings(f"{RUN}/{{round}}/predictions.h5"),
    shell:
        "cotrain infer --model {input.models:q} --images {input.images:q} --statistics {input.statistics:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule infer_shard:
    input:
        unpack(inputs(f"{RUN}/.shards/{{shard}}/predictions.h5")),
    output:
        shard=temp(f"{RUN}/.shards/{{shard}}/predictions.h5"),
        provenance=temp(sidecar(Path(f"{RUN}/.shards/{{shard}}/predictions.h5"))),
    log:
        f"{RUN}/logs/{{shard}}/infer.log",
    wildcard_constraints:
        shard=f"({PLAN.rounds_made_by('merge')})/{SHARD}",
    conda:
        "../../envs/environment.yaml"
    threads: CONFIG.inference.threads
    resources:
        gpu=GPUS,
    params:
        settings=settings(f"{RUN}/.shards/{{shard}}/predictions.h5"),
    shell:
        "cotrain infer --model {input.models:q} --images {input.images:q} --statistics {input.statistics:q}"
        " --out {output.shard:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule merge:
    input:
        unpack(inputs(f"{RUN}/{{round}}/predictions.h5")),
        shards=gather.shards(f"{RUN}/.shards/{{{{round}}}}/{{scatteritem}}/predictions.h5"),
        provenances=gather.shards(str(sidecar(Path(f"{RUN}/.shards/{{{{round}}}}/{{scatteritem}}/predictions.h5")))),
    output:
        predictions(f"{RUN}/{{round}}/predictions.h5"),
    log:
        f"{RUN}/logs/{{round}}/merge.log",
    wildcard_constraints:
        round=PLAN.rounds_made_by("merge"),
    conda:
        "../../envs/environment.yaml"
    shell:
        "cotrain merge --predictions {input.shards:q} --out {output:q} 2>&1 | tee {log:q}"


rule threshold:
    input:
        unpack(inputs(f"{RUN}/{{round}}/pseudolabels.h5")),
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
        settings=settings(f"{RUN}/{{round}}/pseudolabels.h5"),
    shell:
        "cotrain threshold --predictions {input.predictions:q} --out {output.labels:q} --table {output.table:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule fuse:
    input:
        unpack(inputs(f"{RUN}/{{round}}/labels.h5")),
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
