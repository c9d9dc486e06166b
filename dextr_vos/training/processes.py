"""The processes of a training: one, or as many as torchrun started; which one writes, and collectives.

Batch norms count over the batches of all processes, so that two with half a batch equal one with all. PyTorch
has that for CUDA (`nn.SyncBatchNorm`); here the CPU is added. The names of the weights stay those of
`nn.BatchNorm2d` (Ioffe and Szegedy, ICML 2015), so saved ones load into the plain network.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs
from torch import Tensor, nn

from dextr_vos.errors import DextrVosError, InputError

_PATIENCE = timedelta(hours=6)  # all wait while the main process validates

T = TypeVar("T")


def world_size() -> int:
    """How many processes torchrun started, known before they are connected; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this is the process that logs and writes; known before the processes are connected."""
    return os.environ.get("RANK", "0") == "0"


class Processes:
    """This process among those of a training; all of them construct it together.

    Args:
        device: "cpu" keeps away from the GPU, "cuda:1" takes that one; None takes what there is.

    Attributes:
        count: of processes.
        rank: of this one.
        is_main: whether it is the one that writes.
        device: on which it computes.

    Raises:
        InputError: the device does not suit that many processes.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        count = world_size()
        cuda = torch.cuda.is_available()
        if device is not None and device.type == "cuda" and device.index is not None:
            if count > 1:
                raise InputError(f"{count} processes cannot share {device}; give --device cuda or cpu")
            torch.cuda.set_device(device)
        # accelerate keeps the device that a process asked for first
        AcceleratorState._reset_state(reset_partial_state=True)
        self._accelerator = Accelerator(
            # without this, processes on a machine that has no GPU would each train alone
            cpu=(device is not None and device.type == "cpu") or (count > 1 and not cuda),
            mixed_precision="no",
            kwargs_handlers=[
                InitProcessGroupKwargs(timeout=_PATIENCE),
                # the lite tracker's encoder stays as it is at first
                DistributedDataParallelKwargs(find_unused_parameters=True),
            ],
        )
        self.count: int = self._accelerator.num_processes
        if self.count != count:
            raise InputError(
                f"torchrun started {count} processes, on this device there is room for {self.count}; "
                "give --device cpu, or start one process"
            )
        self.rank: int = self._accelerator.process_index
        self.is_main: bool = self.rank == 0
        self.device: torch.device = self._accelerator.device

    def wrap(self, network: nn.Module, share_norms: bool) -> nn.Module:
        """The network as a module whose gradients are averaged over all processes.

        Args:
            network: on the device; where there are several processes and `share_norms` is set, its batch
                norms are replaced.
            share_norms: batch norms use the statistics of all processes' batches.
        """
        if self.count > 1 and share_norms:
            share_batch_norms(network, self.device)
        wrapped: nn.Module = self._accelerator.prepare_model(network)
        return wrapped

    def no_sync(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """A context in which each process accumulates gradients of a wrapped network by itself."""
        block: AbstractContextManager[None] = self._accelerator.no_sync(wrapped)
        return block

    def backward(self, loss: Tensor) -> None:
        """Gradients of a loss."""
        self._accelerator.backward(loss)

    def mean(self, values: Tensor) -> list[float]:
        """The mean over all processes of each value; all call it."""
        means: list[float] = self._accelerator.reduce(values, "mean").tolist()
        return means

    def from_main(self, work: Callable[[], T]) -> T:
        """The result of the main process's work, or the error it raised, in every process; all call it.

        Errors other than a user's are raised in the main process alone; torchrun then ends the others.
        """
        shared: list[object] = [None, None]
        if self.is_main:
            try:
                shared[0] = work()
            except (DextrVosError, OSError) as error:
                if self.count == 1:
                    raise
                shared[1] = error
        if self.count > 1:
            torch.distributed.broadcast_object_list(shared)
        result, failed = shared
        if isinstance(failed, BaseException):
            raise failed
        return result  # type: ignore[return-value]  # a list forgets which is which

    def end(self) -> None:
        """Disconnect from the others; all call it, or none."""
        if self.count > 1:
            torch.distributed.barrier()
        if self.device.type == "cuda" or self.count == 1:
            self._accelerator.end_training()
        # gloo needs no destroying; with PyTorch 2.6 that kept a process waiting now and then


def share_batch_norms(network: nn.Module, device: torch.device) -> None:
    """Replace the batch norms inside a network, in place; parameters stay the same objects.

    Args:
        network: at least one module deep.
        device: CUDA takes PyTorch's own kernels.
    """
    for name, module in network.named_children():
        if not isinstance(module, nn.BatchNorm2d):
            share_batch_norms(module, device)
        elif device.type == "cuda":
            convert = nn.SyncBatchNorm.convert_sync_batchnorm
            setattr(network, name, convert(module))  # type: ignore[no-untyped-call]
        else:
            setattr(network, name, SyncBatchNorm2d.share(module))


class SyncBatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d` whose batch, in training, is that of all processes of the default group together.

    All of them must call it equally often; batches may differ in size. In one process, and for
    evaluation, it is the plain layer.
    """

    @classmethod
    def share(cls, norm: nn.BatchNorm2d) -> "SyncBatchNorm2d":
        """A layer with the parameters and statistics of another, not copies of them."""
        layer = cls(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        layer.weight, layer.bias = norm.weight, norm.bias
        layer.running_mean, layer.running_var = norm.running_mean, norm.running_var
        layer.num_batches_tracked = norm.num_batches_tracked
        return layer.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """N×C×H×W to the same shape and dtype; statistics are computed in float32 at least."""
        if not (self.training and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(x)
        exact = x.to(torch.promote_types(x.dtype, torch.float32))
        count = exact.new_tensor([exact.numel() / self.num_features])
        sums = _sum_over_processes(torch.cat([exact.sum((0, 2, 3)), count]))
        mean, total = sums[:-1] / sums[-1].detach(), sums[-1].detach()
        # in a second round, since the mean of squares less the square of the mean loses digits
        centred = exact - mean[:, None, None]
        var = _sum_over_processes(centred.square().sum((0, 2, 3))) / total
        self._update_running(mean.detach(), var.detach(), total)
        scale = torch.rsqrt(var + self.eps)
        if not self.affine:
            return (centred * scale[:, None, None]).to(x.dtype)
        scale = scale * self.weight
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _update_running(self, mean: Tensor, var: Tensor, total: Tensor) -> None:
        """Update the running statistics as the plain layer does."""
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        unbiased = var * (total / (total - 1).clamp(min=1))
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_(unbiased.to(self.running_var.dtype), share)


class _SumOverProcesses(torch.autograd.Function):
    """A sum over processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _sum_over_processes(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total
