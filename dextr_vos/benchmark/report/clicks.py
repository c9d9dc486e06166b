"""`report.html` and `table.csv` of an evaluation of clicks: masks from clicks on data sets."""

import base64
import csv
import html
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dextr_vos.benchmark.click_run import ClickCellEntry, ClickGrid, is_complete
from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.report.charts import click_chart, dot_chart
from dextr_vos.benchmark.statistics import Interval, bootstrap
from dextr_vos.errors import InputError, counted
from dextr_vos.files import read_json, read_text, write_text

# models take these colours of the page in their order
_COLOURS = ("dextr", "grabcut", "gt", "clicks")
_MOST_GROUPS = 40
_FIRST = {"dextr": "Four simulated extreme clicks", "ritm": "Single clicks in the middle"}


@dataclass(frozen=True)
class _Row:
    """A complete cell: what it is, its mean scores, and its objects."""

    cell: ClickCellEntry
    summary: Mapping[str, Any]
    objects: Sequence[Mapping[str, str]]
    worst: Path

    @property
    def iou(self) -> Interval:
        """Mean over groups, as in the table of `evaluate-clicks`, in points."""
        return bootstrap([100 * group["iou"] for group in self.summary["groups"].values()])


def write_clicks_report(out: Path) -> Path:
    """Write the page and the tidy table of the cells that are complete.

    Args:
        out: the folder of a grid.

    Returns:
        The page.

    Raises:
        InputError: the folder holds no evaluation of clicks, or one of an older version.
    """
    try:
        cells = ClickGrid.model_validate_json(read_text(out / "clicks.json")).cells
    except FileNotFoundError:
        raise InputError(f"{out} holds no evaluation of clicks; give the --out folder of one") from None
    except (ValidationError, InputError):
        raise InputError(
            f"{out / 'clicks.json'} is damaged or of an older version; run dextr-vos benchmark again"
        ) from None
    rows = [_read(out, cell) for cell in cells if is_complete(out / "cells" / cell.key, cell.key)]
    _write_table(out / "table.csv", rows)
    title = "Masks from clicks"
    lead = f"{len(rows)} of {counted(len(cells), 'cell')} finished"
    body = [f"<h1>{title}</h1>", f'<p class="lead">{lead}</p>']
    models = dict.fromkeys(cell.model for cell in cells)
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(models)}
    for name in dict.fromkeys(row.cell.dataset for row in rows):
        body += _data_set(name, [row for row in rows if row.cell.dataset == name], colours)
    body += ["<h2>How it was made</h2>", _origin(out, rows, cells)]
    write_text(out / "report.html", style.page(title, body))
    return out / "report.html"


def _read(out: Path, cell: ClickCellEntry) -> _Row:
    folder = out / "cells" / cell.key
    summary = read_json(folder / "summary.json")
    rows = list(csv.DictReader(io.StringIO(read_text(folder / "objects.csv"))))
    return _Row(cell, summary, rows, folder / "worst.jpg")


def _data_set(name: str, rows: Sequence[_Row], colours: Mapping[str, str]) -> list[str]:
    groups = "clips" if rows[0].cell.groups == "clip" else "categories"
    best = max(rows, key=lambda row: row.iou.mean)
    parts = [
        f"<h2>{html.escape(name)}</h2>",
        f'<p class="answer">{_FIRST[best.summary["protocol"]]} give {html.escape(best.cell.model)} masks '
        f"with a mean IoU of <strong>{best.iou.mean:.1f}</strong> (95 % interval over "
        f"{len(best.summary['groups'])} {groups} {best.iou.low:.1f} to {best.iou.high:.1f}; "
        f"{best.summary['overall']['objects']} objects).</p>",
        _scores(rows, groups, colours),
        *_chart(rows, colours),
        *_curves(rows, colours),
        *(_human(row) for row in rows if row.summary["overall"]["human_iou"] is not None),
    ]
    for row in rows:
        if row.worst.exists():
            image = base64.b64encode(row.worst.read_bytes()).decode("ascii")
            title = html.escape(
                f"The worst objects of {row.cell.model}, clicks up to {row.cell.jitter_px} px off"
            )
            parts.append(
                f"<details><summary>{title}</summary>"
                f'<img style="width: 100%" loading="lazy" alt="{title}" '
                f'src="data:image/jpeg;base64,{image}"></details>'
            )
    return parts


def _chart(rows: Sequence[_Row], colours: Mapping[str, str]) -> list[str]:
    """IoU by group at the least jitter; nothing where there are too few groups or too many."""
    groups = list(rows[0].summary["groups"])
    if not 1 < len(groups) <= _MOST_GROUPS:
        return []
    least = min(row.cell.jitter_px for row in rows)
    shown = [row for row in rows if row.cell.jitter_px == least]
    dots = [
        (group, [(colours[row.cell.model], row.summary["groups"][group]["iou"]) for row in shown])
        for group in groups
    ]
    legend = "".join(
        f'<span style="--c: var(--{colours[model]})">{html.escape(model)}</span>'
        for model in dict.fromkeys(row.cell.model for row in shown)
    )
    chart = dot_chart(f"IoU by {rows[0].cell.groups}", dots)
    return [f'<div class="legend">{legend}</div><figure style="max-width: 46rem">{chart}</figure>']


