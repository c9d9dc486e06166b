"""Scores of masks made from clicks: of one object, and averaged over the objects of a data set.

The measures of DEXTR (Maninis et al., CVPR 2018) and of its public release: IoU, mAPr, the number of clicks
to reach a given IoU (NoC@85, NoC@90), and for GrabCut's images the error rate. Void pixels are left out.
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dextr_vos.evaluation.metrics import region_similarity
from dextr_vos.files import write_text
from dextr_vos.geometry import BoolArray

# Thresholds of mAPr "vol"; Hariharan et al. (ECCV 2014) call the mean over these nine the volume.
VOLUME_THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
# The IoUs for which the number of clicks is counted.
NOC_TARGETS = (0.85, 0.90)
MAX_CLICKS = 20
_CURVE_SHOWN = 8  # numbers of clicks below the table


@dataclass(frozen=True)
class ObjectResult:
    """Scores of the mask that simulated clicks give of one object.

    Attributes:
        image: name of its image.
        object_id: which object of that image, from 0.
        category: as the data set names it.
        area: pixels of the true mask.
        iou: in [0, 1], void left out.
        error: share of wrongly labelled pixels among all that are not void.
        error_in_box: the same among those in the box around the true mask.
        noc: per target IoU the number of clicks that reached it, None where the limit did not; empty when
            further clicks were not simulated.
        first_clicks: clicks before the first mask: four extreme points, or one click.
        curve: IoU after the first clicks and after each further one; empty as `noc`.
        human_iou: IoU of the mask from a person's clicks on the same object; None without any.
    """

    image: str
    object_id: int
    category: str
    area: int
    iou: float
    error: float
    error_in_box: float
    noc: Mapping[float, int | None] = field(default_factory=dict)
    first_clicks: int = 4
    curve: tuple[float, ...] = ()
    human_iou: float | None = None


@dataclass(frozen=True)
class ClickScores:
    """Mean scores of several objects, or of several groups.

    Attributes:
        objects: number of objects.
        iou: mean IoU.
        above_50: share of objects with an IoU above 0.5.
        above_70: the same above 0.7.
        volume: mean of that share over the thresholds 0.1, 0.2, … 0.9.
        error: mean share of wrong pixels in the image.
        error_in_box: mean share of wrong pixels in the object's box.
        noc: per target IoU the mean number of clicks; an object that did not reach it counts the limit.
        failure_rate: per target IoU the share of objects that did not reach it.
        curve: mean IoU by the number of clicks; an object that got no more clicks keeps its last IoU.
        human_iou: mean IoU from human clicks, None without any.
    """

    objects: int
    iou: float
    above_50: float
    above_70: float
    volume: float
    error: float
    error_in_box: float
    noc: Mapping[float, float]
    failure_rate: Mapping[float, float]
    curve: Mapping[int, float]
    human_iou: float | None


@dataclass(frozen=True)
class ClickSummary:
    """Mean scores over all objects, per group, and over groups.

    With one mask an object and no confidence to rank masks by, average precision has nothing to average:
    each object is found at a threshold or is not. So mAPr at a threshold is, as in DEXTR's release, the share
    of a category's objects with an IoU above it, averaged over categories: `group_mean.above_50`,
    `group_mean.above_70`, and `group_mean.volume` for the mean over nine thresholds. These do not compare
    with APr of detectors (Hariharan et al., ECCV 2014), whose false positives lower it.

    Attributes:
        overall: every object weighs the same.
        groups: per category, by name; of DAVIS, per clip.
        group_mean: every category weighs the same.
    """

    overall: ClickScores
    groups: Mapping[str, ClickScores]
    group_mean: ClickScores


def mask_iou(mask: BoolArray, truth: BoolArray, void: BoolArray) -> float:
    """Intersection over union, void pixels left out of both.

    Args:
        mask: H×W bool, predicted.
        truth: H×W bool.
        void: H×W bool.

    Returns:
        A value in [0, 1]; 1 when both are empty.

    Raises:
        ValueError: the sizes differ.
    """
    return float(region_similarity(truth & ~void, mask & ~void))


def error_rates(mask: BoolArray, truth: BoolArray, void: BoolArray) -> tuple[float, float]:
    """Share of wrongly labelled pixels: in the whole image, and in the box around the true mask.

    The GrabCut error rate in papers (DEXTR's 2.3 % too) counts within the data set's own rectangles, which
    are wider than the box of the object; it lies between these two.

    Args:
        mask: H×W bool, predicted.
        truth: H×W bool, not empty.
        void: H×W bool, counted nowhere: in GrabCut's images the undecided pixels of the boundary.

    Returns:
        Two shares in [0, 1]: wrong pixels by all pixels that are not void, and the same within the box.
    """
    wrong, counted = (mask != truth) & ~void, ~void
    rows, columns = (np.nonzero(truth.any(axis=axis))[0] for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return float(wrong.sum() / counted.sum()), float(wrong[box].sum() / counted[box].sum())


def summarize(results: Sequence[ObjectResult], max_clicks: int = MAX_CLICKS) -> ClickSummary:
    """Mean scores of the objects of a data set.

    Args:
        results: at least one.
        max_clicks: the number of clicks that an object counts which did not reach a target.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("expected at least one result to summarize, got none")
    members: dict[str, list[ObjectResult]] = {}
    for result in results:
        members.setdefault(result.category, []).append(result)
    groups = {name: _mean_of_objects(members[name], max_clicks) for name in sorted(members)}
    overall = _mean_of_objects(results, max_clicks)
    return ClickSummary(overall, groups, _mean_of_groups(list(groups.values())))


def _mean_of_objects(results: Sequence[ObjectResult], max_clicks: int) -> ClickScores:
    ious = np.array([result.iou for result in results])
    human = [result.human_iou for result in results if result.human_iou is not None]
    counts = {target: [result.noc[target] for result in results] for target in results[0].noc}
    return ClickScores(
        objects=len(results),
        iou=float(ious.mean()),
        above_50=float((ious > 0.5).mean()),
        above_70=float((ious > 0.7).mean()),
        volume=float(np.mean([(ious > threshold).mean() for threshold in VOLUME_THRESHOLDS])),
        error=float(np.mean([result.error for result in results])),
        error_in_box=float(np.mean([result.error_in_box for result in results])),
        noc={
            target: float(np.mean([max_clicks if n is None else n for n in each]))
            for target, each in counts.items()
        },
        failure_rate={target: each.count(None) / len(results) for target, each in counts.items()},
        curve=_mean_curve(results),
        human_iou=float(np.mean(human)) if human else None,
    )


def _mean_of_groups(groups: Sequence[ClickScores]) -> ClickScores:
    human = [group.human_iou for group in groups if group.human_iou is not None]

    def mean(name: str) -> float:
        return float(np.mean([getattr(group, name) for group in groups]))

    def means(name: str) -> dict[float, float]:
        each = [getattr(group, name) for group in groups]
        return {target: float(np.mean([one[target] for one in each])) for target in each[0]}

    return ClickScores(
        objects=sum(group.objects for group in groups),
        iou=mean("iou"),
        above_50=mean("above_50"),
        above_70=mean("above_70"),
        volume=mean("volume"),
        error=mean("error"),
        error_in_box=mean("error_in_box"),
        noc=means("noc"),
        failure_rate=means("failure_rate"),
        curve=_mean_of_curves([group.curve for group in groups]),
        human_iou=float(np.mean(human)) if human else None,
    )


def _mean_curve(results: Sequence[ObjectResult]) -> dict[int, float]:
    first = results[0].first_clicks
    length = max(len(result.curve) for result in results)
    curves = [result.curve for result in results if result.curve]
    padded = [[*curve, *[curve[-1]] * (length - len(curve))] for curve in curves]
    if not padded:
        return {}
    return {first + place: float(iou) for place, iou in enumerate(np.mean(padded, axis=0))}


def _mean_of_curves(curves: Sequence[Mapping[int, float]]) -> dict[int, float]:
    longest = max(curves, key=len)
    # a group whose objects were all done earlier keeps its last value
    return {
        clicks: float(np.mean([curve.get(clicks, curve[max(curve)]) for curve in curves]))
        for clicks in longest
    }


def terminal_table(summary: ClickSummary, groups: tuple[str, str] = ("category", "categories")) -> Table:
    """A table with a row a group, the means over groups and over objects, and notes below.

    Args:
        summary: the scores.
        groups: name of a group, singular and plural.
    """
    table = Table(title="Masks from clicks", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.add_column(groups[0].capitalize(), no_wrap=True)
    table.add_column("Objects", justify="right", no_wrap=True)
    overall = summary.overall
    for title in _titles(overall):
        table.add_column(title, justify="right", no_wrap=True)
    for name, scores in summary.groups.items():
        table.add_row(name, str(scores.objects), *_row(scores))
    table.add_section()
    for name, scores in ((f"mean of {groups[1]}", summary.group_mean), ("mean of objects", overall)):
        table.add_row(name, str(scores.objects), *_row(scores), style="bold")
    table.caption = (
        "above .5, .7: share of objects with such an IoU\n"
        f"vol: mean of that over .1 to .9; mean of {groups[1]}: mAPr\n"
        f"wrong pixels: {overall.error:.2%} of the image, {overall.error_in_box:.2%} of the object's box"
    )
    for target, share in overall.failure_rate.items():
        table.caption += f"\nIoU of {target:.0%} not reached by {share:.1%} of objects"
    if summary.group_mean.curve:
        few = list(summary.group_mean.curve.items())[:_CURVE_SHOWN]
        after = ", ".join(f"{clicks}: {iou:.3f}" for clicks, iou in few)
        table.caption += f"\nIoU by number of clicks, mean of {groups[1]}: {after}"
    return table


def write_objects(path: Path, results: Sequence[ObjectResult]) -> None:
    """Write one row an object, in the order of the results.

    Columns: image, object (from 1), category, area, iou, error_percent, error_in_box_percent, then `noc_85`
    and so on where further clicks were simulated (empty: not reached), and `human_iou` where people clicked.

    Args:
        path: CSV file.
        results: at least one.
    """
    targets = list(results[0].noc)
    human = any(result.human_iou is not None for result in results)
    header = ["image", "object", "category", "area", "iou", "error_percent", "error_in_box_percent"]
    header += [f"noc_{100 * target:.0f}" for target in targets] + ["human_iou"] * human
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for one in results:
        figures = [f"{one.iou:.6f}", f"{100 * one.error:.6f}", f"{100 * one.error_in_box:.6f}"]
        clicks = [one.noc[target] for target in targets]
        mine = ["" if one.human_iou is None else f"{one.human_iou:.6f}"] * human
        writer.writerow([one.image, one.object_id + 1, one.category, one.area, *figures, *clicks, *mine])
    write_text(path, text.getvalue())


def write_summary(path: Path, summary: ClickSummary, header: Mapping[str, Any]) -> None:
    """Write mean scores as JSON.

    Args:
        path: JSON file.
        summary: becomes `overall`, `group_mean` and, by name, `groups`.
        header: what was evaluated and how; stands in front. Paths become text.
    """
    content = {
        **header,
        "overall": asdict(summary.overall),
        "group_mean": asdict(summary.group_mean),
        "groups": {name: asdict(scores) for name, scores in summary.groups.items()},
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def _titles(scores: ClickScores) -> Iterable[str]:
    yield "IoU"
    if scores.human_iou is not None:
        yield "human\nIoU"
    yield from ("above\n.5", "above\n.7", "vol")
    yield from (f"NoC\n@{100 * target:.0f}" for target in scores.noc)


def _row(scores: ClickScores) -> Iterable[str]:
    yield f"{scores.iou:.3f}"
    if scores.human_iou is not None:
        yield f"{scores.human_iou:.3f}"
    yield from (f"{value:.3f}" for value in (scores.above_50, scores.above_70, scores.volume))
    yield from (f"{clicks:.2f}" for clicks in scores.noc.values())
