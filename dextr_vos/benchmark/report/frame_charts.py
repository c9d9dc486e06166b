"""J over the frames of clips, a small chart a clip, as SVG."""

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dextr_vos.benchmark.report.style import alone
from dextr_vos.benchmark.result import CellResult
from dextr_vos.evaluation.davis import DavisScores
from dextr_vos.evaluation.scores import ObjectScores

# A panel: its title and legend, the curves, and below them keyframes and frames.
_LEFT, _RIGHT, _TOP, _PLOT_PX, _HEIGHT = 30, 12, 40, 88, 176
_CAPTION_PX = 30
_DASHES = ("", "7 3", "2 3", "9 3 2 3")
_MARK_STEP, _LEGEND_STEP, _LETTER_PX = 9, 16, 7  # of rows of marks, rows of the legend, letters


@dataclass(frozen=True)
class FrameCurve:
    """J of one result of a clip.

    Attributes:
        label: for the legend.
        colour: as CSS has it.
        values: J by the frame's place in the clip; frames that were not scored are not in it.
        keyframes: places of the keyframes.
        ranges: by place, the lowest and the highest J of an object; empty where there is one object.
    """

    label: str
    colour: str
    values: Mapping[int, float]
    keyframes: Sequence[int] = ()
    ranges: Mapping[int, tuple[float, float]] | None = None


@dataclass(frozen=True)
class FramePanel:
    """The chart of a clip.

    Attributes:
        title: above it.
        note: below the title; a legend takes its place where there are several curves.
        frames: names of all frames.
        curves: what is drawn, each with a dash of its own; the last lies on top.
    """

    title: str
    note: str
    frames: Sequence[str]
    curves: Sequence[FrameCurve]


