"""How the learning rate goes: up over the first steps, then down along a curve."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from dextr_vos.errors import InputError

Decay = Literal["constant", "cosine", "poly"]
_POLY_POWER = 0.9  # of Deeplab


def rate_factor(step: int, steps: int, warmup: int, decay: Decay) -> float:
    """The share of the full rate at a step.

    Args:
        step: from 0.
        steps: of the whole training.
        warmup: steps over which the rate rises in a line.
        decay: "cosine" to zero (Loshchilov and Hutter, ICLR 2017), "poly" with the power 0.9 of Deeplab, or
            "constant".

    Returns:
        In [0, 1].
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if decay == "constant":
        return 1.0
    left = max(0.0, (steps - step) / max(1, steps - warmup))
    return left**_POLY_POWER if decay == "poly" else (1 - math.cos(math.pi * left)) / 2


_EPOCHS_KEPT = 3  # one that ends, one that begins, and the first, of which others are drawn


class SampleOrder:
    """An endless row of epochs; in each every set is gone through `repeat` times, all sets mixed.

    Args:
        counts: number of objects of every set.
        repeats: how often an object of the set comes in an epoch; 0.25 takes a random quarter each time.
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
        """The sample at a position of the row, an index into the sets joined one after the other."""
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
    """The positions each process reads, pass by pass, from a step to the last.

    Two processes with a batch of B read what one with a batch of 2B reads.

    Args:
        first: step to begin with.
        last: step to end before.
        batch: samples a process and pass.
        passes: whose gradients make one step.
        rank: of this process.
        world: number of processes.
    """

    def __init__(self, first: int, last: int, batch: int, passes: int, rank: int = 0, world: int = 1) -> None:
        self._passes = range(first * passes, last * passes)
        self._batch, self._rank, self._world = batch, rank, world

    def __len__(self) -> int:
        return len(self._passes)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self._passes:
            start = (number * self._world + self._rank) * self._batch
            yield list(range(start, start + self._batch))


def lite_optimizer(network: nn.Module, rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter, ICLR 2019) that pulls kernels to zero, but no norms and no biases.

    Args:
        network: all its parameters learn.
        rate: the full learning rate.
        weight_decay: of the kernels.
    """
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": kernels}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, weight_decay=weight_decay)
