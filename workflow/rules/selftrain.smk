rule select:
    input:
        f"{RUN}/{{round}}/pseudolabels.h5",
    output:
        f"{RUN}/{{round}}/selected.csv",
    wildcard_constraints:
        round=r"(selftrain|mixbatch)/\d\d",
    params:
        settings=settings("select"),
    log:
        f"{RUN}/logs/{{round}}/select.log",
    shell:
        "cotrain select --pseudolabels {input:q} --out {output:q} --settings {params.settings:q} 2>&1 | tee {log:q}"
