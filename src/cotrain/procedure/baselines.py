"""What the procedure starts from and is measured against: source-only, W_0, and the upper bound."""

from collections.abc import Iterator

from cotrain.procedure.domains import Domains
from cotrain.procedure.jobs import Job
from cotrain.procedure.rounds import SOURCE, SOURCE_ONLY, UPPER_BOUND, Round
from cotrain.procedure.trainings import train
from cotrain.settings.config import MODEL

SINGLE = "Single trainings"


def source_only() -> Round:
    """Trained on the source as it is: the row that every gain is counted from."""
    return Round(phase=SOURCE_ONLY, title="source only", category=SINGLE)


def source(model: int = MODEL) -> Round:
    """W_0 of a model: trained on the source, in the target's colours where they are aligned."""
    if model == MODEL:
        return Round(phase=SOURCE, title="source + LAB", category=SINGLE)
    return Round(phase=f"{SOURCE}_{model}", title=f"source, model {model}", category=SINGLE, model=model)


def upper_bound() -> Round:
    """Trained on with all labels of the target."""
    return Round(phase=UPPER_BOUND, title="upper bound", category=SINGLE, start=source())


def baseline_jobs(domains: Domains) -> Iterator[Job]:
    """Trainings on labels alone. Those that nothing else starts from are only made to be scored."""
    scored = domains.config.data.validation is not None
    yield train(domains, source_only(), "source", in_run=scored)
    for model in domains.config.models:
        yield train(domains, source(model), "source")
    if domains.config.data.target.truth:
        yield train(domains, upper_bound(), "final", true_labels=True, in_run=scored)
