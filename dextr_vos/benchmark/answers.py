"""The sentences that a benchmark supports: how far clicks are from drawn masks, and what the time buys."""

from collections.abc import Sequence
from dataclasses import dataclass

from dextr_vos.benchmark.curves import CurvePoint, Interval, Series, curve, difference, series_in
from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.time_model import TimeModel

NAMES = {
    "gt": "drawn masks",
    "dextr": "DEXTR, simulated clicks",
    "clicks": "DEXTR, people's clicks",
    "grabcut": "GrabCut, simulated clicks",
}
SHORT = {"gt": "drawn", "dextr": "DEXTR", "clicks": "DEXTR, people", "grabcut": "GrabCut"}


@dataclass(frozen=True)
class Comparison:
    """Click-made masks against drawn ones.

    Attributes:
        series: of the clicks.
        keyframes: how many were clicked.
        seconds: of people a clip, clicking.
        value: J&F from clicks.
        drawn_keyframes: how many were drawn.
        drawn_seconds: of people a clip, drawing.
        drawn_value: J&F from drawn masks.
        gap: clicks minus drawn, over the clips that both have.
        clips: how many these are.
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


def comparisons(results: Sequence[CellResult], times: TimeModel, measure: str = "jf") -> list[Comparison]:
    """Every click-made curve against the drawn one of the same network, at equal numbers of keyframes."""
    found = []
    for series, drawn in _pairs(results):
        there = {point.keyframes: point for point in curve(results, drawn, measure, times)}
        for point in curve(results, series, measure, times):
            if point.keyframes in there:
                found += _compared(series, point, there[point.keyframes])
    return found


def within_the_time(results: Sequence[CellResult], times: TimeModel) -> list[Comparison]:
    """Most clicked keyframes that were measured against the fewest drawn, where they take no longer."""
    found = []
    for series, drawn in _pairs(results):
        clicked, drawings = curve(results, series, "jf", times), curve(results, drawn, "jf", times)
        if clicked and drawings:
            fitting = [point for point in clicked if point.seconds <= drawings[0].seconds]
            if fitting:
                found += _compared(series, fitting[-1], drawings[0])
    return found


def sentence(one: Comparison) -> str:
    """A comparison in a sentence that can be cited, as HTML."""
    who = {"dextr": "DEXTR masks of four simulated clicks", "clicks": "DEXTR masks of people's clicks"}
    subject = who.get(one.series.supervision, "GrabCut masks of four simulated clicks")
    gap, count = one.gap, _frames(one.keyframes)
    side = "below" if gap.mean < 0 else "above"
    interval = f"95 % interval over {one.clips} clips {signed(gap.low)} to {signed(gap.high)}"
    numbers = f"J&amp;F {one.value:.1f} against {one.drawn_value:.1f}; {interval}"
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
    """Seconds to a tenth, without a zero behind the point."""
    return f"{seconds:.1f}".removesuffix(".0")


def signed(value: float) -> str:
    """A number with its sign, a true minus."""
    return f"{value:+.1f}".replace("-", "−")


def _frames(count: int, before: str = "") -> str:
    words = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five"}
    noun = "keyframe" if count == 1 else "keyframes"
    return " ".join(filter(None, [words.get(count, str(count)), before, noun]))


def _pairs(results: Sequence[CellResult]) -> list[tuple[Series, Series]]:
    there = series_in(results)
    return [
        (one, other)
        for one in there
        for other in there
        if one.supervision != "gt"
        and other.supervision == "gt"
        and (one.network, one.choose) == (other.network, other.choose)
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
