"""Several processes that share one training, each on a GPU of its own: started together, and kept in step.

A process makes its part of each mini-batch. Gradients, the number of labelled pixels and the statistics of batch
normalisation are those of the whole mini-batch, so that a training is the same to rounding, however many share it.
"""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import multiprocessing, nn

from cotrain.base.errors import BadInput
from cotrain.training import normalisation

GRACE = 60  # seconds that a process has to end when it is told to

Item = TypeVar("Item")


class Team:
    """The processes of one training, of which this is number `rank`. Alone, it is the whole team."""

    def __init__(self, rank: int = 0, count: int = 1):
        self.rank = rank
        self.count = count

    @property
    def first(self) -> bool:
        """Whether this is the process that prints and writes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part; with 4 source and 4 target images in a batch, each of 2 gets 2 of both."""
        return items[self.rank :: self.count]

    def sum(self, number: float) -> float:
        """The sum over all processes."""
        if self.count == 1:
            return number
        total = torch.tensor(number, dtype=torch.float64)  # on the CPU, so that no GPU is waited for
        dist.all_reduce(total)
        return total.item()

    def any(self, *facts: object) -> list[bool]:
        """For each fact, whether it is true in any process."""
        if self.count == 1:
            return [bool(fact) for fact in facts]
        counts = torch.tensor([float(bool(fact)) for fact in facts])
        dist.all_reduce(counts)
        return [count > 0 for count in counts.tolist()]

    def gather(self, value: Any) -> list:
        """The value of each process, by rank. Also waits for all."""
        if self.count == 1:
            return [value]
        values = [None] * self.count
        dist.all_gather_object(values, value)
        return values

    def together(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The batches. A BadInput that one process meets is raised in all, so that none waits for another in vain."""
        iterator = iter(batches)
        end = object()
        while True:
            fault = None
            try:
                batch = next(iterator, end)
            except BadInput as error:
                fault = str(error)
            (any_fault,) = self.any(fault)
            if any_fault:
                self._raise_first(fault)
            if batch is end:
                return
            yield batch

    def _raise_first(self, fault: str | None) -> None:
        """Raise the BadInput of the first process that met one; `fault` is this process's."""
        for text in self.gather(fault):
            if text:
                raise BadInput(*text.splitlines())

    def network(self, model: nn.Module) -> nn.Module:
        """`model` as it is to be called in training: its backward pass leaves the mean gradients of all processes.

        Its batch normalisation layers are replaced by some that know the whole batch, with the same tensors.
        """
        if self.count == 1:
            return model
        if next(model.parameters()).is_cuda:
            from timm.layers import convert_sync_batchnorm  # torch's own would lose timm's activations

            return _distributed(convert_sync_batchnorm(model))
        normalisation.synchronise(model)
        return _distributed(model)


ALONE = Team()


def _distributed(model: nn.Module) -> nn.Module:
    """Buffers need no synchronising, they agree already. With a static graph, parameters may take no part."""
    return nn.parallel.DistributedDataParallel(model, forward_sync_buffers=False, static_graph=True)


# ---- start ----------------------------------------------------------------------------------------------------------


def launch(work: Callable[..., None], count: int, device: torch.device) -> None:
    """Call `work(team=…)` in `count` processes of this machine; `work` must be picklable.

    They meet by a file and not, as those of torchrun do, by a server, which would listen on all networks. Raises the
    BadInput that one of them met, and SystemExit on a signal to this process or to one of them.
    """
    if count == 1:
        work(team=ALONE)
        return
    _check_gpus(count, device)
    with tempfile.TemporaryDirectory(prefix="cotrain-") as folder:
        arguments = (work, count, device.type, Path(folder))
        processes = multiprocessing.start_processes(_member, arguments, count, join=False, start_method="spawn")
        try:
            while not processes.join(grace_period=GRACE):
                pass
        except SystemExit:  # this process was told to end
            _terminate(processes)
            raise
        except multiprocessing.ProcessRaisedException:
            _raise_fault(Path(folder))
            raise
        except multiprocessing.ProcessExitedException as failed:
            _raise_fault(Path(folder))
            raise SystemExit(_exit_code(failed)) from None
        _raise_fault(Path(folder))


def _check_gpus(count: int, device: torch.device) -> None:
    if device.type == "cuda" and torch.cuda.device_count() < count:
        raise BadInput(
            f"gpus: {count} are wanted, and {torch.cuda.device_count()} are there; lower it "
            "(in the config, training.gpus)"
        )


def _exit_code(failed: multiprocessing.ProcessExitedException) -> int:
    """The exit code of a process; of one that was killed, as a shell has it."""
    if failed.exit_code < 0:
        return 128 - failed.exit_code
    return failed.exit_code


def _terminate(processes: multiprocessing.ProcessContext) -> None:
    for process in processes.processes:
        process.terminate()
    for process in processes.processes:
        process.join(GRACE)


def _raise_fault(folder: Path) -> None:
    """Raise the BadInput that a process met, if one did."""
    for file in sorted(folder.glob("fault *")):
        raise BadInput(*file.read_text(encoding="utf-8").splitlines())


def _member(rank: int, work: Callable[..., None], count: int, device: str, folder: Path) -> None:
    """Run one of the processes. It writes the BadInput that it meets into a file."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # which the kernel sends when the parent is killed
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(name, "lo")
    backend = "gloo"
    if device == "cuda":
        torch.cuda.set_device(rank)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, init_method=f"file://{folder}/meeting", rank=rank, world_size=count)
    try:
        work(team=Team(rank, count))
    except BadInput as fault:
        (folder / f"fault {rank}").write_text(str(fault), encoding="utf-8")
    finally:
        dist.destroy_process_group()
