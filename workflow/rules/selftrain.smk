rule select:
    input:
        unpack(job("select", f"{RUN}/{{round}}/selected.csv", pseudolabels=f"{RUN}/{{round}}/pseudolabels.h5")),
    output:
        shown(f"{RUN}/{{round}}/selected.csv", "selected"),
    log:
        f"{RUN}/logs/{{round}}/select.log",
    wildcard_constraints:
        round=r"(selftrain|selftrain_2|mixbatch)/\d\d",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("select"),
    shell:
        "cotrain select --pseudolabels {input.pseudolabels:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
