"""The part of the report on single clips: scores, and images of the best and the worst frame."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.result import CellFolder, CellResult
from dextr_vos.benchmark.settings import SUPERVISIONS, Supervision
from dextr_vos.benchmark.statistics import SHORT, Series, clip_value, series_in


def clip_cards(out: Path, results: Sequence[CellResult]) -> str:
    """A card a clip: J&F of every cell, and thumbnails where most keyframes were annotated."""
    clips = list(dict.fromkeys(one.cell.clip for one in results))
    cards = [_card(out, clip, [one for one in results if one.cell.clip == clip]) for clip in clips]
    return (
        '<p class="soft">J&amp;F by number of keyframes. Images: the frame with the highest and with the '
        "lowest J&amp;F that was no keyframe, with as many keyframes as were tried; the mask is tinted, the "
        f'true outline is white.</p><div class="clips">{"".join(cards)}</div>'
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
    rows, shots = [], []
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
        folder = CellFolder(out, most.key)
        shots += [_shot(folder.best, most, most.best, "best"), _shot(folder.worst, most, most.worst, "worst")]
    head = [f"{len(results[0].frames)} frames", *(str(count) for count in counts)]
    return (
        f'<div class="clip"><h3>{html.escape(clip)}</h3>{style.table(head, rows)}'
        f'<div class="shots">{"".join(shots)}</div></div>'
    )


def _shot(path: Path, result: CellResult, name: str, kind: str) -> str:
    place = result.scored.index(name)
    value = 100 * np.mean([(one.j[place] + one.f[place]) / 2 for one in result.objects])
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
