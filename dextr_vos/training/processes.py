"""The processes of a training: one, or as many as torchrun started; which one writes, and collectives."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs
from torch import Tensor, nn

from dextr_vos.errors import DextrVosError, InputError
from dextr_vos.training.sync_batch_norm import share_batch_norms

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
            kwargs_handlers=[InitProcessGroupKwargs(timeout=_PATIENCE)],
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
        self._accelerator.end_training()
