# The images of a run: scenes, index tables, colours, class counts.


rule render:
    input:
        unpack(inputs(f"{SHARED}/toycity/{{scenes}}")),
    output:
        directory(f"{SHARED}/toycity/{{scenes}}"),
    log:
        f"{SHARED}/logs/render/{{scenes}}.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{SHARED}/toycity/{{scenes}}"),
    shell:
        "cotrain render --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule index:
    input:
        unpack(inputs(f"{RUN}/data/{{table}}.csv")),
    output:
        f"{RUN}/data/{{table}}.csv",
    log:
        f"{RUN}/logs/data/index_{{table}}.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/data/{{table}}.csv"),
        root=lambda wildcards: PLAN.domains.data_root(wildcards.table),
    shell:
        "cotrain index --root={params.root:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule color:
    input:
        unpack(inputs(f"{RUN}/data/color.csv")),
    output:
        f"{RUN}/data/color.csv",
    log:
        f"{RUN}/logs/data/color.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/data/color.csv"),
    shell:
        "cotrain color --source {input.source:q} --target {input.target:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule statistics:
    input:
        unpack(inputs(f"{RUN}/data/source_statistics.h5")),
    output:
        statistics=f"{RUN}/data/source_statistics.h5",
        picture=of_run(PLAN.job("statistics").outputs[1:]),
    log:
        f"{RUN}/logs/data/statistics.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/data/source_statistics.h5"),
    shell:
        "cotrain statistics --source {input.source:q} --out {output.statistics:q} --picture {output.picture:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"
