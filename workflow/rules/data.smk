rule render:
    output:
        directory(f"{SHARED}/toycity/{{scenes}}"),
    params:
        settings=settings("render", "scenes"),
    log:
        f"{SHARED}/logs/render/{{scenes}}.log",
    shell:
        "cotrain render --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


def rendered(wildcards):
    """The scenes that an index lists, if this project renders them; a folder of photographs is no rule's output."""
    domain = wildcards.table.removesuffix("_labelled")
    return ROOTS[domain] if PLAN.datasets[domain].generator else []


rule index:
    input:
        rendered,
    output:
        f"{RUN}/data/{{table}}.csv",
    params:
        settings=settings("index", "table"),
        root=lambda wildcards: ROOTS[wildcards.table.removesuffix("_labelled")],
    log:
        f"{RUN}/logs/data/index_{{table}}.log",
    shell:
        "cotrain index --root {params.root:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule color:
    input:
        source=f"{RUN}/data/source.csv",
        target=f"{RUN}/data/target.csv",
    output:
        f"{RUN}/data/color.csv",
    params:
        settings=settings("color"),
    log:
        f"{RUN}/logs/data/color.log",
    shell:
        "cotrain color --source {input.source:q} --target {input.target:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule statistics:
    input:
        f"{RUN}/data/source.csv",
    output:
        f"{RUN}/data/source_statistics.h5",
    params:
        settings=settings("statistics"),
    log:
        f"{RUN}/logs/data/statistics.log",
    shell:
        "cotrain statistics --source {input:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
