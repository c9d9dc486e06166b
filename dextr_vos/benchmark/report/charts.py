"""Charts as SVG inside the page; colours are variables of its style, so that they follow light and dark."""

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dextr_vos.benchmark.statistics import CurvePoint, Interval

_TICKS = (1, 2, 5)
_FEWEST_COUNTS = 2  # of clicks, that make a curve


@dataclass(frozen=True)
class ChartLine:
    """A curve to draw.

    Attributes:
        colour: name of its variable, like `gt`.
        label: for the tooltip.
        points: of ours; their numbers of keyframes stand in the markers.
        dash: of the line, as SVG has it; empty for a full one.
    """

    colour: str
    label: str
    points: Sequence[CurvePoint]
    dash: str = ""


@dataclass(frozen=True)
class DottedLine:
    """A published curve.

    Attributes:
        colour: name of its variable.
        label: what it is.
        points: seconds and value.
    """

    colour: str
    label: str
    points: Sequence[tuple[float, float]]


def line_chart(title: str, lines: Sequence[ChartLine], dotted: Sequence[DottedLine]) -> str:
    """Values over seconds of annotation, on a logarithmic axis, with intervals.

    Args:
        title: what the values are.
        lines: ours.
        dotted: published ones.
    """
    width, height, left, right, top, bottom = 560, 400, 44, 14, 34, 46
    seconds = [point.seconds for line in lines for point in line.points]
    seconds += [x for line in dotted for x, _ in line.points]
    values = [y for line in lines for point in line.points for y in (point.value.low, point.value.high)]
    values += [y for line in dotted for _, y in line.points]
    if not seconds:
        return ""
    x_low, x_high = min(seconds) / 1.25, max(seconds) * 1.25
    y_low, y_high = 5 * math.floor(min(values) / 5), min(100, 5 * math.ceil((max(values) + 0.5) / 5))

    def x_of(value: float) -> float:
        share = math.log(value / x_low) / math.log(x_high / x_low)
        return left + share * (width - left - right)

    def y_of(value: float) -> float:
        return height - bottom - (value - y_low) / (y_high - y_low) * (height - top - bottom)

    parts = [f'<text class="title" x="{left}" y="18">{html.escape(title)}</text>']
    parts += _grid(x_of, y_of, (x_low, x_high), (y_low, y_high), (left, width - right, top, height - bottom))
    parts.append(
        f'<text class="axis" x="{(left + width - right) / 2:.0f}" y="{height - 8}" text-anchor="middle">'
        "seconds of annotation a clip</text>"
    )
    for theirs in dotted:
        path = _path([(x_of(x), y_of(y)) for x, y in theirs.points])
        dots = "".join(
            f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="2.6" fill="var(--{theirs.colour})">'
            f"<title>{html.escape(theirs.label)}: {x:g} s, {y:g}</title></circle>"
            for x, y in theirs.points
        )
        parts.append(f'<path class="dotted" d="{path}" stroke="var(--{theirs.colour})"/>{dots}')
    for place, line in enumerate(lines):
        parts.append(_line(line, x_of, y_of, 3.0 * (place - (len(lines) - 1) / 2)))
    return _svg(width, height, title, parts)


