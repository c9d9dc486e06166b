"""How good masks made from clicks are: the figures of one object, and what the objects of a data set come to.

The measures of DEXTR (Maninis et al., CVPR 2018) and of its public release: IoU, mAPr, clicks to reach a
given IoU, and for GrabCut's pictures the error rate. Void pixels count in none of them.
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
# The qualities for which clicks are counted.
CLICK_TARGETS = (0.85, 0.90)
CLICKS_LIMIT = 20


@dataclass(frozen=True)
class ObjectResult:
    """One object: what was asked for, and how good the mask from its simulated clicks is.

    Attributes:
        picture: name of its picture.
        number: which object of that picture, from 0.
        category: as the data set names it.
        area: pixels of the true mask.
        iou: in [0, 1], void left out.
        error: share of wrongly labelled pixels among all that are not void.
        error_in_box: the same among those in the box around the true mask.
        clicks_to: per target IoU the clicks that reached it, None where the limit did not; empty when extra
            clicks were not simulated.
        human_iou: IoU of the mask from a person's clicks on the same object, where there are any.
    """

    picture: str
    number: int
    category: str
    area: int
    iou: float
    error: float
    error_in_box: float
    clicks_to: Mapping[float, int | None] = field(default_factory=dict)
    human_iou: float | None = None


@dataclass(frozen=True)
class Figures:
    """Figures of several objects, or of several groups averaged.

    Attributes:
        objects: how many.
        iou: mean IoU.
        above_50: share of objects with an IoU above 0.5.
        above_70: the same above 0.7.
        volume: mean of that share over the thresholds 0.1, 0.2, … 0.9.
        error: mean share of wrong pixels in the picture.
        error_in_box: mean share of wrong pixels in the object's box.
        clicks: per target IoU the mean number of clicks; an object that never reached it counts the limit.
        never: per target IoU the share of objects that did not reach it.
        human_iou: mean IoU from human clicks, None without any.
    """

    objects: int
    iou: float
    above_50: float
    above_70: float
    volume: float
    error: float
    error_in_box: float
    clicks: Mapping[float, float]
    never: Mapping[float, float]
    human_iou: float | None


@dataclass(frozen=True)
class Summary:
    """What the objects of a data set come to.

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

    overall: Figures
    groups: Mapping[str, Figures]
    group_mean: Figures


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
    """Share of wrongly labelled pixels: in the whole picture, and in the box around the true mask.

    The GrabCut error rate in papers (DEXTR's 2.3 % too) counts within the data set's own rectangles, which
    are wider than the box of the object; it lies between these two.

    Args:
        mask: H×W bool, predicted.
        truth: H×W bool, not empty.
        void: H×W bool, counted nowhere: in GrabCut's pictures the undecided pixels of the boundary.

    Returns:
        Two shares in [0, 1]: wrong pixels by all pixels that are not void, and the same within the box.
    """
    wrong, counted = (mask != truth) & ~void, ~void
    rows, columns = (np.nonzero(truth.any(axis=axis))[0] for axis in (1, 0))
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    return float(wrong.sum() / counted.sum()), float(wrong[box].sum() / counted[box].sum())


def summarize(results: Sequence[ObjectResult], clicks_limit: int = CLICKS_LIMIT) -> Summary:
    """What results come to.

    Args:
        results: at least one.
        clicks_limit: what an object counts that never reached a target.

    Raises:
        ValueError: there are no results.
    """
    if not results:
        raise ValueError("there is nothing to summarize")
    members: dict[str, list[ObjectResult]] = {}
    for result in results:
        members.setdefault(result.category, []).append(result)
    groups = {name: _figures(members[name], clicks_limit) for name in sorted(members)}
    return Summary(_figures(results, clicks_limit), groups, _mean_of_groups(list(groups.values())))


def _figures(results: Sequence[ObjectResult], clicks_limit: int) -> Figures:
    ious = np.array([result.iou for result in results])
    human = [result.human_iou for result in results if result.human_iou is not None]
    targets = results[0].clicks_to
    counts = {target: [result.clicks_to[target] for result in results] for target in targets}
    return Figures(
        objects=len(results),
        iou=float(ious.mean()),
        above_50=float((ious > 0.5).mean()),
        above_70=float((ious > 0.7).mean()),
        volume=float(np.mean([(ious > threshold).mean() for threshold in VOLUME_THRESHOLDS])),
        error=float(np.mean([result.error for result in results])),
        error_in_box=float(np.mean([result.error_in_box for result in results])),
        clicks={
            target: float(np.mean([clicks_limit if n is None else n for n in counts[target]]))
            for target in targets
        },
        never={target: counts[target].count(None) / len(results) for target in targets},
        human_iou=float(np.mean(human)) if human else None,
    )


