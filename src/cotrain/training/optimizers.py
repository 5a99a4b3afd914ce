"""Optimizers and learning-rate schedules."""

from collections.abc import Callable

import torch
from torch.optim import Optimizer, lr_scheduler

from cotrain.base.errors import BadInput
from cotrain.networks.heads import HeadedSegmenter
from cotrain.settings.training import Optimizer as OptimizerSettings
from cotrain.settings.training import Schedule


def _constant(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.ConstantLR(optimizer, factor=1)


def _step(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.MultiStepLR(optimizer, milestones=[steps // 3, 2 * steps // 3], gamma=0.1)


def _poly(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    return lr_scheduler.PolynomialLR(optimizer, steps, power=0.9)


def _one_cycle(optimizer: Optimizer, steps: int) -> lr_scheduler.LRScheduler:
    peaks = [group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(optimizer, max_lr=peaks, total_steps=steps, pct_start=0.2)


SCHEDULES: dict[Schedule, Callable[[Optimizer, int], lr_scheduler.LRScheduler]] = {
    "constant": _constant,
    "step": _step,
    "poly": _poly,
    "one_cycle": _one_cycle,
}


def make_optimizer(model: HeadedSegmenter, settings: OptimizerSettings, learning_rate: float) -> Optimizer:
    """An optimizer with the learning rates before any schedule, the encoder's times `encoder_factor`."""
    common = {"lr": learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    parameters = _parameters(model, settings.encoder_factor, learning_rate)
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.SGD(parameters, momentum=settings.momentum, **common)


def _parameters(model: HeadedSegmenter, encoder_factor: float, learning_rate: float) -> list:
    """All parameters; or two groups, of the encoder and of all others, if the encoder has a factor of its own."""
    if encoder_factor == 1:
        return list(model.parameters())
    segmenter = model.segmenter
    if segmenter.encoder is None:
        raise BadInput(
            f"optimizer.encoder_factor: {segmenter.settings.architecture} has no part named encoder or backbone; "
            "set it to 1, or name that part so"
        )
    encoder = list(segmenter.encoder.parameters())
    in_encoder = {id(parameter) for parameter in encoder}
    others = [parameter for parameter in model.parameters() if id(parameter) not in in_encoder]
    return [{"params": encoder, "lr": encoder_factor * learning_rate}, {"params": others}]
