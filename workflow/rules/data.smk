rule render:
    input:
        unpack(job("render", f"{SHARED}/toycity/{{scenes}}", "scenes")),
    output:
        directory(f"{SHARED}/toycity/{{scenes}}"),
    log:
        f"{SHARED}/logs/render/{{scenes}}.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("render", "scenes"),
    shell:
        "cotrain render --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule index:
    input:
        unpack(job("index", f"{RUN}/data/{{table}}.csv", "table", folder=dataset_root, scenes=rendered)),
    output:
        f"{RUN}/data/{{table}}.csv",
    log:
        f"{RUN}/logs/data/index_{{table}}.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("index", "table"),
        root=dataset_root,
    shell:
        "cotrain index --root={params.root:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"


rule color:
    input:
        unpack(
            job(
                "color",
                f"{RUN}/data/color.csv",
                "",
                source=f"{RUN}/data/source.csv",
                target=f"{RUN}/data/target.csv",
            )
        ),
    output:
        f"{RUN}/data/color.csv",
    log:
        f"{RUN}/logs/data/color.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("color"),
    shell:
        "cotrain color --source {input.source:q} --target {input.target:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"


rule statistics:
    input:
        unpack(
            job(
                "statistics",
                f"{RUN}/data/source_statistics.h5",
                "",
                beside=of_run(PLAN.prior_picture),
                source=f"{RUN}/data/source.csv",
            )
        ),
    output:
        statistics=f"{RUN}/data/source_statistics.h5",
        picture=of_run(PLAN.prior_picture),
    log:
        f"{RUN}/logs/data/statistics.log",
    group:
        together("data")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("statistics"),
    shell:
        "cotrain statistics --source {input.source:q} --out {output.statistics:q} --picture {output.picture:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"
