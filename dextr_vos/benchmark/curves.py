"""What a benchmark comes to: means over clips, differences with bootstrap intervals, curves over time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.settings import SUPERVISIONS, Choice, Network, Supervision
from dextr_vos.benchmark.time_model import TimeModel

RESAMPLES = 10_000

Measure = str  # "jf", "j" or "f"
ByClip = Mapping[str, float]


@dataclass(frozen=True)
class Series:
    """What one curve is about."""

    supervision: Supervision
    choose: Choice
    network: Network


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % bootstrap interval over clips."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class CurvePoint:
    """One point of a curve.

    Attributes:
        keyframes: how many.
        seconds: of people, mean over clips.
        value: mean over clips, in points (0 to 100).
        clips: values by clip.
    """

    keyframes: int
    seconds: float
    value: Interval
    clips: ByClip


def clip_value(result: CellResult, measure: Measure, unaided: bool = False) -> float:
    """A cell's value in points: mean over frames, then over objects.

    Args:
        result: of the cell.
        measure: "jf", "j" or "f".
        unaided: leave out frames that were keyframes.
    """
    keep = np.array([not unaided or name not in result.keyframes for name in result.scored])
    parts = {"j": [one.j for one in result.objects], "f": [one.f for one in result.objects]}
    chosen = [parts[letter] for letter in measure]
    values = np.asarray(chosen, dtype=np.float64)[..., keep]
    return float(100 * values.mean()) if values.size else float("nan")


def series_in(results: Sequence[CellResult]) -> list[Series]:
    """The curves there are: drawn masks first."""
    found = {Series(one.cell.supervision, one.cell.choose, one.cell.network) for one in results}
    return sorted(found, key=lambda one: (one.network, one.choose, SUPERVISIONS.index(one.supervision)))


def by_clip(
    results: Sequence[CellResult], series: Series, keyframes: int, measure: Measure, unaided: bool = False
) -> dict[str, float]:
    """Values by clip at a number of keyframes; the mean over seeds."""
    values: dict[str, list[float]] = {}
    for one in cells_at(results, series, keyframes):
        values.setdefault(one.cell.clip, []).append(clip_value(one, measure, unaided))
    return {clip: float(np.mean(each)) for clip, each in values.items()}


def cells_at(results: Sequence[CellResult], series: Series, keyframes: int) -> list[CellResult]:
    """The cells of a curve at a number of keyframes."""
    return [
        one
        for one in results
        if one.cell.keyframes == keyframes
        and Series(one.cell.supervision, one.cell.choose, one.cell.network) == series
    ]


def curve(
    results: Sequence[CellResult], series: Series, measure: Measure, times: TimeModel
) -> list[CurvePoint]:
    """A curve over the seconds of people, by number of keyframes."""
    points = []
    for count in sorted({one.cell.keyframes for one in results}):
        clips = by_clip(results, series, count, measure)
        if clips:
            cells = cells_at(results, series, count)
            seconds = [times.seconds(series.supervision, one.annotated) for one in cells]
            points.append(CurvePoint(count, float(np.mean(seconds)), bootstrap(list(clips.values())), clips))
    return points


def difference(one: ByClip, other: ByClip) -> Interval | None:
    """Mean of `one` minus `other` over the clips that both have; None where they share none."""
    common = [clip for clip in one if clip in other]
    if not common:
        return None
    return bootstrap([one[clip] - other[clip] for clip in common])


def bootstrap(values: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Mean of values with its 95 % percentile interval over resamples with replacement.

    Args:
        values: one a clip, at least one; with a single one the interval is a point.
        resamples: how many.
        seed: of the draws, so that the same values always give the same interval.
    """
    series: npt.NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    draws = np.random.default_rng(seed).integers(0, len(series), (resamples, len(series)))
    low, high = np.percentile(series[draws].mean(axis=1), [2.5, 97.5]).tolist()
    return Interval(float(series.mean()), low, high)
