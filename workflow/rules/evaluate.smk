# Scores, measures, tables, figures, report.


rule evaluate:
    input:
        unpack(inputs(f"{RUN}/evaluation/{{round}}.json")),
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
        settings=settings(f"{RUN}/evaluation/{{round}}.json"),
    shell:
        "cotrain evaluate --model {input.models:q} --images {input.images:q} --out {output.scores:q}"
        " --pictures {output.pictures:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule measure:
    input:
        unpack(inputs(f"{RUN}/evaluation/pseudolabels/{{round}}.json")),
    output:
        shown(f"{RUN}/evaluation/pseudolabels/{{round}}.json", "measure"),
    log:
        f"{RUN}/logs/{{round}}/measure.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/evaluation/pseudolabels/{{round}}.json"),
    shell:
        "cotrain measure --pseudolabels {input.labels:q} --images {input.images:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule summarize:
    input:
        unpack(inputs(f"{RUN}/summary.csv")),
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
        settings=settings(f"{RUN}/summary.csv"),
    shell:
        "cotrain summarize --metrics {input.scores:q} --measures {input.measures:q} --out {output.table:q}"
        " --text {output.text:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule ablation:
    input:
        unpack(inputs(f"{RUN}/ablation.csv")),
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
        settings=settings(f"{RUN}/ablation.csv"),
    shell:
        "cotrain summarize --metrics {input.scores:q} --out {output.table:q}"
        " --text {output.text:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule plot:
    input:
        unpack(inputs(f"{RUN}/figures/overview.png")),
    output:
        [shown(f"{RUN}/figures/{name}.png", name) for name in ("overview", "progress")],
    log:
        f"{RUN}/logs/plot.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/figures/overview.png"),
    shell:
        "cotrain plot --summary {input.summary:q} --predictions {input.predictions:q} --images {input.images:q}"
        " --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule report:
    input:
        unpack(inputs(f"{RUN}/report.html")),
    output:
        f"{RUN}/report.html",
    log:
        f"{RUN}/logs/report.log",
    group:
        together("report")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/report.html"),
        logs=f"{RUN}/logs",
    shell:
        "cotrain report --summary {input.summary:q} --metrics {input.metrics:q} --evaluated {input.evaluated:q}"
        " --measures {input.measures:q} --images {input.images:q} --thresholds {input.thresholds:q}"
        " --pseudolabels {input.pseudolabels:q} --predictions {input.predictions:q} --selected {input.selected:q}"
        " --target {input.target:q} --logs {params.logs:q} --out {output:q} --settings {params.settings:q}"
        " 2>&1 | tee {log:q}"
