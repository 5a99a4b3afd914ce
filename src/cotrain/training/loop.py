"""The training loop: batches in, a trained model out."""

import math
from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional as F

from cotrain.base.errors import BadInput, in_short
from cotrain.method.labelmaps import VOID
from cotrain.networks.segmenter import Segmenter
from cotrain.training.teams import ALONE, Team


def segmentation_loss(logits: torch.Tensor, labels: torch.Tensor, pixels: float) -> torch.Tensor:
    """Sum of the cross-entropies of the pixels that are not void, over `pixels`: how many the whole mini-batch has.

    logits (B, C, H, W), labels (B, H, W): the images of this process. 0 if all pixels are void.
    """
    total = F.cross_entropy(logits.float(), labels.long(), ignore_index=VOID, reduction="sum")
    return total / max(pixels, 1)


def train(
    model: Segmenter,
    batches: Iterable,
    optimizer: torch.optim.Optimizer,
    scheduler,
    report,
    after_step,
    first: int = 0,
    team: Team = ALONE,
    compiled: bool = False,
) -> None:
    """Train `model` in place, one step per batch of images (B, 3, h, w) and labels (B, h, w), both uint8.

    The steps count from `first`. `report(step, loss, images, labels, logits)` is called now and then, with this
    process's part of the batch, and `after_step(steps done)` each time.
    `team` are the processes that share the training; `batches` then has this process's part of each. `compiled` has
    torch compile the network at the first step. Raises BadInput when the loss stops being a number.
    """
    device = next(model.parameters()).device
    model.train()
    network = team.network(model)
    if compiled:
        network = torch.compile(network, dynamic=False)
    for step, (images, labels) in enumerate(team.together(batches), first):
        pixels = team.sum((labels != VOID).sum().item())
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            logits = _logits(network, images, model.settings.architecture)
        loss = segmentation_loss(logits, labels, pixels)
        optimizer.zero_grad(set_to_none=True)
        (loss * team.count).backward()  # gradients are averaged over the processes, and the loss is a sum over them
        optimizer.step()
        if step % 10 == 0:  # reading the loss waits for the device
            value = team.sum(loss.item())
            if not math.isfinite(value):
                raise _diverged("loss", step)
            report(step, value, images, labels, logits)
        scheduler.step()
        after_step(step + 1)


def _logits(network: nn.Module, images: torch.Tensor, architecture: str) -> torch.Tensor:
    try:
        return network(images)
    except ValueError as error:  # BatchNorm over a single value
        raise BadInput(
            f"batch, augmentation.crop: {len(images)} images of {images.shape[-2]}×{images.shape[-1]} are too "
            f"little to train {architecture} ({in_short(error)}); raise one of the two"
        ) from None
    except torch._dynamo.exc.TorchDynamoException as error:
        raise BadInput(
            f"training.compile: torch cannot compile {architecture} here ({in_short(error)}); set it to false"
        ) from None


def check_numbers(model: Segmenter, step: int) -> None:
    """BadInput if a weight is infinite or not a number."""
    if not all(tensor.isfinite().all() for tensor in model.state_dict().values()):
        raise _diverged("weights", step)


def _diverged(what: str, step: int) -> BadInput:
    return BadInput(
        f"training diverged: {what} not finite at step {step}; lower course.learning_rate "
        "(in the config, training.source, training.cycle or training.final) and run again"
    )
