"""Which sample comes when: a pure function of the seed and the position, so that any run can be resumed."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dextr_vos.errors import InputError

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
