"""Trains a model on labelled source images, and on target images with pseudo-labels if given (Sect. III-A, Train)."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
import torch

from cotrain.base import seeds
from cotrain.base.errors import BadInput
from cotrain.base.progress import progress
from cotrain.base.roles import FOLDER, KEPT, READ, WRITE, Replaces
from cotrain.files import hdf5, tables
from cotrain.method import sampling
from cotrain.method.collage import collage_order, rare_classes
from cotrain.networks import build, checkpoint, devices
from cotrain.networks.heads import HeadedSegmenter, Outputs
from cotrain.networks.segmenter import Segmenter
from cotrain.settings.training import Train, workers_of
from cotrain.training import augmentation, loop, optimizers, sources, teams
from cotrain.training.batches import Batch, Batches, target_count
from cotrain.training.loader import ahead
from cotrain.training.objectives import Objectives
from cotrain.training.restarts import KIND, Restart
from cotrain.training.teams import Team
from cotrain.training.tensorboard import Logbook

PickSource = Callable[[int, int, int], int]  # position, count, seed → image


class Inputs(NamedTuple):
    """The files that a training reads."""

    source: Path
    init: Path | None = None
    color: Path | None = None
    statistics: Path | None = None
    target: Path | None = None
    pseudolabels: Path | None = None
    thresholds: Path | None = None


class Results(NamedTuple):
    """The files that a training writes, and the provenance that its model gets."""

    model: Path
    made_by: dict
    restart: Path | None = None
    tensorboard: Path | None = None


def run(
    settings: Train,
    source: Annotated[Path, READ],
    out: Annotated[Path, WRITE],
    made_by: dict,
    init: Annotated[Path | None, READ] = None,
    color: Annotated[Path | None, READ] = None,
    statistics: Annotated[Path | None, READ] = None,
    target: Annotated[Path | None, READ] = None,
    pseudolabels: Annotated[Path | None, READ] = None,
    thresholds: Annotated[Path | None, READ] = None,
    restart: Annotated[Path | None, WRITE | KEPT, Replaces(KIND)] = None,
    tensorboard: Annotated[Path | None, WRITE | FOLDER | KEPT] = None,
) -> None:
    """`--target` lists the target images: with `--pseudolabels` those are their labels, without, its own labels are.

    `--restart` names a file that a killed training goes on from; it is written every `restart_minutes`.
    `--tensorboard` names a folder for what TensorBoard shows: loss, learning rate, mIoU, speed, mini-batches.
    """
    if settings.batch < settings.gpus:
        raise BadInput(f"batch: {settings.batch} images for {settings.gpus} gpus; give each at least one")
    inputs = Inputs(source, init, color, statistics, target, pseudolabels, thresholds)
    results = Results(out, made_by, restart, tensorboard)
    work = partial(_train, settings, inputs, results)
    teams.launch(work, settings.gpus, devices.device_of(settings.device))


def _train(settings: Train, inputs: Inputs, results: Results, team: Team) -> None:
    """The part of one process of `team`; the first writes the model."""
    device = devices.device_of(settings.device)
    devices.prepare(settings.threads)
    torch.manual_seed(settings.seed)

    model = HeadedSegmenter(_segmenter(settings, inputs.init).to(device))
    objectives = Objectives(settings.objectives, model)
    if inputs.init:
        checkpoint.load_heads(inputs.init, model.heads)

    workers = _workers(settings, device)
    batches = _batches(settings, inputs, team, workers)
    optimizer = optimizers.make_optimizer(model, settings.optimizer, settings.course.learning_rate)
    scheduler = optimizers.SCHEDULES[settings.course.schedule](optimizer, batches.steps)

    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler, "objectives": objectives}
    restart = Restart(results.restart, settings.restart_minutes, settings.name, results.made_by, team, **parts)
    done = restart.load()
    augmented_on = device if settings.augmentation.on_device else None
    loader = ahead(batches, done, workers, pinned=device.type == "cuda", device=augmented_on)
    bar = progress(loader, f"train {settings.name}", "step", batches.steps, done, shown=team.first)
    if not team.first:  # or dropout would be the same in all processes
        torch.manual_seed(seeds.seed_of(settings.seed, "process", team.rank))
    events = results.tensorboard if team.first else None
    log = Logbook(events, settings.name, done, batches.steps, settings.batch, settings.source.classes)

    def report(batch: Batch, outputs: Outputs, loss: float, values: dict[str, float]) -> None:
        bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
        log.write(batch, outputs.logits, loss, values, rate=optimizer.param_groups[-1]["lr"])

    with restart, log:
        loop.train(model, objectives, bar, optimizer, scheduler, report, restart.after_step, team, settings.compile)
        loop.check_numbers(model, batches.steps)
        if team.first:
            checkpoint.save(results.model, model.segmenter, results.made_by, model.heads)
        restart.remove()


def _segmenter(settings: Train, init: Path | None) -> Segmenter:
    """The model of a file, or a new one."""
    if init:
        return checkpoint.load(init, settings.source.classes, settings.trust)
    return build.build(settings.model, settings.source.classes)


def _workers(settings: Train, device: torch.device) -> int:
    """Processes that make mini-batches; by default no more than there are cores beside this process's."""
    workers = workers_of(settings.workers, device.type == "cuda")
    if settings.workers is None:
        workers = min(workers, len(os.sched_getaffinity(0)) - 1)
    return workers


