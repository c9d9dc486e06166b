"""Training samples in their order, and batches of them made ahead of time by worker processes."""

import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from dextr_vos.errors import DextrVosError, InputError

_AHEAD = 4  # batches prepared by each worker
_EPOCHS_KEPT = 3  # one that ends, one that begins, and the first, of which others are drawn


class SampleOrder:
    """Endless epochs; in each every set is gone through `repeat` times, all sets shuffled together.

    Args:
        counts: number of objects of every set.
        repeats: how often an object of the set is seen in an epoch; 0.25 takes a random quarter each time.
        seed: of the order.
    """

    def __init__(self, counts: Sequence[int], repeats: Sequence[float], seed: int) -> None:
        self._counts = list(counts)
        self._takes = [round(count * repeat) for count, repeat in zip(counts, repeats, strict=True)]
        self._seed = seed
        self.epoch_length = sum(self._takes)
        if self.epoch_length == 0:
            raise InputError("there is no object to train on; look at the data sets, min_area and repeat")
        self._shuffles: dict[int, npt.NDArray[np.int64]] = {}

    def at(self, position: int) -> int:
        """The sample at a position of the run, an index into the sets joined one after the other."""
        epoch, place = divmod(position, self.epoch_length)
        if epoch not in self._shuffles:
            if len(self._shuffles) == _EPOCHS_KEPT:
                del self._shuffles[next(iter(self._shuffles))]
            self._shuffles[epoch] = self._shuffled(epoch)
        return int(self._shuffles[epoch][place])

    def _shuffled(self, epoch: int) -> npt.NDArray[np.int64]:
        rng = np.random.default_rng((self._seed, epoch))
        parts, start = [], 0
        for count, take in zip(self._counts, self._takes, strict=True):
            rounds = -(-take // count) if count else 0
            drawn = [rng.permutation(count) for _ in range(rounds)]
            parts += [start + np.concatenate(drawn)[:take]] if drawn else []
            start += count
        return rng.permutation(np.concatenate(parts))


class PositionBatches:
    """The positions of the samples in each batch of a process, from a step to the last.

    Two processes with a batch of B read what one with a batch of 2B reads.

    Args:
        first: step to begin with.
        last: step to end before.
        batch: samples a batch, in each process.
        accumulate_grad: batches whose gradients make one step.
        rank: of this process.
        world: number of processes.
    """

    def __init__(
        self, first: int, last: int, batch: int, accumulate_grad: int, rank: int = 0, world: int = 1
    ) -> None:
        self._batches = range(first * accumulate_grad, last * accumulate_grad)
        self._batch, self._rank, self._world = batch, rank, world

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._batches:
            start = (number * self._world + self._rank) * self._batch
            yield list(range(start, start + self._batch))


def load_batches(
    samples: Dataset[dict[str, Tensor]], positions: PositionBatches, workers: int, pin_memory: bool = False
) -> Iterator[dict[str, Tensor]]:
    """Batches in order; closing the iterator ends the workers, and so does an error of a sample.

    Args:
        samples: by position.
        positions: of each batch.
        workers: processes that make them; 0 makes them here.
        pin_memory: batches lie in pinned memory, from which copies to a GPU are faster.

    Raises:
        DextrVosError: whatever a sample raised, as it raised it.
    """
    loader = DataLoader(
        samples,
        batch_sampler=positions,
        num_workers=workers,
        worker_init_fn=_quiet_worker,
        # a forked worker notices that its training was killed, one of a fork server waits for ever
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
        except DextrVosError as error:
            fault = _as_raised(error)
            traceback.clear_frames(error.__traceback__)  # they keep the workers
            break
        yield batch
    del batches
    raise fault


def _quiet_worker(_: int) -> None:
    """One thread a worker, at low priority: the cores are the network's. Workers ignore the first signal."""
    import cv2

    # torchrun and the terminal signal the whole group; a worker killed by it would fail the last step
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _ignore_once)
    cv2.setNumThreads(0)
    os.nice(10)
    torch.set_num_threads(1)


def _ignore_once(kind: int, frame: FrameType | None) -> None:
    signal.signal(kind, signal.SIG_DFL)


def _as_raised(error: DextrVosError) -> DextrVosError:
    """The error with its own sentence, which the loader puts at the end of a worker's traceback."""
    kind = type(error)
    return kind(str(error).rpartition(f"{kind.__module__}.{kind.__qualname__}: ")[2].removesuffix(r"\n"))
