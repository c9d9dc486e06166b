"""Measures the parts that are asked for, and reports them as tables or plain values."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from rich.table import Table

from dextr_vos.benchmark.speed.scoring import scoring_masks, scoring_workloads
from dextr_vos.benchmark.speed.stages import (
    SIZE_HW,
    PlainComparison,
    SpeedInput,
    compare_with_plain,
    stage_workloads,
)
from dextr_vos.benchmark.speed.timing import OnRun, Timing, time_workloads
from dextr_vos.propagation.settings import ModelName


@dataclass(frozen=True)
class SpeedReport:
    """Measured seconds.

    Attributes:
        device: where networks computed.
        threads: of the CPU.
        repeats: of each workload.
        timings: of the parts.
        official_difference: largest difference of a score from the official one; None without it.
        against_plain: the paper model against the same networks in float32 and the default layout.
    """

    device: str
    threads: int
    repeats: int
    timings: Sequence[Timing]
    official_difference: float | None
    against_plain: Sequence[PlainComparison]

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {
            "against_plain": [asdict(one) | {"ratio": one.ratio} for one in self.against_plain]
        }


def measure(
    device: torch.device,
    repeats: int,
    parts: Sequence[str],
    models: Sequence[str],
    sam2_weights: Path | None,
    batch: int,
    davis_root: Path | None,
    results: Path | None,
    bar: Callable[[str], OnRun],
) -> SpeedReport:
    """Measure parts one after the other.

    Args:
        device: where to compute.
        repeats: how often each workload is timed.
        parts: of stages, scoring, plain.
        models: for stages: lite, paper, sam2.
        sam2_weights: see `stage_workloads`.
        batch: for plain, objects at a time.
        davis_root: for scoring, DAVIS; None renders a clip.
        results: for scoring, masks on it.
        bar: takes a title and returns what is called with runs done and in all.
    """
    timings: list[Timing] = []
    difference: float | None = None
    against: list[PlainComparison] = []
    if "stages" in parts:
        frames = SpeedInput.rendered(SIZE_HW)
        for model in models:
            workloads = stage_workloads(cast(ModelName, model), frames, device, sam2_weights)
            timings += time_workloads(workloads, repeats, device, bar(f"timing {model}"))
    if "scoring" in parts:
        with scoring_masks(davis_root, results, SIZE_HW) as scoring:
            workloads, difference = scoring_workloads(scoring)
            timings += time_workloads(workloads, repeats, torch.device("cpu"), bar("timing scores"))
    if "plain" in parts:
        against = compare_with_plain(
            SpeedInput.rendered(SIZE_HW), device, repeats, batch, bar("timing against plain")
        )
    return SpeedReport(str(device), torch.get_num_threads(), repeats, timings, difference, against)


def terminal_report(report: SpeedReport) -> list[Table | str]:
    """The report as a table and sentences for the terminal."""
    shown: list[Table | str] = []
    if report.timings:
        title = f"milliseconds on {report.device}, {report.threads} threads, {report.repeats} repeats"
        table = Table("", "", "", "median", "min", "max", title=title)
        for timing in report.timings:
            seconds = (timing.median_s, timing.min_s, timing.max_s)
            texts = (f"{1000 * each:.{1 if each < 0.05 else 0}f}" for each in seconds)
            table.add_row(timing.part, timing.name, timing.precision, *texts)
        shown.append(table)
    if report.official_difference is not None:
        ours, theirs = (one.median_s for one in report.timings if one.part == "scoring a frame")
        shown.append(
            f"scoring is {theirs / ours:.1f} times as fast as the official functions; "
            f"largest difference {report.official_difference:.1e}"
        )
    shown += [
        f"{one.name}: {one.plain_s:.2f} s in plain PyTorch (fp32, default layout), {one.ours_s:.2f} s as "
        f"dextr-vos runs it ({one.precision}): {one.ratio:.2f} times as fast; IoU of the masks {one.iou:.4f}"
        for one in report.against_plain
    ]
    return shown