# ---- mini-batches -----------------------------------------------------------------------------------------------


def _batches(settings: Train, inputs: Inputs, team: Team, workers: int) -> Batches:
    """This process's part of the mini-batches of the training."""
    labelled = sources.LabelledImages(inputs.source, settings.source, settings.source_size, inputs.color)
    target = _target_images(settings, inputs)
    thresholds = _thresholds(inputs.thresholds, settings.source.classes)
    cache_mb = settings.cache_mb // 2 // team.count // max(1, workers)
    target_size = settings.target_size or settings.source_size
    return Batches(
        sources.Cached(labelled, cache_mb),
        sources.Cached(target, cache_mb) if target else None,
        [augmentation.augmentation(settings.augmentation, size) for size in (settings.source_size, target_size)],
        steps=_steps(settings, labelled, target),
        batch=settings.batch,
        target_share=settings.target_share,
        collage=_collage(settings, thresholds),
        rare_crops=_rare_crops(settings, thresholds, target),
        pick_source=_pick_source(settings, inputs.statistics, labelled),
        seed=settings.seed,
        team=team,
        threads=1 if workers else settings.threads,
    )


def _target_images(settings: Train, inputs: Inputs) -> sources.Images | None:
    """Target images with pseudo-labels, or with their own labels for the upper bound."""
    if inputs.target is None:
        return None
    if inputs.pseudolabels is None:
        if not (settings.target and settings.target_size):
            raise BadInput("--target without --pseudolabels needs settings.target and settings.target_size")
        return sources.LabelledImages(inputs.target, settings.target, settings.target_size)
    with hdf5.open_hdf5(inputs.pseudolabels, "pseudolabels") as file:
        if file.classes != settings.source.classes:
            raise BadInput(f"{inputs.pseudolabels}: other classes than the source labels; give a file of this run")
    return sources.PseudolabelledImages(inputs.pseudolabels, inputs.target)


def _steps(settings: Train, labelled: sources.Images, target: sources.Images | None) -> int:
    """Iterations; epochs count over the target images where there are some, else over the source."""
    images = labelled
    per_step = settings.batch
    if target:
        images = target
        per_step = target_count(settings.target_share, settings.batch)
        if settings.course.epochs and not per_step:
            raise BadInput("course.epochs: a mini-batch has no target image; raise target_share, or give course.steps")
    return sampling.iterations(settings.course.steps, settings.course.epochs, len(images), per_step)


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
    settings: Train,
    thresholds: pd.DataFrame | None,
    target: sources.Images | None,
) -> augmentation.RareCrops | None:
    if not settings.rare_crops:
        return None
    if thresholds is None or not isinstance(target, sources.PseudolabelledImages):
        raise BadInput("rare_crops: they need --thresholds and --pseudolabels; give both, or set rare_crops to 0")
    rare = rare_classes(thresholds["pixels"].to_numpy(), settings.rare_share)
    return augmentation.RareCrops(target.class_pixels, rare, settings.rare_crops)


def _pick_source(settings: Train, statistics: Path | None, labelled: sources.LabelledImages) -> PickSource:
    """Every image alike, or class-balanced."""
    if settings.class_balance is None:
        return sampling.shuffled
    if statistics is None:
        raise BadInput("class_balance: it needs --statistics; give the file, or set it to null")
    with hdf5.open_hdf5(statistics, "statistics") as file:
        pixels = file["class_pixels"][:]
        same = file.classes == settings.source.classes and hdf5.image_ids(file) == labelled.ids
    if not same or not pixels.any():
        raise BadInput(f"{statistics}: other images or classes than --source, or no labels; give the file of this run")

    def balanced(position: int, count: int, seed: int) -> int:
        return sampling.balanced(position, pixels, settings.class_balance, seed)

    return balanced
