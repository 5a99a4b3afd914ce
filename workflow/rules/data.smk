rule render:
    output:
        directory(f"{SHARED}/toycity/{{scenes}}"),
    log:
        f"{SHARED}/logs/render/{{scenes}}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("render", "scenes"),
    shell:
        "cotrain render --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule index:
    input:
        rendered,
    output:
        f"{RUN}/data/{{table}}.csv",
    log:
        f"{RUN}/logs/data/index_{{table}}.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("index", "table"),
        root=lambda wildcards: ROOTS[wildcards.table.removesuffix("_labelled")],
    shell:
        "cotrain index --root {params.root:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule color:
    input:
        source=f"{RUN}/data/source.csv",
        target=f"{RUN}/data/target.csv",
    output:
        f"{RUN}/data/color.csv",
    log:
        f"{RUN}/logs/data/color.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("color"),
    shell:
        "cotrain color --source {input.source:q} --target {input.target:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule statistics:
    input:
        f"{RUN}/data/source.csv",
    output:
        statistics=f"{RUN}/data/source_statistics.h5",
        picture=of_run(PLAN.prior_picture),
    log:
        f"{RUN}/logs/data/statistics.log",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("statistics"),
    shell:
        "cotrain statistics --source {input:q} --out {output.statistics:q} --picture {output.picture:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"