def interval_chart(title: str, rows: Sequence[tuple[str, str, Interval]]) -> str:
    """Differences as dots with their intervals about a line at zero.

    Args:
        title: what is shown.
        rows: label, name of the colour's variable, interval.
    """
    if not rows:
        return ""
    width, left, right, top, row_h = 560, 176, 60, 34, 26
    height = top + row_h * len(rows) + 40
    reach = [bound for _, _, value in rows for bound in (value.low, value.high, 0.0)]
    step = _step(max(reach) - min(reach))
    low, high = step * math.floor(min(reach) / step), step * math.ceil(max(reach) / step)
    high = high if high > low else low + step

    def x_of(value: float) -> float:
        return left + (value - low) / (high - low) * (width - left - right)

    parts = [f'<text class="title" x="0" y="18">{html.escape(title)}</text>']
    base = top + row_h * len(rows)
    value = low
    while value <= high + 1e-9:
        kind = "zero" if abs(value) < 1e-9 else "grid"
        parts.append(
            f'<line class="{kind}" x1="{x_of(value):.1f}" x2="{x_of(value):.1f}" y1="{top}" y2="{base}"/>'
            f'<text class="tick" x="{x_of(value):.1f}" y="{base + 16}" text-anchor="middle">'
            f"{_signed(value)}</text>"
        )
        value += step
    for place, (label, colour, interval) in enumerate(rows):
        y = top + row_h * (place + 0.5)
        parts.append(
            f'<text class="label" x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">'
            f"{html.escape(label)}</text>"
            f'<line class="bar" x1="{x_of(interval.low):.1f}" x2="{x_of(interval.high):.1f}" y1="{y:.1f}" '
            f'y2="{y:.1f}" stroke="var(--{colour})"/>'
            f'<circle cx="{x_of(interval.mean):.1f}" cy="{y:.1f}" r="5" fill="var(--{colour})"/>'
            f'<text class="value" x="{width - right + 12}" y="{y + 4:.1f}">{_signed(interval.mean, 1)}</text>'
        )
    parts.append(
        f'<text class="axis" x="{(left + width - right) / 2:.0f}" y="{base + 34}" text-anchor="middle">'
        "points of J&amp;F</text>"
    )
    return _svg(width, height, title, parts)


def dot_chart(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """One row a group, a dot a value in [0, 1].

    Args:
        title: what is shown.
        groups: label, and the values with the names of their colours' variables.
    """
    values = [value for _, dots in groups for _, value in dots]
    if not values:
        return ""
    width, left, right, top, row_h = 560, 130, 20, 34, 22
    height = top + row_h * len(groups) + 24
    low = min(0.8, 0.1 * math.floor(10 * min(values)))

    def x_of(value: float) -> float:
        return left + (value - low) / (1 - low) * (width - left - right)

    base = top + row_h * len(groups)
    parts = [f'<text class="title" x="0" y="18">{html.escape(title)}</text>']
    for tick in range(round(10 * low), 11):
        x = x_of(tick / 10)
        parts.append(
            f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{base}"/>'
            f'<text class="tick" x="{x:.1f}" y="{base + 16}" text-anchor="middle">{tick / 10:.1f}</text>'
        )
    for place, (label, dots) in enumerate(groups):
        y = top + row_h * (place + 0.5)
        parts.append(
            f'<text class="label" x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">'
            f"{html.escape(label)}</text>"
        )
        xs = [x_of(value) for _, value in dots]
        parts.append(f'<line class="span" x1="{min(xs):.1f}" x2="{max(xs):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts += [
            f'<circle cx="{x_of(value):.1f}" cy="{y:.1f}" r="5" fill="var(--{colour})">'
            f"<title>{value:.3f}</title></circle>"
            for colour, value in dots
        ]
    return _svg(width, height, title, parts)


def click_chart(title: str, lines: Sequence[tuple[str, str, Mapping[int, float]]]) -> str:
    """Values in [0, 1] over the number of clicks.

    Args:
        title: what is shown.
        lines: label, colour as CSS has it, and the values by number of clicks.
    """
    width, height, left, right, top, bottom = 560, 320, 44, 110, 34, 46
    counts = [clicks for _, _, curve in lines for clicks in curve]
    values = [value for _, _, curve in lines for value in curve.values()]
    if len(set(counts)) < _FEWEST_COUNTS:
        return ""
    low = min(0.8, 0.1 * math.floor(10 * min(values)))

    def x_of(clicks: float) -> float:
        return left + (clicks - min(counts)) / (max(counts) - min(counts)) * (width - left - right)

    def y_of(value: float) -> float:
        return height - bottom - (value - low) / (1 - low) * (height - top - bottom)

    parts = [f'<text class="title" x="{left}" y="18">{html.escape(title)}</text>']
    for tick in range(round(10 * low), 11):
        y = y_of(tick / 10)
        parts.append(
            f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{tick / 10:.1f}</text>'
        )
    parts += [
        f'<text class="tick" x="{x_of(clicks):.1f}" y="{height - bottom + 17}" text-anchor="middle">'
        f"{clicks}</text>"
        for clicks in range(min(counts), max(counts) + 1)
    ]
    parts.append(
        f'<text class="axis" x="{(left + width - right) / 2:.0f}" y="{height - 8}" text-anchor="middle">'
        "clicks on an object</text>"
    )
    parts += [_labelled_curve(label, colour, curve, x_of, y_of) for label, colour, curve in lines]
    return _svg(width, height, title, parts)


def _labelled_curve(
    label: str,
    colour: str,
    curve: Mapping[int, float],
    x_of: Callable[[float], float],
    y_of: Callable[[float], float],
) -> str:
    places = [(x_of(clicks), y_of(value), value) for clicks, value in sorted(curve.items())]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{value:.3f}</title></circle>'
        for x, y, value in places
    )
    x, y, _ = places[-1]
    return (
        f'<path class="curve" d="{_path([place[:2] for place in places])}" stroke="{colour}"/>{dots}'
        f'<text class="label" x="{x + 8:.1f}" y="{y + 4:.1f}">{html.escape(label)}</text>'
    )


