"""Trains a model on labelled source images, and on target images with pseudo-labels if given (Sect. III-A, Train)."""

from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from cotrain import batches, models, schedules, store, training
from cotrain.errors import BadInput
from cotrain.progress import progress
from cotrain.settings import Train


def run(
    settings: Train,
    source: Path,
    out: Path,
    made_by: dict,
    init: Path | None = None,
    color: Path | None = None,
    statistics: Path | None = None,
    target: Path | None = None,
    pseudolabels: Path | None = None,
    thresholds: Path | None = None,
) -> None:
    """`--target` lists the target images: with `--pseudolabels` those are their labels, without, its own labels are."""
    classes = settings.source.classes
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    device = models.device_of(settings.device)
    model = (models.load(init, classes) if init else models.build(settings.model, classes)).to(device)
    optimizer = training.make_optimizer(model, settings.optimizer, settings.course.learning_rate)
    scheduler = training.SCHEDULES[settings.course.schedule](optimizer, settings.course.steps)
    labelled = batches.LabelledImages(source, settings.source.values, settings.source_size, color)
    unlabelled = _target_images(settings, target, pseudolabels)
    data = batches.Batches(
        batches.Cached(labelled, settings.cache_mb // 2),
        unlabelled and batches.Cached(unlabelled, settings.cache_mb // 2),
        [
            batches.augmentation(settings.augmentation, size)
            for size in (settings.source_size, settings.target_size or settings.source_size)
        ],
        steps=settings.course.steps,
        batch=settings.batch,
        target_share=settings.target_share,
        collage=_collage(settings, thresholds, classes),
        seed=settings.seed,
        **_class_balance(settings, statistics),
    )
    bar = progress(DataLoader(data, batch_size=None), f"train {settings.name}", "step")
    training.train(model, bar, optimizer, scheduler, lambda loss: bar.set_postfix(loss=f"{loss:.3f}", refresh=False))
    models.save(out, model, made_by)


def _target_images(settings: Train, target: Path | None, pseudolabels: Path | None) -> batches.Images | None:
    if target is None:
        return None
    if pseudolabels:
        return batches.PseudolabelledImages(pseudolabels, target)
    if not (settings.target and settings.target_size):
        raise BadInput("--target without --pseudolabels needs settings.target and settings.target_size")
    return batches.LabelledImages(target, settings.target.values, settings.target_size)


def _collage(settings: Train, thresholds: Path | None, classes: tuple[str, ...]) -> batches.Collage | None:
    if settings.collage_share is None:
        return None
    if thresholds is None:
        raise BadInput("collage_share: the collage needs --thresholds; give the table, or set collage_share to null")
    table = store.read_table(thresholds, "thresholds")
    if tuple(table["name"]) != classes:
        raise BadInput(f"{thresholds}: other classes than the source labels; give a table of this run")
    return batches.Collage(table["threshold"].to_numpy(), settings.collage_share)


def _class_balance(settings: Train, statistics: Path | None) -> dict:
    if settings.balance_temperature is None:
        return {}
    if statistics is None:
        raise BadInput("balance_temperature: class balance needs --statistics; give the file, or set it to null")
    with store.open_hdf5(statistics, "statistics") as file:
        pixels = file["class_pixels"][:]
    pick = partial(schedules.balanced, pixels, settings.balance_temperature)
    return {"pick_source": lambda position, count, seed: pick(position, seed)}