def _curves(rows: Sequence[_Row], colours: Mapping[str, str]) -> list[str]:
    """IoU by number of clicks at the least jitter."""
    least = min(row.cell.jitter_px for row in rows)
    lines = [
        (row.cell.model, f"var(--{colours[row.cell.model]})", _curve(row.summary))
        for row in rows
        if row.cell.jitter_px == least
    ]
    chart = click_chart("IoU by number of clicks", lines)
    return [f'<figure class="below" style="max-width: 46rem">{chart}</figure>'] if chart else []


def write_curve(folder: Path) -> Path | None:
    """Draw the IoU by number of clicks of one evaluation.

    Args:
        folder: of the evaluation, with its `summary.json`.

    Returns:
        `curve.svg` in the folder; None where no further click was made.
    """
    summary = read_json(folder / "summary.json")
    chart = click_chart("IoU by number of clicks", [(summary["segmenter"], "#cf5410", _curve(summary))])
    if not chart:
        (folder / "curve.svg").unlink(missing_ok=True)
        return None
    write_text(folder / "curve.svg", style.alone(chart))
    return folder / "curve.svg"


def _curve(summary: Mapping[str, Any]) -> dict[int, float]:
    # JSON has no integer keys
    return {int(clicks): iou for clicks, iou in summary["group_mean"]["curve"].items()}


def _scores(rows: Sequence[_Row], groups: str, colours: Mapping[str, str]) -> str:
    targets = list(rows[0].summary["overall"]["noc"])
    human = any(row.summary["overall"]["human_iou"] is not None for row in rows)
    head = ["", "clicks<br>off, px", "objects", f"IoU, mean<br>of {groups}", "95 % interval"]
    head += ["IoU, mean<br>of objects"] + ["IoU, people's<br>clicks"] * human
    for target in targets:
        head += [f"NoC<br>@{100 * float(target):.0f}", f"failures<br>@{100 * float(target):.0f}"]
    lines = []
    for row in rows:
        overall, mean = row.summary["overall"], row.summary["group_mean"]
        line = [
            style.tagged(colours[row.cell.model], row.cell.model),
            str(row.cell.jitter_px),
            str(overall["objects"]),
            f"<strong>{100 * mean['iou']:.1f}</strong>",
            f"{row.iou.low:.1f} … {row.iou.high:.1f}",
            f"{100 * overall['iou']:.1f}",
        ]
        if human:
            value = overall["human_iou"]
            line.append("" if value is None else f"{100 * value:.1f}")
        for target in targets:
            line += [f"{mean['noc'][target]:.1f}", f"{mean['failure_rate'][target]:.0%}"]
        lines.append(line)
    return style.table(head, lines)


def _human(row: _Row) -> str:
    """People's clicks against simulated ones, on the same objects."""
    pairs = [
        (100 * float(one["human_iou"]), 100 * float(one["iou"]))
        for one in row.objects
        if one.get("human_iou")
    ]
    gap = bootstrap([human - simulated for human, simulated in pairs])
    model = html.escape(row.cell.model)
    return (
        f"<p>{model}: people's clicks end <strong>{abs(gap.mean):.1f} points "
        f"{'above' if gap.mean > 0 else 'below'}</strong> simulated ones on the same {len(pairs)} objects "
        f"(95 % interval over objects {gap.low:+.1f} to {gap.high:+.1f}).</p>"
    )


def _origin(out: Path, rows: Sequence[_Row], cells: Sequence[ClickCellEntry]) -> str:
    # another code digest alone does not make another machine
    machines = {json.dumps(row.summary["machine"] | {"code": ""}): row.summary["machine"] for row in rows}
    facts = []
    for machine in machines.values():
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        fact = f"{machine['processor']}, {machine['cores']} cores, {machine['device']}; {versions}"
        facts.append((machine["host"], fact))
    failed = "".join(
        f'<li class="error">{html.escape(f"{cell.dataset}, {cell.model}: {cell.error}")}</li>'
        for cell in cells
        if cell.error
    )
    text = html.escape(read_text(out / "settings.yaml"))
    errors = f"<h3>Failed</h3><ul>{failed}</ul>" if failed else ""
    return (
        f"{style.definitions(facts)}{errors}<details><summary>Settings</summary><pre>{text}</pre></details>"
    )


def _write_table(path: Path, rows: Sequence[_Row]) -> None:
    """A row an object and cell: the columns of `objects.csv` after those of the cell."""
    lines = [
        {"dataset": row.cell.dataset, "model": row.cell.model, "jitter_px": row.cell.jitter_px} | dict(one)
        for row in rows
        for one in row.objects
    ]
    text = io.StringIO()
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    write_text(path, text.getvalue())
