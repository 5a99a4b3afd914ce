"""Several processes that share one training, each on a GPU of its own: started together, and kept in step.

A process makes its part of each mini-batch. Gradients, the number of labelled pixels and the statistics of batch
normalisation are those of the whole mini-batch, so that a training is the same to rounding, however many share it.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import multiprocessing, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cotrain.base.errors import BadInput

GRACE = 60  # seconds that a process has to end when it is told to


class Team:
    """The processes of one training, of which this is the one of number `rank`; alone, it is all there is."""

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank, self.count = rank, count

    @property
    def first(self) -> bool:
        """Whether this process is the one that speaks and writes."""
        return self.rank == 0

    def share(self, items: Sequence) -> Sequence:
        """This process's part; with 4 source and 4 target images in a batch, each of 2 gets 2 of both."""
        return items[self.rank :: self.count]

    def sum(self, number: float) -> float:
        """Over all processes."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64)  # on the CPU, so that no GPU is waited for
        dist.all_reduce(total)
        return total.item()

    def any(self, *facts: object) -> list[bool]:
        """Of each fact, whether it is true of any process."""
        if self.count == 1:
            return [bool(fact) for fact in facts]
        counts = torch.tensor([float(bool(fact)) for fact in facts])
        dist.all_reduce(counts)
        return [count > 0 for count in counts.tolist()]

    def gather(self, value: Any) -> list:
        """What each process has, by rank. Also waits for all."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def together(self, batches: Iterable) -> Iterator:
        """The batches. A BadInput that one process meets is raised in all, so that none waits for another in vain."""
        iterator, last = iter(batches), object()
        while True:
            try:
                batch, fault = next(iterator, last), None
            except BadInput as error:
                batch, fault = None, str(error)
            if self.any(fault)[0]:
                raise BadInput(*next(filter(None, self.gather(fault))).splitlines())
            if batch is last:
                return
            yield batch

    def network(self, model: nn.Module) -> nn.Module:
        """`model` as it is to be called in training: on its way back the gradients become the means over all processes.

        Its batch normalisation layers are replaced by some that know the whole batch, with the same tensors.
        """
        if self.count == 1:
            return model
        if next(model.parameters()).is_cuda:
            from timm.layers import convert_sync_batchnorm  # torch's own would lose timm's activations

            return _distributed(convert_sync_batchnorm(model))
        for module in model.modules():
            if isinstance(module, _BatchNorm):
                module.forward = partial(_normalised, module)
        return _distributed(model)


ALONE = Team()


def _distributed(model: nn.Module) -> nn.Module:
    """The buffers agree already. A static graph may have parameters that take no part."""
    return nn.parallel.DistributedDataParallel(model, forward_sync_buffers=False, static_graph=True)


# ---- batch normalisation on CPUs, which torch has none of for several processes --------------------------------------


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. What the loss, also a sum over all, owes to it is again such a sum."""

    @staticmethod
    def forward(_: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, gradient: torch.Tensor) -> torch.Tensor:
        return _Sum.forward(_, gradient)


def _normalised(norm: _BatchNorm, x: torch.Tensor) -> torch.Tensor:
    """Batch normalisation of x (B, C, …) with the statistics of all processes. timm's has an activation too."""
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.dim())]
    count = _Sum.apply(x.new_tensor(x.numel() / x.shape[1]))
    mean = _Sum.apply(x.sum(axes)) / count
    centred = x - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    if norm.track_running_stats:
        _keep_running(norm, mean.detach(), variance.detach() * count / (count - 1))
    y = centred * (variance + norm.eps).rsqrt().view(shape)
    y = y * norm.weight.view(shape) + norm.bias.view(shape) if norm.affine else y
    return norm.act(norm.drop(y)) if hasattr(norm, "act") else y


def _keep_running(norm: _BatchNorm, mean: torch.Tensor, variance: torch.Tensor) -> None:
    norm.num_batches_tracked += 1
    share = 1 / norm.num_batches_tracked.item() if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)


# ---- start ----------------------------------------------------------------------------------------------------------


def launch(work: Callable[..., None], count: int, device: torch.device) -> None:
    """Call `work(team=…)` in `count` processes of this machine; `work` must be picklable.

    They meet by a file and not, as those of torchrun do, by a server, which would listen on all networks. A BadInput of
    theirs is raised here. SystemExit on a signal to this process or to one of them.
    """
    if count == 1:
        work(team=ALONE)
        return
    if device.type == "cuda" and (there := torch.cuda.device_count()) < count:
        raise BadInput(f"gpus: {count} are wanted, and {there} are there; lower it (in the config, training.gpus)")
    with tempfile.TemporaryDirectory(prefix="cotrain-") as folder:
        arguments = (work, count, device.type, Path(folder))
        processes = multiprocessing.start_processes(_member, arguments, count, join=False, start_method="spawn")
        try:
            while not processes.join(grace_period=GRACE):
                pass
        except (multiprocessing.ProcessExitedException, multiprocessing.ProcessRaisedException) as failed:
            _raise_fault(Path(folder))
            if isinstance(failed, multiprocessing.ProcessRaisedException):
                raise
            raise SystemExit(failed.exit_code if failed.exit_code > 0 else 128 - failed.exit_code) from None
        except SystemExit:  # this process was told to end
            for process in processes.processes:
                process.terminate()
            for process in processes.processes:
                process.join(GRACE)
            raise
        _raise_fault(Path(folder))


def _raise_fault(folder: Path) -> None:
    """The BadInput that a process met, if one did."""
    for told in sorted(folder.glob("fault *")):
        raise BadInput(*told.read_text(encoding="utf-8").splitlines())


def _member(rank: int, work: Callable[..., None], count: int, device: str, folder: Path) -> None:
    """One of the processes; it writes down its BadInput, if there was one."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the kernel sends when the parent is killed
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, "lo")
    if device == "cuda":
        torch.cuda.set_device(rank)
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    try:
        work(team=Team(rank, count))
    except BadInput as fault:
        (folder / f"fault {rank}").write_text(str(fault), encoding="utf-8")
    finally:
        dist.destroy_process_group()