def _line(
    line: ChartLine, x_of: Callable[[float], float], y_of: Callable[[float], float], shift: float
) -> str:
    """A curve with its intervals, moved aside a little so that those of others can be seen."""
    colour = f"var(--{line.colour})"
    dash = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    places = [(x_of(point.seconds) + shift, y_of(point.value.mean)) for point in line.points]
    parts = [f'<path class="curve" d="{_path(places)}" stroke="{colour}"{dash}/>']
    for (x, _), point in zip(places, line.points, strict=True):
        low, high = y_of(point.value.low), y_of(point.value.high)
        parts.append(
            f'<line class="whisker" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}" '
            f'stroke="{colour}"/>'
        )
    for (x, y), point in zip(places, line.points, strict=True):
        title = f"{line.label}, {point.keyframes}: {point.seconds:.1f} s, {point.value.mean:.1f}"
        parts.append(
            f'<g><title>{html.escape(title)}</title><circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="8.5" '
            f'fill="{colour}"/><text class="count" x="{x:.1f}" y="{y + 3.7:.1f}" text-anchor="middle">'
            f"{point.keyframes}</text></g>"
        )
    return "".join(parts)


def _grid(
    x_of: Callable[[float], float],
    y_of: Callable[[float], float],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    box: tuple[float, float, float, float],
) -> list[str]:
    left, right, top, bottom = box
    parts = []
    step = 5 if y_range[1] - y_range[0] <= 40 else 10
    for value in range(int(y_range[0]), int(y_range[1]) + 1):
        if value % step == 0:
            y = y_of(value)
            parts.append(
                f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick" x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value}</text>'
            )
    for exponent in range(-1, 6):
        for digit in _TICKS:
            tick = digit * 10.0**exponent
            if x_range[0] <= tick <= x_range[1]:
                x = x_of(tick)
                parts.append(
                    f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
                    f'<text class="tick" x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>'
                )
    return parts


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _step(reach: float) -> float:
    """A round distance between ticks, so that there are four to ten of them."""
    raw = max(reach, 1e-6) / 6
    power = 10.0 ** math.floor(math.log10(raw))
    return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= raw)


def _signed(value: float, digits: int = 0) -> str:
    text = f"{value:+.{digits}f}" if abs(value) > 1e-9 else f"{0:.{digits}f}"
    return text.replace("-", "−")


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
