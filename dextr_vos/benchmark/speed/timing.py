"""Timing of workloads in turn, so that other load on the machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

OnRun = Callable[[int, int], None]


@dataclass(frozen=True)
class Workload:
    """A piece of work to time.

    Attributes:
        part: of the workflow.
        name: of the work.
        precision: in which networks compute, empty without networks.
        run: does the work once.
        units: number of frames, say, of one run; seconds are divided by it.
    """

    part: str
    name: str
    precision: str
    run: Callable[[], object]
    units: int = 1


@dataclass(frozen=True)
class Timing:
    """Seconds of one workload.

    Attributes:
        part: of the workflow.
        name: of the work.
        precision: in which networks computed.
        median_s: of all runs but the first.
        min_s: of the fastest run.
        max_s: of the slowest run.
    """

    part: str
    name: str
    precision: str
    median_s: float
    min_s: float
    max_s: float


def time_workloads(
    workloads: Sequence[Workload], repeats: int, device: torch.device, on_run: OnRun | None = None
) -> list[Timing]:
    """Time workloads in turn, each equally often, after a first run that warms up.

    Args:
        workloads: what to time.
        repeats: how often each is timed.
        device: synchronized before and after each run.
        on_run: called with runs done and in all.
    """
    seconds: list[list[float]] = [[] for _ in workloads]
    total = len(workloads) * (repeats + 1)
    for run in range(repeats + 1):
        for place, workload in enumerate(workloads):
            _synchronize(device)
            start = time.perf_counter()
            workload.run()
            _synchronize(device)
            seconds[place].append((time.perf_counter() - start) / workload.units)
            if on_run is not None:
                on_run(run * len(workloads) + place + 1, total)
    timings = []
    for workload, each in zip(workloads, seconds, strict=True):
        warm = each[1:]
        timings.append(
            Timing(
                workload.part,
                workload.name,
                workload.precision,
                statistics.median(warm),
                min(warm),
                max(warm),
            )
        )
    return timings


def _synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
