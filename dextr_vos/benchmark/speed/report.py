"""All that was asked for, measured, and shown as tables or plain values."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.table import Table

from dextr_vos.benchmark.speed.scoring import scoring_masks, scoring_things
from dextr_vos.benchmark.speed.stages import SIZE_HW, Against, Footage, TierName, against_plain, stage_things
from dextr_vos.benchmark.speed.timing import OnRun, Timing, timed


@dataclass(frozen=True)
class SpeedReport:
    """What was measured.

    Attributes:
        device: where.
        threads: of the CPU.
        runs: of each thing.
        timings: of the parts.
        official_difference: largest difference of a score from the official one, where both were asked.
        against: the paper model against the same run plainly.
    """

    device: str
    threads: int
    runs: int
    timings: Sequence[Timing]
    official_difference: float | None
    against: Sequence[Against]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"against": [asdict(one) | {"ratio": one.ratio} for one in self.against]}


def measure(
    device: torch.device,
    runs: int,
    parts: Sequence[str],
    models: Sequence[str],
    batch: int,
    davis_root: Path | None,
    results: Path | None,
    bar: Callable[[str], OnRun],
) -> SpeedReport:
    """Measure parts one after the other.

    Args:
        device: where to compute.
        runs: how often each thing is timed.
        parts: of stages, scoring, plain.
        models: for stages: lite, paper.
        batch: for plain, objects at a time.
        davis_root: for scoring, DAVIS 2016; None renders a clip.
        results: for scoring, masks on it.
        bar: from a title to what is called with runs done and in all.
    """
    timings: list[Timing] = []
    difference: float | None = None
    against: list[Against] = []
    footage = Footage.rendered(SIZE_HW)
    if "stages" in parts:
        for model in models:
            things = stage_things(cast(TierName, model), footage, device)
            timings += timed(things, runs, device, bar(f"timing {model}"))
    if "scoring" in parts:
        with scoring_masks(davis_root, results, SIZE_HW) as scoring:
            things, difference = scoring_things(scoring)
            timings += timed(things, runs, torch.device("cpu"), bar("timing scores"))
    if "plain" in parts:
        against = against_plain(footage, device, runs, batch, bar("timing against plain"))
    return SpeedReport(str(device), torch.get_num_threads(), runs, timings, difference, against)


def print_report(report: SpeedReport) -> None:
    """Print the tables."""
    console = Console()
    what = f"milliseconds on {report.device}, {report.threads} threads, {report.runs} runs"
    if report.timings:
        table = Table("", "", "", "median", "least", "most", title=what)
        for timing in report.timings:
            figures = (timing.median_s, timing.least_s, timing.most_s)
            told = (f"{1000 * seconds:.{1 if seconds < 0.05 else 0}f}" for seconds in figures)
            table.add_row(timing.part, timing.name, timing.precision, *told)
        console.print(table)
    if report.official_difference is not None:
        ours, theirs = (one.median_s for one in report.timings if one.part == "scoring a frame")
        console.print(
            f"scoring is {theirs / ours:.1f} times as fast as the official functions; "
            f"largest difference {report.official_difference:.1e}"
        )
    for one in report.against:
        console.print(
            f"{one.name}: {one.plain_s:.2f} s plainly (fp32, default layout), {one.ours_s:.2f} s as it is "
            f"run ({one.precision}): {one.ratio:.2f} times as fast; "
            f"IoU of the masks {one.iou:.4f}"
        )
