"""The parts of the report on cost (seconds of a person, and of computing), and the published curves."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.settings import Supervision
from dextr_vos.benchmark.statistics import (
    NAMES,
    Series,
    bootstrap,
    bounds,
    by_clip,
    cells_at,
    curve,
    plain,
    series_in,
)
from dextr_vos.config import Settings, load_settings


def means_table(results: Sequence[CellResult], times: AnnotationTime, name: Callable[[Series], str]) -> str:
    """Mean J&F, J and F of each point of each curve."""
    head = [
        "",
        "keyframes",
        "seconds of a person",
        "J&amp;F",
        "95 % interval",
        "J",
        "F",
        "J&amp;F, keyframes left out",
        "clips",
    ]
    rows, classes = [], []
    for series in series_in(results):
        for place, point in enumerate(curve(results, series, "jf", times)):
            j, f, without_keyframes = (
                by_clip(results, series, point.keyframes, measure, alone)
                for measure, alone in (("j", False), ("f", False), ("jf", True))
            )
            without = [value for value in without_keyframes.values() if not math.isnan(value)]
            rows.append(
                [
                    style.tagged(series.supervision, name(series)),
                    str(point.keyframes),
                    plain(point.seconds),
                    f"<strong>{point.value.mean:.1f}</strong>",
                    bounds(point.value, len(point.clips), lambda value: f"{value:.1f}"),
                    f"{np.mean(list(j.values())):.1f}",
                    f"{np.mean(list(f.values())):.1f}",
                    f"{np.mean(without):.1f}" if without else "",
                    str(len(point.clips)),
                ]
            )
            classes.append("first" if place == 0 and len(rows) > 1 else "")
    return style.table(head, rows, classes)


def cost_table(results: Sequence[CellResult], times: AnnotationTime) -> str:
    """Seconds a clip, of people and of computing, as means over clips."""
    head = [
        "",
        "keyframes",
        "person, s",
        "clicks to masks, s",
        "fine-tuning, s",
        "segmenting, s",
        "computing a frame, s",
        "J&amp;F",
    ]
    rows, classes = [], []
    for series in series_in(results):
        for place, count in enumerate(sorted({one.cell.keyframes for one in results})):
            cells = cells_at(results, series, count)
            if not cells:
                continue
            frames = sum(len(one.frames) for one in cells)
            clips = by_clip(results, series, count, "jf")
            rows.append(
                [
                    style.tagged(series.supervision, NAMES[series.supervision]),
                    str(count),
                    plain(
                        float(np.mean([times.seconds(series.supervision, one.annotated) for one in cells]))
                    ),
                    *(
                        f"{np.mean([getattr(one.seconds, phase) for one in cells]):.1f}"
                        for phase in ("annotate", "finetune", "segment")
                    ),
                    f"{sum(one.seconds.total for one in cells) / frames:.2f}",
                    f"{bootstrap(list(clips.values())).mean:.1f}",
                ]
            )
            classes.append("first" if place == 0 and len(rows) > 1 else "")
    whole = sum(one.seconds.total + one.seconds.score for one in {one.key: one for one in results}.values())
    return (
        f'<p class="soft">Means over clips; wall-clock time of the job, with the other jobs beside it. '
        f"All cells together computed for {whole / 3600:.2f} h.</p>" + style.table(head, rows, classes)
    )


class PublishedCurve(Settings):
    """J in per cent over seconds of annotation.

    Attributes:
        supervision: which of our curves it goes with.
        label: what it is called.
        points: seconds and J.
    """

    supervision: Supervision
    label: str
    points: tuple[tuple[float, float], ...]


class Published(Settings):
    """Curves and where they come from."""

    source: str
    curves: tuple[PublishedCurve, ...]


@cache
def published() -> Published:
    """The published figures."""
    return load_settings(Published, Path(__file__).with_name("published.yaml"))
