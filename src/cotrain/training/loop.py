"""The training loop: mini-batches in, a trained model out."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from cotrain.base.errors import BadInput, in_short
from cotrain.networks.heads import HeadedSegmenter, Outputs
from cotrain.training.batches import Batch
from cotrain.training.objectives import Objectives
from cotrain.training.teams import ALONE, Team

REPORT_EVERY = 10  # steps: to read a loss, the program waits for the device

# batch, outputs, loss, values of the objectives by name
Report = Callable[[Batch, Outputs, float, dict[str, float]], None]


def train(
    model: HeadedSegmenter,
    objectives: Objectives,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler,
    report: Report,
    after_step: Callable[[int], None],
    team: Team = ALONE,
    compiled: bool = False,
) -> None:
    """Train `model` in place, one step for each batch. Raises BadInput when the loss is not finite.

    `report` is called every `REPORT_EVERY` steps, with this process's part of the batch and the losses of the whole;
    `after_step` after each, with the number of steps done. `batches` gives each process of `team` its part.
    """
    device = next(model.parameters()).device
    network = team.network(model.train())
    if compiled:
        network = torch.compile(network, dynamic=False)

    for part in team.together(batches):
        batch = part.to(device)._replace(labelled_pixels=team.sum(part.labelled_pixels))
        outputs = _forward(network, batch.images, model.segmenter.settings.architecture)
        terms = objectives.terms(batch, outputs)
        loss = sum(term.weight * term.value for term in terms)

        optimizer.zero_grad(set_to_none=True)
        (loss * team.count).backward()  # gradients are averaged over the processes, and the loss is a sum over them
        optimizer.step()

        if batch.step % REPORT_EVERY == 0:
            total = team.sum(loss.item())
            if not math.isfinite(total):
                raise _diverged("loss", batch.step)
            report(batch, outputs, total, {term.name: team.sum(term.value.item()) for term in terms})
        scheduler.step()
        objectives.after_step(model)
        after_step(batch.step + 1)


def _forward(network: nn.Module, images: torch.Tensor, architecture: str) -> Outputs:
    """The network's outputs, in mixed precision on a GPU."""
    device = images.device.type
    try:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
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


def check_numbers(model: nn.Module, step: int) -> None:
    """BadInput if a weight is infinite or not a number."""
    for tensor in model.state_dict().values():
        if not tensor.isfinite().all():
            raise _diverged("weights", step)


def _diverged(what: str, step: int) -> BadInput:
    return BadInput(
        f"training diverged: {what} not finite at step {step}; lower course.learning_rate "
        "(in the config, training.source, training.cycle or training.final) and run again"
    )
