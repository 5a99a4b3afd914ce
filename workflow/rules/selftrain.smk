rule select:
    input:
        f"{RUN}/{{round}}/pseudolabels.h5",
    output:
        f"{RUN}/{{round}}/selected.csv",
    log:
        f"{RUN}/logs/{{round}}/select.log",
    wildcard_constraints:
        round=r"(selftrain|mixbatch)/\d\d",
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("select"),
    shell:
        "cotrain select --pseudolabels {input:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
