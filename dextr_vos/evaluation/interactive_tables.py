"""Figures of masks from clicks as a table on the terminal, as CSV and as JSON."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dextr_vos.evaluation.interactive import Figures, ObjectResult, Summary
from dextr_vos.files import write_text


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
