rule combine:
    input:
        unpack(
            job(
                "combine",
                f"{RUN}/{{cycle}}/1/combined.h5",
                "cycle",
                beside=[f"{RUN}/{{cycle}}/2/combined.h5"],
                labels=[f"{RUN}/{{cycle}}/{m}/pseudolabels.h5" for m in (1, 2)],
                predictions=[f"{RUN}/{{cycle}}/{m}/predictions.h5" for m in (1, 2)],
            )
        ),
    output:
        [f"{RUN}/{{cycle}}/{m}/combined.h5" for m in (1, 2)],
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
        unpack(
            job(
                "exchange",
                f"{RUN}/{{cycle}}/1/selected.csv",
                "cycle",
                beside=[f"{RUN}/{{cycle}}/2/selected.csv"],
                pseudolabels=lambda wildcards: of_run(PLAN.exchanged(wildcards.cycle)["pseudolabels"]),
                thresholds=lambda wildcards: of_run(PLAN.exchanged(wildcards.cycle)["thresholds"]),
            )
        ),
    output:
        [shown(f"{RUN}/{{cycle}}/{m}/selected.csv", "received", str(m)) for m in (1, 2)],
    log:
        f"{RUN}/logs/{{cycle}}/exchange.log",
    wildcard_constraints:
        cycle=r"cotrain/\d\d",
    group:
        together("labels")
    conda:
        "../../envs/environment.yaml"
    params:
        settings=settings("exchange"),
    shell:
        "cotrain exchange --pseudolabels {input.pseudolabels:q} --thresholds {input.thresholds:q} --out {output:q}"
        " --settings {params.settings:q} 2>&1 | tee {log:q}"
