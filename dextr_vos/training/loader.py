"""Batches made ahead of time by worker processes."""

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dextr_vos.errors import DextrVosError
from dextr_vos.training.schedule import PositionBatches

_AHEAD = 4  # batches a worker


def load_batches(
    samples: Dataset[dict[str, Tensor]], positions: PositionBatches, workers: int, pin_memory: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Batches in order; closing the iterator ends the workers.

    Args:
        samples: by position.
        positions: of each batch.
        workers: processes that make them; 0 makes them here.
        pin_memory: for the way to a GPU.

    Raises:
        DextrVosError: whatever a sample raised, as it raised it.
    """
    loader = DataLoader(
        samples,
        batch_sampler=positions,
        num_workers=workers,
        worker_init_fn=_quiet_worker,
        # a forked worker sees that its training was killed, one of a fork server waits for ever
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        prefetch_factor=_AHEAD if workers else None,
        pin_memory=pin_memory,
    )
    batches = iter(loader)
    while True:
        try:
            batch: dict[str, Tensor] = next(batches)
        except StopIteration:
            return
        except DextrVosError as fault:
            raise _as_raised(fault) from None
        yield batch


def _quiet_worker(_: int) -> None:
    """One thread a worker, and it yields: the cores are the network's. When to stop is not its business."""
    import cv2

    # torchrun and the terminal signal the whole group; a worker that dies of it would fail the last step
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ignore_once)
    cv2.setNumThreads(0)
    os.nice(10)
    torch.set_num_threads(1)


def _ignore_once(kind: int, frame: FrameType | None) -> None:
    signal.signal(kind, signal.SIG_DFL)


def _as_raised(fault: DextrVosError) -> DextrVosError:
    """The fault with its own sentence; the loader wraps a worker's into a traceback in words."""
    kind = type(fault)
    return kind(str(fault).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].strip())
