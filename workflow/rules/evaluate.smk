rule evaluate:
    input:
        unpack(
            job(
                "evaluate",
                f"{RUN}/evaluation/{{round}}.json",
                beside=[f"{RUN}/evaluation/{{round}}.h5"],
                models=lambda wildcards: of_run(PLAN.models(wildcards.round)),
                images=f"{RUN}/data/validation.csv",
            )
        ),
    output:
        scores=shown(f"{RUN}/evaluation/{{round}}.json", "scores"),
        pictures=f"{RUN}/evaluation/{{round}}.h5",
    log:
        f"{RUN}/logs/{{round}}/evaluate.log",
    conda:
        "../../envs/environment.yaml"
    threads: CONFIG.inference.threads
    resources:
        gpu=GPUS,
    params:
        settings=settings("evaluate"),
    shell:
        "cotrain evaluate --model {input.models:q} --images {input.images:q} --out {output.scores:q}"
        " --pictures {output.pictures:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule measure:
    input:
        unpack(
            job(
                "measure",
                f"{RUN}/evaluation/pseudolabels/{{round}}.json",
                labels=lambda wildcards: of_run(PLAN.labels(wildcards.round)),
                images=f"{RUN}/data/target_labelled.csv" if CONFIG.data.target.truth else [],
            )
        ),
    output:
        shown(f"{RUN}/evaluation/pseudolabels/{{round}}.json", "measure"),
    log:
        f"{RUN}/logs/{{round}}/measure.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("measure"),
    shell:
        "cotrain measure --pseudolabels {input.labels:q} --images {input.images:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule summarize:
    input:
        unpack(
            job(
                "summarize",
                f"{RUN}/summary.csv",
                "evaluated",
                beside=[f"{RUN}/summary.txt"],
                scores=[f"{RUN}/evaluation/{round}.json" for round in PLAN.evaluated],
                measures=[f"{RUN}/evaluation/pseudolabels/{round}.json" for round in PLAN.measured],
            )
        ),
    output:
        table=shown(f"{RUN}/summary.csv", "summary"),
        text=f"{RUN}/summary.txt",
    log:
        f"{RUN}/logs/summarize.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=PLAN.settings("summarize", "evaluated"),
    shell:
        "cotrain summarize --metrics {input.scores:q} --measures {input.measures:q} --out {output.table:q}"
        " --text {output.text:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule ablation:
    input:
        unpack(
            job(
                "summarize",
                f"{RUN}/ablation.csv",
                "ablation",
                beside=[f"{RUN}/ablation.txt"],
                scores=[f"{RUN}/evaluation/{round}.json" for round in PLAN.ablation],
            )
        ),
    output:
        table=f"{RUN}/ablation.csv",
        text=f"{RUN}/ablation.txt",
    log:
        f"{RUN}/logs/ablation.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=PLAN.settings("summarize", "ablation"),
    shell:
        "cotrain summarize --metrics {input.scores:q} --out {output.table:q}"
        " --text {output.text:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule plot:
    input:
        unpack(
            job(
                "plot",
                f"{RUN}/figures/overview.png",
                "",
                beside=[f"{RUN}/figures/progress.png"],
                summary=f"{RUN}/summary.csv",
                predictions=[f"{RUN}/evaluation/{round}.h5" for round in PLAN.pictured],
                images=f"{RUN}/data/validation.csv",
            )
        ),
    output:
        [shown(f"{RUN}/figures/{name}.png", name) for name in ("overview", "progress")],
    log:
        f"{RUN}/logs/plot.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=PLAN.settings("plot"),
    shell:
        "cotrain plot --summary {input.summary:q} --predictions {input.predictions:q} --images {input.images:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule report:
    input:
        unpack(job("report", f"{RUN}/report.html", "", **of_run(PLAN.reported()))),
    output:
        f"{RUN}/report.html",
    log:
        f"{RUN}/logs/report.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=PLAN.settings("report"),
        logs=f"{RUN}/logs",
    shell:
        "cotrain report --summary {input.summary:q} --metrics {input.metrics:q} --evaluated {input.evaluated:q}"
        " --measures {input.measures:q} --images {input.images:q} --thresholds {input.thresholds:q}"
        " --pseudolabels {input.pseudolabels:q} --predictions {input.predictions:q} --selected {input.selected:q}"
        " --target {input.target:q} --logs {params.logs:q} --out {output:q} --settings {params.settings:q}"
        " 2>&1 | tee {log:q}"
