"""Statistics of a benchmark: means over clips, differences with bootstrap intervals, curves over time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.settings import SUPERVISIONS, Choice, Supervision
from dextr_vos.propagation.settings import ModelName

RESAMPLES = 10_000

Measure = str  # "jf", "j" or "f"
ByClip = Mapping[str, float]


@dataclass(frozen=True)
class Series:
    """The supervision, choice of keyframes and model of one curve."""

    supervision: Supervision
    choose: Choice
    model: ModelName


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
        keyframes: number of keyframes.
        seconds: of people, mean over clips.
        value: mean over clips, in points (0 to 100).
        clips: values by clip.
    """

    keyframes: int
    seconds: float
    value: Interval
    clips: ByClip


def clip_value(result: CellResult, measure: Measure, without_keyframes: bool = False) -> float:
    """A cell's value in points: mean over frames, then over objects.

    Args:
        result: of the cell.
        measure: "jf", "j" or "f".
        without_keyframes: leave out the keyframes.
    """
    keep = np.array([not without_keyframes or name not in result.keyframes for name in result.scored])
    parts = {"j": [one.j for one in result.objects], "f": [one.f for one in result.objects]}
    values = [np.asarray(row)[keep] for letter in measure for row in parts[letter]]
    known = [row[~np.isnan(row)] for row in values]
    means = [row.mean() for row in known if row.size]
    return float(100 * np.mean(means)) if means else float("nan")


def series_in(results: Sequence[CellResult]) -> list[Series]:
    """The curves that have results, drawn masks first."""
    found = {Series(one.cell.supervision, one.cell.choose, one.cell.model) for one in results}
    return sorted(found, key=lambda one: (one.model, one.choose, SUPERVISIONS.index(one.supervision)))


def by_clip(
    results: Sequence[CellResult],
    series: Series,
    keyframes: int,
    measure: Measure,
    without_keyframes: bool = False,
) -> dict[str, float]:
    """Values by clip at a number of keyframes; the mean over seeds."""
    values: dict[str, list[float]] = {}
    for one in cells_at(results, series, keyframes):
        values.setdefault(one.cell.clip, []).append(clip_value(one, measure, without_keyframes))
    return {clip: float(np.mean(each)) for clip, each in values.items()}


def cells_at(results: Sequence[CellResult], series: Series, keyframes: int) -> list[CellResult]:
    """The cells of a curve at a number of keyframes."""
    return [
        one
        for one in results
        if one.cell.keyframes == keyframes
        and Series(one.cell.supervision, one.cell.choose, one.cell.model) == series
    ]


