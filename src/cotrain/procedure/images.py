"""Jobs that prepare the images: scenes, index tables, colours to align to, class counts and spatial prior."""

from collections.abc import Iterator
from pathlib import Path

from cotrain.base.seeds import seed_of
from cotrain.procedure.domains import LABELLED, Domains
from cotrain.procedure.jobs import Job

SOURCE_TABLE, TARGET_TABLE = "data/source.csv", "data/target.csv"
LABELLED_TABLE, VALIDATION_TABLE = f"data/target{LABELLED}.csv", "data/validation.csv"
COLORS, STATISTICS, PRIOR_PICTURE = "data/color.csv", "data/source_statistics.h5", "figures/prior.png"


def image_jobs(domains: Domains) -> Iterator[Job]:
    """Everything that is made of the images before the first training."""
    rendered = set()
    for table in domains.tables:
        domain = table.removesuffix(LABELLED)
        folder = domains.scenes(domain)
        if folder and folder not in rendered:
            rendered.add(folder)
            yield render(domains, domain, folder)
        yield index(domains, table)
    yield color(domains)
    yield statistics(domains)


def render(domains: Domains, domain: str, folder: str) -> Job:
    """Scenes of a split of toycity, which all runs share."""
    toycity, split = domains.config.toycity, domains.domains[domain].split
    return Job(
        stage="render",
        name=Path(folder).name,
        inputs={},
        outputs=(folder,),
        settings={
            "look": "rendered" if split == "source" else "camera",
            "count": getattr(toycity, split),
            "size": toycity.size,
            "seed": seed_of(toycity.seed, "toycity", split),
        },
        keys=(f"toycity.{split}", "toycity.size", "toycity.seed"),
    )


def index(domains: Domains, table: str) -> Job:
    """Table of a domain's images. `target` lists no labels, so that no later stage can read them."""
    domain = table.removesuffix(LABELLED)
    scenes = domains.scenes(domain)
    keys = [
        f"data.{domain}.dataset",
        f"data.{domain}.split",
        f"data.{domain}.limit",
    ]
    if scenes:
        keys += [
            "results",
            f"toycity.{domains.domains[domain].split}",
            "toycity.size",
            "toycity.seed",
        ]
    else:
        keys.append("data.root")
    return Job(
        stage="index",
        name=table,
        inputs={},
        outputs=(f"data/{table}.csv",),
        settings={**domains.layout(table), "limit": domains.domains[domain].limit},
        keys=tuple(keys),
        scenes=scenes,
    )


def color(domains: Domains) -> Job:
    """CIELAB statistics of each source image, and of the target image whose colours it gets."""
    data = domains.config.data
    settings = {
        "source_size": data.source.size,
        "target_size": data.target.size,
        "seed": seed_of(domains.config.seed, "color"),
    }
    if joined := list(domains.dataset("source").join):
        settings["join"] = joined
    return Job(
        stage="color",
        name="",
        inputs={"source": (SOURCE_TABLE,), "target": (TARGET_TABLE,)},
        outputs=(COLORS,),
        settings=settings,
        keys=(
            "data.source.dataset",
            "data.source.size",
            "data.target.size",
            "seed",
        ),
        in_run=domains.config.align_colors,
    )


def statistics(domains: Domains) -> Job:
    """Class counts of the source images for balanced sampling, and where classes are for the spatial prior."""
    config = domains.config
    settings = {"labels": domains.labels("source"), "size": config.data.source.size}
    keys = [
        "data.labelset",
        "data.source.dataset",
        "data.source.size",
        "inference.prior",
    ]
    outputs = [STATISTICS]
    if config.inference.prior:
        settings["prior"] = {"size": config.data.target.size, "smoothing": config.inference.prior}
        keys.append("data.target.size")
        outputs.append(PRIOR_PICTURE)
    return Job(
        stage="statistics",
        name="",
        inputs={"source": (SOURCE_TABLE,)},
        outputs=tuple(outputs),
        settings=settings,
        keys=tuple(keys),
        in_run=config.training.class_balance is not None or config.inference.prior is not None,
    )


def prior_inputs(domains: Domains) -> tuple[str, ...]:
    """Statistics with the spatial prior, which every inference reads; none without it."""
    return (STATISTICS,) if domains.config.inference.prior else ()
