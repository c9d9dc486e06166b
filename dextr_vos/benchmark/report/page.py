"""`report.html` of a benchmark of propagation: one file that opens anywhere."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dextr_vos.benchmark.annotation_time import AnnotationTime, load_annotation_time, save_annotation_time
from dextr_vos.benchmark.calibration import calibration
from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.report.charts import ChartLine, DottedLine, dot_chart, interval_chart, line_chart
from dextr_vos.benchmark.report.cost import cost_table, means_table, published
from dextr_vos.benchmark.report.frame_charts import cells_chart
from dextr_vos.benchmark.result import CellFolder, CellResult
from dextr_vos.benchmark.run import Grid, every_cell, read_grid, results_of
from dextr_vos.benchmark.settings import SUPERVISIONS, Supervision
from dextr_vos.benchmark.statistics import (
    NAMES,
    SHORT,
    Series,
    bounds,
    by_clip,
    clip_value,
    comparisons,
    curve,
    sentence,
    series_in,
    signed,
    within_the_time,
)
from dextr_vos.benchmark.table import write_table
from dextr_vos.errors import counted
from dextr_vos.files import read_text, write_text
from dextr_vos.run_files import UNCERTAIN_IOU

_CARD_PX = 520  # what fits a card
_DASHES = ("", "7 4", "2 3", "10 3 2 3")


def write_report(out: Path, times: AnnotationTime | None = None, everything: bool = False) -> Path:
    """Write the page and the table of a benchmark from its finished cells.

    Args:
        out: the folder.
        times: seconds of annotation; as before when not given.
        everything: show every finished cell of the folder, not those of the last settings alone.

    Returns:
        The page.

    Raises:
        InputError: the folder holds no benchmark.
    """
    done = every_cell(out) if everything else read_grid(out)
    if times is not None:
        save_annotation_time(out / "times.json", times)
    times = load_annotation_time(out / "times.json")
    results = results_of(out, done)
    write_table(out, results, times)
    clips = list(dict.fromkeys(entry.cell.clip for entry in done.cells))
    there = len(list(dict.fromkeys(one.cell.clip for one in results)))
    lead = f"{len(results)} of {counted(len(done.cells), 'cell')} finished"
    lead += f", {there} of {counted(len(clips), 'clip')}"
    title = "Clicks against drawn masks"
    body = [f"<h1>{title}</h1>", f'<p class="lead">{lead} · {html.escape(str(times))}</p>']
    if results:
        body += _uneven(results)
        body += _answers(results, times)
        body += _curves(results, times)
        body += _differences(results, times)
        body += _keyframes(results)
        body += _confidence(results)
        body += ["<h2>Clip by clip</h2>", clip_cards(out, results)]
        body += ["<h2>What it costs</h2>", cost_table(results, times)]
    else:
        body.append("<p>No cell is finished yet.</p>")
    body += ["<h2>How it was made</h2>", origin(out, done, results)]
    path = out / "report.html"
    write_text(path, style.page(title, body))
    return path


def _uneven(results: Sequence[CellResult]) -> list[str]:
    """A warning where points of the curves are means over different clips."""
    clips = {
        frozenset(by_clip(results, series, count, "jf"))
        for series in series_in(results)
        for count in {one.cell.keyframes for one in results}
    } - {frozenset()}
    if len(clips) == 1:
        return []
    return [
        '<p class="error">Not every point is the mean over the same clips yet: compare means with care, and '
        "see how many clips each has. Differences are always between the same clips.</p>"
    ]


def _answers(results: Sequence[CellResult], times: AnnotationTime) -> list[str]:
    """The sentences to cite: those on DEXTR first, the others folded away."""
    found, by_time = comparisons(results, times), within_the_time(results, times)
    ours = [one for one in found if one.series.supervision != "grabcut"]
    if not ours:
        return []
    # all of them, good and bad, except those over fewer clips
    most = max(one.clips for one in ours)
    shown = [one for one in ours if one.clips == most]
    top = [*shown, *(one for one in by_time if one.series.supervision != "grabcut" and one not in found)]
    rest = [one for one in found if one not in shown]
    parts = [
        f'<p class="answer {one.series.supervision}">{sentence(one)}{_which(one.series, results)}</p>'
        for one in top
    ]
    lines = "".join(f"<li>{sentence(one)}{_which(one.series, results)}</li>" for one in rest)
    if lines:
        summary = "<summary>Every other pair in a sentence</summary>"
        parts.append(f"<details>{summary}<ul class=sentences>{lines}</ul></details>")
    return parts


def _curves(results: Sequence[CellResult], times: AnnotationTime) -> list[str]:
    theirs = [DottedLine(one.supervision, one.label, one.points) for one in published().curves]
    charts = []
    for measure, title in (("jf", "J&F"), ("j", "J, region similarity")):
        lines = [
            ChartLine(
                one.supervision, _name(one, results), curve(results, one, measure, times), _dash(one, results)
            )
            for one in series_in(results)
        ]
        charts.append(f"<figure>{line_chart(title, lines, theirs)}</figure>")
    legend = "".join(
        f'<span style="--c: var(--{one.supervision})">{html.escape(_name(one, results))}</span>'
        for one in series_in(results)
    )
    legend += "".join(
        f'<span class="dots" style="--c: var(--{one.colour})">{html.escape(one.label)} (J)</span>'
        for one in theirs
    )
    return [
        "<h2>Quality over a person's time</h2>",
        f'<div class="legend">{legend}</div>',
        f'<div class="pair">{"".join(charts)}</div>',
        '<p class="soft below">Numbers in the dots count keyframes; thin lines are 95 % bootstrap intervals '
        "over clips. "
        "Dotted: J as published, on all twenty clips of the split and with another model. "
        f"{html.escape(published().source)}.</p>",
        means_table(results, times, lambda one: _name(one, results)),
    ]


def _differences(results: Sequence[CellResult], times: AnnotationTime) -> list[str]:
    found = comparisons(results, times)
    if not found:
        return []
    rows = []
    for one in sorted(found, key=lambda each: each.series.supervision == "grabcut"):
        label = f"{SHORT[one.series.supervision]}{_which(one.series, results)}, {one.keyframes}"
        rows.append((label, str(one.series.supervision), one.gap))
    head = ["", "key-<br>frames", "J&amp;F,<br>clicks", "J&amp;F,<br>drawn", "difference", "95 % interval"]
    lines = [
        [
            style.tagged(one.series.supervision, SHORT[one.series.supervision] + _which(one.series, results)),
            str(one.keyframes),
            f"{one.value:.1f}",
            f"{one.drawn_value:.1f}",
            f"<strong>{signed(one.gap.mean)}</strong>",
            bounds(one.gap, one.clips, signed),
        ]
        for one in found
    ]
    chart = interval_chart("Click-made minus drawn, by number of keyframes", rows)
    return [
        "<h2>Click-made against drawn masks</h2>",
        '<p class="soft">The same clips, keyframes and model; only the masks of the keyframes differ and, '
        "where the recipe says so, the share of the fine-tuned weights that is kept (alpha, alpha_clicked). "
        "Intervals: clips resampled with replacement, 10,000 times.</p>",
        f'<div class="pair"><figure>{chart}</figure><div>{style.table(head, lines)}</div></div>',
    ]


def _keyframes(results: Sequence[CellResult]) -> list[str]:
    ious = keyframe_iou(results)
    if not ious:
        return []
    clips = list(dict.fromkeys(clip for values in ious.values() for clip in values))
    groups = [
        (clip, [(str(one), values[clip]) for one, values in ious.items() if clip in values]) for clip in clips
    ]
    means = {one: sum(values.values()) / len(values) for one, values in ious.items()}
    groups.append(("mean", [(str(one), value) for one, value in means.items()]))
    means_text = "; ".join(f"{NAMES[one]} <strong>{value:.3f}</strong>" for one, value in means.items())
    return [
        "<h2>Masks of the keyframes</h2>",
        "<p>IoU of click-made masks with the true ones, over all keyframes of a clip. "
        f"Mean of clips: {means_text}.</p>",
        f'<figure style="max-width: 46rem">{dot_chart("IoU of keyframe masks", groups)}</figure>',
    ]


def _confidence(results: Sequence[CellResult]) -> list[str]:
    counts = sorted({one.cell.keyframes for one in results})
    lines = []
    for series in series_in(results):
        for count in counts:
            found = calibration(results, series, count)
            if found is not None:
                lines.append(
                    [
                        style.tagged(series.supervision, SHORT[series.supervision] + _which(series, results)),
                        str(count),
                        f"{found.masks:,}",
                        f"<strong>{found.error:.3f}</strong>",
                        signed(found.bias, 3),
                        f"{found.poor_marked} of {found.poor}",
                        f"{found.marked_rightly} of {found.marked}",
                    ]
                )
    if not lines:
        return []
    head = ["", "key-<br>frames", "masks", "mean<br>error", "bias", "IoU below 0.6:<br>marked"]
    head.append(f"marked:<br>IoU below {UNCERTAIN_IOU}")
    return [
        "<h2>Confidence</h2>",
        '<p class="soft">The model expects an IoU of every propagated mask; error: mean |expected − true|, '
        f"bias: expected − true. Masks with an expected IoU below {UNCERTAIN_IOU} are marked: uncertain, or "
        "lost.</p>",
        style.table(head, lines),
    ]


def _name(series: Series, results: Sequence[CellResult]) -> str:
    return NAMES[series.supervision] + _which(series, results)


def _which(series: Series, results: Sequence[CellResult]) -> str:
    """What distinguishes a curve from others of the same supervision; empty where there are none."""
    words: list[str] = []
    if len({one.cell.model for one in results}) > 1:
        words.append(series.model)
    if len({one.cell.choose for one in results}) > 1:
        words.append("suggested" if series.choose == "suggest" else "even")
    return f" ({', '.join(words)})" if words else ""


def _dash(series: Series, results: Sequence[CellResult]) -> str:
    kinds = list(dict.fromkeys((one.model, one.choose) for one in series_in(results)))
    return _DASHES[kinds.index((series.model, series.choose)) % len(_DASHES)]


def origin(out: Path, done: Grid, results: Sequence[CellResult]) -> str:
    """How the results were made: machines, settings, and the cells that failed."""
    machines = list(dict.fromkeys(one.machine.model_dump_json() for one in results))
    by_text = {one.machine.model_dump_json(): one.machine for one in results}
    facts = [("ran on", done.workers), ("hours, all runs together", f"{done.hours:.2f}")]
    for key in machines:
        machine = by_text[key]
        count = sum(one.machine.model_dump_json() == key for one in results)
        facts.append(
            (
                f"{machine.host}, {count} cells",
                f"{machine.processor}, {machine.cores} cores, {machine.device}, {machine.precision}, "
                f"{machine.threads} threads a job; "
                + ", ".join(f"{name} {version}" for name, version in machine.versions.items())
                + f"; code {machine.code}",
            )
        )
    differences = [one.official_difference for one in results if one.official_difference is not None]
    if differences:
        facts.append(
            (
                "largest difference from the official scorer",
                f"{max(differences):.1e} ({len(differences)} cells)",
            )
        )
    if len({one.machine.code for one in results}) > 1:
        facts.append(("note", "cells were made by different versions of this package's code"))
    parts = [style.definitions([(term, what) for term, what in facts if what])]
    failed = [entry for entry in done.cells if entry.error]
    if failed:
        lines = "".join(
            f'<li class="error">{html.escape(str(entry.cell))}: {html.escape(entry.error)}</li>'
            for entry in failed
        )
        parts.append(f"<h3>Failed twice</h3><ul>{lines}</ul>")
    settings = out / "settings.yaml"
    if settings.exists():
        text = html.escape(read_text(settings))
        parts.append(f"<details><summary>Settings</summary><pre>{text}</pre></details>")
    return "".join(parts)


def clip_cards(out: Path, results: Sequence[CellResult]) -> str:
    """A card a clip: J&F of every cell, and thumbnails where most keyframes were annotated."""
    clips = list(dict.fromkeys(one.cell.clip for one in results))
    cards = [_card(out, clip, [one for one in results if one.cell.clip == clip]) for clip in clips]
    return (
        '<p class="soft">J&amp;F by number of keyframes; J over the frames, with as many keyframes as were '
        "tried, which triangles mark. Images: of these, the frames with the highest and the lowest J&amp;F "
        "that were no keyframes; the mask is tinted, the true outline is white.</p>"
        f'<div class="clips">{"".join(cards)}</div>'
    )


def keyframe_iou(results: Sequence[CellResult]) -> dict[Supervision, dict[str, float]]:
    """Mean IoU of click-made keyframe masks, by supervision and clip; each keyframe counts once."""
    masks: dict[tuple[Supervision, str], dict[tuple[str, int, int], float]] = {}
    for one in results:
        if one.cell.supervision != "gt":
            found_here = masks.setdefault((one.cell.supervision, one.cell.clip), {})
            for frame, objects in one.keyframe_iou.items():
                found_here |= {
                    (frame, object_id, one.cell.seed): value for object_id, value in objects.items()
                }
    found: dict[Supervision, dict[str, float]] = {}
    for supervision in SUPERVISIONS:
        values = {
            clip: float(np.mean(list(each.values())))
            for (whose, clip), each in masks.items()
            if whose == supervision and each
        }
        if values:
            found[supervision] = values
    return found


def _card(out: Path, clip: str, results: Sequence[CellResult]) -> str:
    counts = sorted({one.cell.keyframes for one in results})
    rows, shots, curves = [], [], []
    for series in series_in(results):
        cells = [one for one in results if _series(one) == series]
        values = {
            count: [clip_value(one, "jf") for one in cells if one.cell.keyframes == count] for count in counts
        }
        label = _label(series, results)
        rows.append(
            [style.tagged(series.supervision, label)]
            + [f"{np.mean(values[count]):.1f}" if values[count] else "" for count in counts]
        )
        most = max(cells, key=lambda one: one.cell.keyframes)
        many = f"{most.cell.keyframes} {'keyframe' if most.cell.keyframes == 1 else 'keyframes'}"
        shots.append(f"<div>{style.tagged(series.supervision, label)}<br><small>{many}</small></div>")
        curves.append((label, most))
        folder = CellFolder(out, most.key)
        shots += [_shot(folder.best, most, most.best, "best"), _shot(folder.worst, most, most.worst, "worst")]
    head = [f"{len(results[0].frames)} frames", *(str(count) for count in counts)]
    return (
        f'<div class="clip"><h3>{html.escape(clip)}</h3>{style.table(head, rows)}'
        f'{cells_chart(curves, _CARD_PX)}<div class="shots">{"".join(shots)}</div></div>'
    )


def _shot(path: Path, result: CellResult, name: str, kind: str) -> str:
    place = result.scored.index(name)
    value = 100 * np.nanmean([(one.j[place] + one.f[place]) / 2 for one in result.objects])
    caption = f"<figcaption>{kind}, frame {html.escape(name)}: {value:.1f}</figcaption>"
    if not path.exists():
        return f"<figure>{caption}</figure>"
    image = base64.b64encode(path.read_bytes()).decode("ascii")
    alt = html.escape(f"{result.cell.clip}, frame {name}, the {kind} one")
    return f'<figure><img loading="lazy" alt="{alt}" src="data:image/jpeg;base64,{image}">{caption}</figure>'


def _series(result: CellResult) -> Series:
    return Series(result.cell.supervision, result.cell.choose, result.cell.model)


def _label(series: Series, results: Sequence[CellResult]) -> str:
    words = [SHORT[series.supervision]]
    if len({one.cell.model for one in results}) > 1:
        words.append(series.model)
    if len({one.cell.choose for one in results}) > 1:
        words.append("suggested" if series.choose == "suggest" else "even")
    return ", ".join(words)