def _mean_of_groups(groups: Sequence[Figures]) -> Figures:
    human = [group.human_iou for group in groups if group.human_iou is not None]
    targets = groups[0].clicks
    return Figures(
        objects=sum(group.objects for group in groups),
        iou=float(np.mean([group.iou for group in groups])),
        above_50=float(np.mean([group.above_50 for group in groups])),
        above_70=float(np.mean([group.above_70 for group in groups])),
        volume=float(np.mean([group.volume for group in groups])),
        error=float(np.mean([group.error for group in groups])),
        error_in_box=float(np.mean([group.error_in_box for group in groups])),
        clicks={target: float(np.mean([group.clicks[target] for group in groups])) for target in targets},
        never={target: float(np.mean([group.never[target] for group in groups])) for target in targets},
        human_iou=float(np.mean(human)) if human else None,
    )


def terminal_table(summary: Summary, groups: tuple[str, str] = ("category", "categories")) -> Table:
    """One row a group, the mean over groups and over objects; what concerns all of them stands below.

    Args:
        summary: the figures.
        groups: what the groups are, one and many.
    """
    table = Table(title="Masks from clicks", box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.add_column(groups[0].capitalize(), no_wrap=True)
    table.add_column("Objects", justify="right", no_wrap=True)
    overall = summary.overall
    for title in _titles(overall):
        table.add_column(title, justify="right", no_wrap=True)
    for name, figures in summary.groups.items():
        table.add_row(name, str(figures.objects), *_row(figures))
    table.add_section()
    for name, figures in ((f"mean of {groups[1]}", summary.group_mean), ("mean of objects", overall)):
        table.add_row(name, str(figures.objects), *_row(figures), style="bold")
    table.caption = (
        "above .5, .7: share of objects with such an IoU\n"
        f"vol: mean of that over .1 to .9; mean of {groups[1]}: mAPr\n"
        f"wrong pixels: {overall.error:.2%} of the picture, {overall.error_in_box:.2%} of the object's box"
    )
    for target, share in overall.never.items():
        table.caption += f"\nIoU of {target:.0%} never reached: {share:.1%} of objects"
    return table


def write_objects(path: Path, results: Sequence[ObjectResult]) -> None:
    """Write one row an object, in the order of the results.

    Columns: picture, object (from 1), category, area, iou, error_percent, error_in_box_percent, then
    `clicks_85` and so on where extra clicks were simulated (empty: never reached), and `human_iou` where
    people clicked.

    Args:
        path: CSV file.
        results: at least one.
    """
    targets = list(results[0].clicks_to)
    human = any(result.human_iou is not None for result in results)
    header = ["picture", "object", "category", "area", "iou", "error_percent", "error_in_box_percent"]
    header += [f"clicks_{target:.0%}".rstrip("%") for target in targets] + ["human_iou"] * human
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for one in results:
        figures = [f"{one.iou:.6f}", f"{100 * one.error:.6f}", f"{100 * one.error_in_box:.6f}"]
        clicks = [one.clicks_to[target] for target in targets]
        mine = ["" if one.human_iou is None else f"{one.human_iou:.6f}"] * human
        writer.writerow([one.picture, one.number + 1, one.category, one.area, *figures, *clicks, *mine])
    write_text(path, text.getvalue())


def write_summary(path: Path, summary: Summary, about: Mapping[str, Any]) -> None:
    """Write what the objects come to as JSON.

    Args:
        path: JSON file.
        summary: becomes `overall`, `group_mean` and, by name, `groups`.
        about: what was evaluated and how; stands in front. Paths become text.
    """
    content = {
        **about,
        "overall": asdict(summary.overall),
        "group_mean": asdict(summary.group_mean),
        "groups": {name: asdict(figures) for name, figures in summary.groups.items()},
    }
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")


def _titles(figures: Figures) -> Iterable[str]:
    yield "IoU"
    if figures.human_iou is not None:
        yield "human\nIoU"
    yield from ("above\n.5", "above\n.7", "vol")
    yield from (f"clicks\nto {target:.0%}" for target in figures.clicks)


def _row(figures: Figures) -> Iterable[str]:
    yield f"{figures.iou:.3f}"
    if figures.human_iou is not None:
        yield f"{figures.human_iou:.3f}"
    yield from (f"{value:.3f}" for value in (figures.above_50, figures.above_70, figures.volume))
    yield from (f"{clicks:.2f}" for clicks in figures.clicks.values())
