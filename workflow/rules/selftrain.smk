# What self-training does and co-training does not.


rule select:
    input:
        unpack(inputs(f"{RUN}/{{round}}/selected.csv")),
    output:
        shown(f"{RUN}/{{round}}/selected.csv", "selected"),
    log:
        f"{RUN}/logs/{{round}}/select.log",
    wildcard_constraints:
        round=PLAN.rounds_made_by("select"),
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings(f"{RUN}/{{round}}/selected.csv"),
    shell:
        "cotrain select --pseudolabels {input.pseudolabels:q} --out {output:q} --settings {params.settings:q}"
        " 2>&1 | tee {log:q}"
