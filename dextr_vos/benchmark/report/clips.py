"""The part of the report on single clips: scores, and images of the best and the worst frame."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.result import CellFolder, CellResult
from dextr_vos.benchmark.settings import SUPERVISIONS, Supervision
from dextr_vos.benchmark.statistics import SHORT, Series, clip_value, series_in
from dextr_vos.clip import Clip
from dextr_vos.files import atomic_path
from dextr_vos.geometry import fit_longest_side
from dextr_vos.images import ImageRgb
from dextr_vos.masks import VOID, Labels, object_ids, voc_palette


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


LONGEST_PX = 320
_QUALITY = 72
_TINT = np.array([(0, 0, 0), (255, 70, 60), (60, 170, 255), (255, 200, 40), (60, 210, 120)], dtype=np.uint8)


def thumbnail(image_rgb: ImageRgb, labels: Labels, truth: Labels) -> ImageRgb:
    """A small image of a frame with its mask.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8, the mask.
        truth: H×W uint8; its outline is drawn.
    """
    height, width = fit_longest_side((image_rgb.shape[0], image_rgb.shape[1]), LONGEST_PX)
    small: ImageRgb = cv2.resize(image_rgb, (width, height), interpolation=cv2.INTER_AREA)
    colours = voc_palette()
    colours[: len(_TINT)] = _TINT
    mask, true = (
        cv2.resize(each, (width, height), interpolation=cv2.INTER_NEAREST) for each in (labels, truth)
    )
    inside = (mask != 0) & (mask != VOID)
    small[inside] = (0.45 * small[inside] + 0.55 * colours[mask[inside]]).astype(np.uint8)
    for object_id in object_ids(true):
        outlines, _ = cv2.findContours(
            (true == object_id).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(small, outlines, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return small


def write_thumbnail(path: Path, clip: Clip, index: int, labels: Labels, truth: Labels) -> None:
    """Write the thumbnail of one frame as JPEG."""
    image = thumbnail(clip.read(index), labels, truth)
    _, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.tobytes())
