"""Batch normalisation over several processes on CPUs, which torch has none of."""

from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def synchronise(model: nn.Module) -> None:
    """Have each batch normalisation layer of `model` normalise with the statistics of all processes, in place."""
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.forward = partial(_normalised, module)


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient, as the loss is a sum over all too, is again such a sum."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(context, gradient)


def _normalised(norm: _BatchNorm, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation of x (B, C, …) with the statistics of all processes."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1] * x.dim()
    shape[1] = -1
    own_count = x.new_tensor(x.numel() / x.shape[1])
    count = _Sum.apply(own_count)
    mean = _Sum.apply(x.sum(axes)) / count
    centred = x - mean.view(shape)
    own_squares = centred.square().sum(axes)
    variance = _Sum.apply(own_squares) / count
    if norm.track_running_stats:
        unbiased = variance.detach() * count / (count - 1)
        _keep_running(norm, mean.detach(), unbiased)
    scale = (variance + norm.eps).rsqrt()
    y = centred * scale.view(shape)
    if norm.affine:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    if hasattr(norm, "act"):  # timm's layers have dropout and an activation too
        y = norm.act(norm.drop(y))
    return y


def _keep_running(norm: _BatchNorm, mean: torch.Tensor, variance: torch.Tensor) -> None:
    norm.num_batches_tracked += 1
    momentum = norm.momentum
    if momentum is None:  # the mean over all batches
        momentum = 1 / norm.num_batches_tracked.item()
    norm.running_mean.lerp_(mean, momentum)
    norm.running_var.lerp_(variance, momentum)
