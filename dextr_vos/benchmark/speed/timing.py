"""Timing of things that are done in turn, so that a busy machine is busy for all of them."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

OnRun = Callable[[int, int], None]


@dataclass(frozen=True)
class Thing:
    """Something to time.

    Attributes:
        part: of the pipeline.
        name: what it is.
        precision: in which networks compute, empty where none does.
        run: does it once.
        units: frames, say, that it does at a time; its seconds are divided by them.
    """

    part: str
    name: str
    precision: str
    run: Callable[[], object]
    units: int = 1


@dataclass(frozen=True)
class Timing:
    """Seconds of one thing.

    Attributes:
        part: of the pipeline.
        name: what was measured.
        precision: in which networks computed.
        median_s: of all runs but the first.
        least_s: the quickest.
        most_s: the slowest.
    """

    part: str
    name: str
    precision: str
    median_s: float
    least_s: float
    most_s: float


def timed(
    things: Sequence[Thing], runs: int, device: torch.device, on_run: OnRun | None = None
) -> list[Timing]:
    """Time things in turn, each as often, after a first time that warms up.

    Args:
        things: what to do.
        runs: how often each is timed.
        device: waited for, where it computes on its own.
        on_run: called with runs done and in all.
    """
    seconds: list[list[float]] = [[] for _ in things]
    total = len(things) * (runs + 1)
    for run in range(runs + 1):
        for place, thing in enumerate(things):
            _wait_for(device)
            start = time.perf_counter()
            thing.run()
            _wait_for(device)
            seconds[place].append((time.perf_counter() - start) / thing.units)
            if on_run is not None:
                on_run(run * len(things) + place + 1, total)
    timings = []
    for thing, each in zip(things, seconds, strict=True):
        warm = each[1:]
        timings.append(
            Timing(thing.part, thing.name, thing.precision, statistics.median(warm), min(warm), max(warm))
        )
    return timings


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
