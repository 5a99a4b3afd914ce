"""Optimizers and learning-rate schedules."""

import torch
from torch.optim import lr_scheduler

from cotrain.base.errors import BadInput
from cotrain.networks.segmenter import Segmenter
from cotrain.settings.training import Optimizer

SCHEDULES = {
    "constant": lambda optimizer, steps: lr_scheduler.ConstantLR(optimizer, factor=1),
    "step": lambda optimizer, steps: lr_scheduler.MultiStepLR(optimizer, [steps // 3, 2 * steps // 3], gamma=0.1),
    "poly": lambda optimizer, steps: lr_scheduler.PolynomialLR(optimizer, steps, power=0.9),
    "one_cycle": lambda optimizer, steps: lr_scheduler.OneCycleLR(
        optimizer, max_lr=[group["lr"] for group in optimizer.param_groups], total_steps=steps, pct_start=0.2
    ),
}


def make_optimizer(model: Segmenter, settings: Optimizer, learning_rate: float) -> torch.optim.Optimizer:
    """An optimizer whose learning rates, the encoder's and the others', are those before any schedule."""
    common = {"lr": learning_rate, "weight_decay": settings.weight_decay, "fused": True}
    parameters = _parameters(model, settings.encoder_factor, learning_rate)
    if settings.name == "adamw":
        return torch.optim.AdamW(parameters, **common)
    return torch.optim.SGD(parameters, momentum=settings.momentum, **common)


def _parameters(model: Segmenter, encoder_factor: float, learning_rate: float) -> list:
    """All parameters; or those of the encoder, with `encoder_factor` times the learning rate, and the others."""
    if encoder_factor == 1:
        return list(model.parameters())
    if model.encoder is None:
        raise BadInput(
            f"optimizer.encoder_factor: {model.settings.architecture} has no part named encoder or backbone; "
            "set it to 1, or name that part so"
        )
    encoder = list(model.encoder.parameters())
    of_encoder = {id(parameter) for parameter in encoder}
    others = [parameter for parameter in model.parameters() if id(parameter) not in of_encoder]
    return [{"params": encoder, "lr": encoder_factor * learning_rate}, {"params": others}]
