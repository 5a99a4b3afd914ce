"""Trains a model on labelled source images, and on target images with pseudo-labels if given (Sect. III-A, Train)."""

import os
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from cotrain.base import seeds
from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.files import hdf5, tables
from cotrain.method import sampling
from cotrain.method.collage import collage_order, rare_classes
from cotrain.networks import build, checkpoint, devices
from cotrain.settings.training import Train, workers_of
from cotrain.training import augmentation, batches, loop, optimizers, restarts, sources, teams
from cotrain.training import tensorboard as logbook
from cotrain.training.loader import ahead
from cotrain.training.teams import Team


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
    restart: Path | None = None,
    tensorboard: Path | None = None,
) -> None:
    """`--target` lists the target images: with `--pseudolabels` those are their labels, without, its own labels are.

    `--restart` names a file that a killed training goes on from; it is written every `restart_minutes`.
    `--tensorboard` names a folder for what TensorBoard shows: loss, learning rate, mIoU, speed, mini-batches.
    """
    if settings.batch < settings.gpus:
        raise BadInput(f"batch: {settings.batch} images for {settings.gpus} gpus; give each at least one")
    inputs = (source, init, color, statistics, target, pseudolabels, thresholds)
    work = partial(_train, settings, out, made_by, restart, tensorboard, *inputs)
    teams.launch(work, settings.gpus, devices.device_of(settings.device))


def _train(
    settings: Train,
    out: Path,
    made_by: dict,
    restart: Path | None,
    tensorboard: Path | None,
    source: Path,
    init: Path | None,
    color: Path | None,
    statistics: Path | None,
    target: Path | None,
    pseudolabels: Path | None,
    thresholds: Path | None,
    team: Team,
) -> None:
    """What each process of `team` does; the first writes the model."""
    classes = settings.source.classes
    devices.prepare(settings.threads)
    torch.manual_seed(settings.seed)
    device = devices.device_of(settings.device)
    model = checkpoint.load(init, classes, settings.trust) if init else build.build(settings.model, classes)
    model.to(device)
    labelled = sources.LabelledImages(source, settings.source, settings.source_size, color)
    unlabelled = _target_images(settings, target, pseudolabels)
    steps = _steps(settings, labelled, unlabelled)
    optimizer = optimizers.make_optimizer(model, settings.optimizer, settings.course.learning_rate)
    scheduler = optimizers.SCHEDULES[settings.course.schedule](optimizer, steps)
    table = _thresholds(thresholds, classes)
    workers = workers_of(settings.workers, device.type == "cuda")
    if settings.workers is None:
        workers = min(workers, len(os.sched_getaffinity(0)) - 1)
    cache = settings.cache_mb // 2 // team.count // max(1, workers)
    data = batches.Batches(
        sources.Cached(labelled, cache),
        unlabelled and sources.Cached(unlabelled, cache),
        [
            augmentation.augmentation(settings.augmentation, size)
            for size in (settings.source_size, settings.target_size or settings.source_size)
        ],
        steps=steps,
        batch=settings.batch,
        target_share=settings.target_share,
        collage=_collage(settings, table),
        rare_crops=_rare_crops(settings, table, unlabelled),
        seed=settings.seed,
        team=team,
        threads=1 if workers else settings.threads,
        **_class_balance(settings, statistics, labelled),
    )
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    kept = restarts.Restart(restart, settings.restart_minutes, settings.name, made_by, team, **parts)
    done = kept.load()
    there = device if settings.augmentation.on_device else None
    loader = ahead(data, done, workers, pinned=device.type == "cuda", device=there)
    bar = progress(loader, f"train {settings.name}", "step", steps, done, shown=team.first)
    if not team.first:  # or all would drop out alike
        torch.manual_seed(seeds.seed_of(settings.seed, "process", team.rank))
    log = logbook.Logbook(tensorboard if team.first else None, settings.name, done, steps, settings.batch, classes)

    def report(step: int, loss: float, *batch: torch.Tensor) -> None:
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        log.write(step, loss, optimizer.param_groups[-1]["lr"], *batch)

    with kept, log:
        loop.train(model, bar, optimizer, scheduler, report, kept.after_step, done, team, settings.compile)
        loop.check_numbers(model, steps)
        if team.first:
            checkpoint.save(out, model, made_by)
        kept.remove()


def _target_images(settings: Train, target: Path | None, pseudolabels: Path | None) -> sources.Images | None:
    if target is None:
        return None
    if pseudolabels:
        with hdf5.open_hdf5(pseudolabels, "pseudolabels") as file:
            if file.classes != settings.source.classes:
                raise BadInput(f"{pseudolabels}: other classes than the source labels; give a file of this run")
        return sources.PseudolabelledImages(pseudolabels, target)
    if not (settings.target and settings.target_size):
        raise BadInput("--target without --pseudolabels needs settings.target and settings.target_size")
    return sources.LabelledImages(target, settings.target, settings.target_size)


def _steps(settings: Train, labelled: sources.Images, unlabelled: sources.Images | None) -> int:
    """Iterations; epochs count over the target images where there are some, else over the source."""
    course, per_step = settings.course, settings.batch
    if unlabelled:
        per_step = batches.target_count(settings.target_share, settings.batch)
        if course.epochs and not per_step:
            raise BadInput("course.epochs: a mini-batch has no target image; raise target_share, or give course.steps")
    return sampling.iterations(course.steps, course.epochs, len(unlabelled or labelled), per_step)


def _thresholds(path: Path | None, classes: tuple[str, ...]) -> pd.DataFrame | None:
    if path is None:
        return None
    table = tables.read_table(path, "thresholds")
    if tuple(table["name"]) != classes:
        raise BadInput(f"{path}: other classes than the source labels; give a table of this run")
    return table


def _collage(settings: Train, thresholds: pd.DataFrame | None) -> augmentation.Collage | None:
    if settings.collage_share is None:
        return None
    if thresholds is None:
        raise BadInput("collage_share: the collage needs --thresholds; give the table, or set collage_share to null")
    order = collage_order(thresholds["threshold"].to_numpy(), thresholds["pixels"].to_numpy())
    return augmentation.Collage(order, settings.collage_share)


def _rare_crops(
    settings: Train, thresholds: pd.DataFrame | None, unlabelled: sources.Images | None
) -> augmentation.RareCrops | None:
    if not settings.rare_crops:
        return None
    if thresholds is None or not isinstance(unlabelled, sources.PseudolabelledImages):
        raise BadInput("rare_crops: they need --thresholds and --pseudolabels; give both, or set rare_crops to 0")
    rare = rare_classes(thresholds["pixels"].to_numpy(), settings.rare_share)
    return augmentation.RareCrops(unlabelled.class_pixels, rare, settings.rare_crops)


def _class_balance(settings: Train, statistics: Path | None, labelled: sources.LabelledImages) -> dict:
    if settings.class_balance is None:
        return {}
    if statistics is None:
        raise BadInput("class_balance: it needs --statistics; give the file, or set it to null")
    with hdf5.open_hdf5(statistics, "statistics") as file:
        pixels, ids, classes = file["class_pixels"][:], hdf5.image_ids(file), file.classes
    if classes != settings.source.classes or ids != labelled.ids or not pixels.any():
        raise BadInput(f"{statistics}: other images or classes than --source, or no labels; give the file of this run")

    def pick(position: int, count: int, seed: int) -> int:
        return sampling.balanced(position, pixels, settings.class_balance, seed)

    return {"pick_source": pick}