def curve(
    results: Sequence[CellResult], series: Series, measure: Measure, times: AnnotationTime
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


NAMES = {
    "gt": "drawn masks",
    "dextr": "DEXTR, simulated clicks",
    "clicks": "DEXTR, people's clicks",
    "grabcut": "GrabCut, simulated clicks",
}
SHORT = {"gt": "drawn", "dextr": "DEXTR", "clicks": "DEXTR, people", "grabcut": "GrabCut"}


@dataclass(frozen=True)
class Comparison:
    """Masks from clicks against drawn ones.

    Attributes:
        series: of the clicks.
        keyframes: number of clicked keyframes.
        seconds: of people a clip, clicking.
        value: J&F from clicks.
        drawn_keyframes: number of drawn keyframes.
        drawn_seconds: of people a clip, drawing.
        drawn_value: J&F from drawn masks.
        gap: clicks minus drawn, over the clips that both have.
        clips: number of these clips.
    """

    series: Series
    keyframes: int
    seconds: float
    value: float
    drawn_keyframes: int
    drawn_seconds: float
    drawn_value: float
    gap: Interval
    clips: int


def comparisons(
    results: Sequence[CellResult], times: AnnotationTime, measure: str = "jf"
) -> list[Comparison]:
    """Every curve of clicks against the drawn one of the same model, at equal numbers of keyframes."""
    found = []
    for series, drawn in _pairs(results):
        drawn_at = {point.keyframes: point for point in curve(results, drawn, measure, times)}
        for point in curve(results, series, measure, times):
            if point.keyframes in drawn_at:
                found += _compared(series, point, drawn_at[point.keyframes])
    return found


def within_the_time(results: Sequence[CellResult], times: AnnotationTime) -> list[Comparison]:
    """As many clicked keyframes as take no longer than the fewest drawn ones, against these."""
    found = []
    for series, drawn in _pairs(results):
        clicked, drawings = curve(results, series, "jf", times), curve(results, drawn, "jf", times)
        if clicked and drawings:
            fitting = [point for point in clicked if point.seconds <= drawings[0].seconds]
            if fitting:
                found += _compared(series, fitting[-1], drawings[0])
    return found


def sentence(one: Comparison) -> str:
    """A comparison as an HTML sentence that can be cited."""
    who = {"dextr": "DEXTR masks of four simulated clicks", "clicks": "DEXTR masks of people's clicks"}
    subject = who.get(one.series.supervision, "GrabCut masks of four simulated clicks")
    gap, count = one.gap, _frames(one.keyframes)
    side = "below" if gap.mean < 0 else "above"
    interval = f"95 % interval over {one.clips} clips {signed(gap.low)} to {signed(gap.high)}"
    over = interval if one.clips > 1 else "one clip, so without an interval"
    numbers = f"J&amp;F {one.value:.1f} against {one.drawn_value:.1f}; {over}"
    if one.keyframes == one.drawn_keyframes:
        lead = f"At {count}, {subject} come <strong>within {abs(gap.mean):.1f} points</strong> of drawn masks"
        if gap.mean >= 0:
            lead = f"At {count}, {subject} are <strong>{gap.mean:.1f} points above</strong> drawn masks"
        cost = f"{plain(one.seconds)} s of a person's time in place of {plain(one.drawn_seconds)} s"
        return f"{lead} ({numbers}), for {cost}."
    return (
        f"{subject} of {count}, {plain(one.seconds)} s of clicking, end "
        f"<strong>{abs(gap.mean):.1f} points {side}</strong> "
        f"{_frames(one.drawn_keyframes, 'drawn')} of {plain(one.drawn_seconds)} s ({numbers})."
    )


def plain(seconds: float) -> str:
    """Seconds with at most one decimal."""
    return f"{seconds:.1f}".removesuffix(".0")


def signed(value: float, digits: int = 1) -> str:
    """A number with its sign, with a typographic minus."""
    return f"{value:+.{digits}f}".replace("-", "−")


def bounds(interval: Interval, clips: int, number: Callable[[float], str]) -> str:
    """The ends of an interval over clips, as `number` writes them; one clip has none."""
    return f"{number(interval.low)} … {number(interval.high)}" if clips > 1 else "–"


def _frames(count: int, before: str = "") -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
    noun = "keyframe" if count == 1 else "keyframes"
    return " ".join(filter(None, [words.get(count, str(count)), before, noun]))


def _pairs(results: Sequence[CellResult]) -> list[tuple[Series, Series]]:
    series = series_in(results)
    return [
        (one, other)
        for one in series
        for other in series
        if one.supervision != "gt"
        and other.supervision == "gt"
        and (one.model, one.choose) == (other.model, other.choose)
    ]


def _compared(series: Series, point: CurvePoint, drawn: CurvePoint) -> list[Comparison]:
    gap = difference(point.clips, drawn.clips)
    common = [clip for clip in point.clips if clip in drawn.clips]
    if gap is None:
        return []
    value, drawn_value = (sum(each.clips[clip] for clip in common) / len(common) for each in (point, drawn))
    return [
        Comparison(
            series,
            point.keyframes,
            point.seconds,
            value,
            drawn.keyframes,
            drawn.seconds,
            drawn_value,
            gap,
            len(common),
        )
    ]
