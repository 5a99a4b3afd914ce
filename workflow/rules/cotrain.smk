# What the members of co-training do together.


rule combine:
    input:
        unpack(inputs(f"{RUN}/{{cycle}}/1/combined.h5")),
    output:
        [f"{RUN}/{{cycle}}/{member}/combined.h5" for member in PLAN.members],
    log:
        f"{RUN}/logs/{{cycle}}/combine.log",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    shell:
        "cotrain combine --pseudolabels {input.labels:q} --predictions {input.predictions:q} --out {output:q}"
        " 2>&1 | tee {log:q}"


rule exchange:
    input:
        unpack(inputs(f"{RUN}/{{cycle}}/1/selected.csv")),
    output:
        [shown(f"{RUN}/{{cycle}}/{member}/selected.csv", "received", member) for member in PLAN.members],
    log:
        f"{RUN}/logs/{{cycle}}/exchange.log",
    wildcard_constraints:
        cycle=r"cotrain/\d\d",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/{{cycle}}/1/selected.csv"),
    shell:
        "cotrain exchange --pseudolabels {input.pseudolabels:q} --thresholds {input.thresholds:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"