def frame_charts(panels: Sequence[FramePanel], columns: int, width: int, caption: str = "") -> str:
    """Charts of J from 0 to 1 over frames side by side; triangles below the axis mark keyframes.

    Args:
        panels: one a clip, at least one, each with a curve.
        columns: how many stand in a row.
        width: of each, in pixels.
        caption: above all.

    Returns:
        An SVG element.
    """
    columns = min(columns, len(panels))
    height = max(_panel_height(panel, width) for panel in panels)
    top = _CAPTION_PX if caption else 0
    parts = [f'<text class="tick" x="{_LEFT}" y="18">{html.escape(caption)}</text>'] if caption else []
    parts += [
        f'<g transform="translate({width * (place % columns)} {top + height * (place // columns)})">'
        f"{_panel(panel, width)}</g>"
        for place, panel in enumerate(panels)
    ]
    size = width * columns, top + height * -(-len(panels) // columns)
    return (
        f'<svg viewBox="0 0 {size[0]} {size[1]}" role="img" aria-label="J over the frames of each clip">'
        + "".join(parts)
        + "</svg>"
    )


def scores_chart(scores: DavisScores) -> str:
    """J over frames of every clip of an evaluation, as an SVG file on white.

    With several objects the line is their mean, and the band reaches from the lowest to the highest.
    """
    clips: dict[str, list[ObjectScores]] = {}
    for one in scores.objects:
        clips.setdefault(one.clip, []).append(one)
    panels = [
        _score_panel(objects, scores.frames[clip], scores.keyframes.get(clip, ()))
        for clip, objects in clips.items()
    ]
    caption = "Region similarity J over the frames."
    if any(scores.keyframes.values()):
        caption += " Triangles: keyframes."
    if any(len(objects) > 1 for objects in clips.values()):
        caption += " Line: mean of the objects; band: lowest to highest."
    return alone(frame_charts(panels, 4, 640 if len(panels) == 1 else 290, caption))


def cells_chart(cells: Sequence[tuple[str, CellResult]], width: int) -> str:
    """J over the frames of one clip by cells of a benchmark, means over objects.

    Args:
        cells: label, and the cell.
        width: in pixels.

    Returns:
        An SVG element in the colours of the page.
    """
    curves = []
    for label, cell in cells:
        places = {name: place for place, name in enumerate(cell.frames)}
        means = np.nanmean([one.j for one in cell.objects], axis=0).tolist()
        values = {places[name]: value for name, value in zip(cell.scored, means, strict=True)}
        marks = [places[name] for name in cell.keyframes]
        curves.append(FrameCurve(label, f"var(--{cell.cell.supervision})", values, marks))
    panel = FramePanel("J over the frames", cells[0][0], cells[0][1].frames, curves)  # the same in all
    return frame_charts([panel], 1, width)


def _score_panel(
    objects: Sequence[ObjectScores], frames: Sequence[str], keyframes: Sequence[str]
) -> FramePanel:
    at: dict[int, list[float]] = {}
    for one in objects:
        for frame, value in zip(one.frames, one.j.tolist(), strict=True):
            at.setdefault(frames.index(str(frame)), []).append(value)
    values = {place: float(np.mean(found)) for place, found in sorted(at.items())}
    ranges = {place: (min(found), max(found)) for place, found in sorted(at.items())}
    marks = sorted(frames.index(name) for name in keyframes)
    lowest = min(values, key=lambda place: values[place])
    mean = np.mean([one.j_statistics.mean for one in objects])
    note = f"J {mean:.3f}, lowest {values[lowest]:.2f} in {frames[lowest]}"
    if len(objects) > 1:
        note = f"{len(objects)} objects, {note}"
    curve = FrameCurve("J", "#2463ad", values, marks, ranges=ranges if len(objects) > 1 else None)
    return FramePanel(objects[0].clip, note, frames, [curve])


@dataclass(frozen=True)
class _Area:
    """Where in a panel its curves lie, in pixels, and how many frames there are."""

    left: float
    right: float
    top: float
    bottom: float
    frames: int

    def x(self, place: int) -> float:
        return self.left + place / max(self.frames - 1, 1) * (self.right - self.left)

    def y(self, value: float) -> float:
        return self.bottom - value * (self.bottom - self.top)

    def points(self, values: Iterable[tuple[int, float]]) -> str:
        return " ".join(f"{self.x(place):.1f},{self.y(value):.1f}" for place, value in values)


def _panel_height(panel: FramePanel, width: int) -> int:
    more = _LEGEND_STEP * (_legend_rows(panel, width) - 1) + _MARK_STEP * (len(_mark_rows(panel)) - 1)
    return _HEIGHT + more


def _panel(panel: FramePanel, width: int) -> str:
    top = _TOP + _LEGEND_STEP * (_legend_rows(panel, width) - 1)
    area = _Area(_LEFT, width - _RIGHT, top, top + _PLOT_PX, len(panel.frames))
    parts = [f'<text class="title" x="{_LEFT}" y="15">{html.escape(panel.title)}</text>']
    if len(panel.curves) > 1:
        parts.append(_legend(panel, width))
    else:
        parts.append(f'<text class="tick" x="{_LEFT}" y="30">{html.escape(panel.note)}</text>')
    for tick in (0, 0.5, 1):
        y = area.y(tick)
        parts.append(
            f'<line class="grid" x1="{area.left}" x2="{area.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{area.left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    return "".join(
        [*parts, *(_band(curve, area) for curve in panel.curves), _lines(panel, area), _marks(panel, area)]
    )


def _band(curve: FrameCurve, area: _Area) -> str:
    if not curve.ranges:
        return ""
    outline = [(place, high) for place, (_, high) in curve.ranges.items()]
    outline += [(place, low) for place, (low, _) in reversed(list(curve.ranges.items()))]
    return f'<polygon points="{area.points(outline)}" fill="{curve.colour}" opacity=".18"/>'


def _lines(panel: FramePanel, area: _Area) -> str:
    return "".join(
        f'<polyline points="{area.points(curve.values.items())}" fill="none" {_stroke(curve, place)}>'
        f"<title>{html.escape(curve.label)}</title></polyline>"
        for place, curve in enumerate(panel.curves)
    )


def _marks(panel: FramePanel, area: _Area) -> str:
    """The triangles of the keyframes, and the names of the first and the last frame below them."""
    rows = _mark_rows(panel)
    below = area.bottom + 17 + _MARK_STEP * len(rows)
    first, last = (html.escape(panel.frames[place]) for place in (0, -1))
    parts = [
        f'<text class="tick" x="{area.left}" y="{below}">{first}</text>'
        f'<text class="tick" x="{area.right}" y="{below}" text-anchor="end">{last}</text>'
    ]
    for row, (colour, keyframes) in enumerate(rows):
        parts += [
            f'<path d="M{area.x(place):.1f} {area.bottom + 5 + _MARK_STEP * row} l4 7 h-8 z" fill="{colour}">'
            f"<title>keyframe {html.escape(panel.frames[place])}</title></path>"
            for place in keyframes
        ]
    return "".join(parts)


def _legend(panel: FramePanel, width: int) -> str:
    return "".join(
        f'<path d="M{x} {26 + _LEGEND_STEP * row} h24" {_stroke(curve, place)}/>'
        f'<text class="tick" x="{x + 30}" y="{30 + _LEGEND_STEP * row}">{html.escape(curve.label)}</text>'
        for place, (curve, (x, row)) in enumerate(
            zip(panel.curves, _legend_places(panel, width), strict=True)
        )
    )


def _legend_places(panel: FramePanel, width: int) -> list[tuple[int, int]]:
    """Where each curve stands in the legend, x in pixels and row."""
    places, x, row = [], _LEFT, 0
    for curve in panel.curves:
        needed = 48 + _LETTER_PX * len(curve.label)
        if x > _LEFT and x + needed > width:
            x, row = _LEFT, row + 1
        places.append((x, row))
        x += needed
    return places


def _legend_rows(panel: FramePanel, width: int) -> int:
    return _legend_places(panel, width)[-1][1] + 1


def _stroke(curve: FrameCurve, place: int) -> str:
    dash = _DASHES[place % len(_DASHES)]
    return f'stroke="{curve.colour}" stroke-width="1.8"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _mark_rows(panel: FramePanel) -> list[tuple[str, Sequence[int]]]:
    """Colour and places of the keyframes: one row where all curves have the same, else one a curve."""
    sets = {tuple(sorted(curve.keyframes)) for curve in panel.curves}
    if len(sets) <= 1:
        return [("currentColor", next(iter(sets), ()))]
    return [(curve.colour, sorted(curve.keyframes)) for curve in panel.curves]
