"""`report.html` of a benchmark of masks from clicks."""

import base64
import csv
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dextr_vos.benchmark.report import style
from dextr_vos.benchmark.report.charts import dot_chart
from dextr_vos.benchmark.statistics import Interval, bootstrap
from dextr_vos.errors import InputError
from dextr_vos.files import write_text

# engines in their order take these colours of the page
_COLOURS = ("dextr", "grabcut", "gt", "clicks")
_MOST_GROUPS = 40


@dataclass(frozen=True)
class _Row:
    """A finished cell: what it is, its summary, and its objects."""

    cell: Mapping[str, Any]
    summary: Mapping[str, Any]
    objects: Sequence[Mapping[str, str]]
    worst: Path

    @property
    def iou(self) -> Interval:
        """Mean over groups, as the table of `evaluate-clicks` has it, in points."""
        return bootstrap([100 * group["iou"] for group in self.summary["groups"].values()])


def write_clicks_report(out: Path) -> Path:
    """Draw the page and the tidy table from what is finished.

    Raises:
        InputError: the folder holds no benchmark of clicks.
    """
    try:
        cells = json.loads((out / "clicks.json").read_text(encoding="utf-8"))["cells"]
    except (FileNotFoundError, ValueError, KeyError):
        raise InputError(f"{out} holds no benchmark of clicks; give the --out folder of one") from None
    rows = [row for row in (_read(out, cell) for cell in cells) if row is not None]
    _write_table(out / "table.csv", rows)
    title = "Masks from clicks"
    body = [f"<h1>{title}</h1>", f'<p class="lead">{len(rows)} of {len(cells)} cells finished</p>']
    colours = {name: _COLOURS[place % 4] for place, name in enumerate(_engines(cells))}
    for name in dict.fromkeys(row.cell["set"] for row in rows):
        body += _data_set(name, [row for row in rows if row.cell["set"] == name], colours)
    body += ["<h2>How it was made</h2>", _origin(out, rows, cells)]
    write_text(out / "report.html", style.page(title, body))
    return out / "report.html"


def _read(out: Path, cell: Mapping[str, Any]) -> _Row | None:
    folder = out / "cells" / cell["key"]
    if not (folder / "summary.json").exists():
        return None
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    with (folder / "objects.csv").open(encoding="utf-8", newline="") as file:
        return _Row(cell, summary, list(csv.DictReader(file)), folder / "worst.jpg")


def _data_set(name: str, rows: Sequence[_Row], colours: Mapping[str, str]) -> list[str]:
    many = f"{rows[0].cell['groups']}s" if rows[0].cell["groups"] == "clip" else "categories"
    best = max(rows, key=lambda row: row.iou.mean)
    overall = best.summary["overall"]
    figures = best.iou
    winner = html.escape(best.cell["engine"])
    parts = [
        f"<h2>{html.escape(name)}</h2>",
        f'<p class="answer">Four simulated clicks give {winner} masks with a mean '
        f"IoU of <strong>{figures.mean:.1f}</strong> (95 % interval over "
        f"{len(best.summary['groups'])} {many} {figures.low:.1f} to {figures.high:.1f}; "
        f"{overall['objects']} objects).</p>",
        _figures(rows, many, colours),
    ]
    groups = list(rows[0].summary["groups"])
    if 1 < len(groups) <= _MOST_GROUPS:
        least = min(row.cell["jitter_px"] for row in rows)
        plain = [row for row in rows if row.cell["jitter_px"] == least]
        dots = [
            (
                group,
                [(colours[row.cell["engine"]], row.summary["groups"][group]["iou"]) for row in plain],
            )
            for group in groups
        ]
        chart = dot_chart(f"IoU by {rows[0].cell['groups']}", dots)
        legend = "".join(
            f'<span style="--c: var(--{colours[engine]})">{html.escape(engine)}</span>'
            for engine in dict.fromkeys(row.cell["engine"] for row in plain)
        )
        parts.append(f'<div class="legend">{legend}</div><figure style="max-width: 46rem">{chart}</figure>')
    parts += [_human(row) for row in rows if row.summary["overall"]["human_iou"] is not None]
    for row in rows:
        if row.worst.exists():
            picture = base64.b64encode(row.worst.read_bytes()).decode("ascii")
            told = html.escape(f"{row.cell['engine']}, clicks up to {row.cell['jitter_px']} px off")
            parts.append(
                f"<details><summary>The worst objects of {told}</summary>"
                f'<img style="width: 100%" loading="lazy" alt="The worst objects of {told}" '
                f'src="data:image/jpeg;base64,{picture}"></details>'
            )
    return parts


def _figures(rows: Sequence[_Row], many: str, colours: Mapping[str, str]) -> str:
    targets = list(rows[0].summary["overall"]["clicks"])
    human = any(row.summary["overall"]["human_iou"] is not None for row in rows)
    head = [
        "",
        "clicks<br>off, px",
        "objects",
        f"IoU, mean<br>of {many}",
        "95 % interval",
        "IoU, mean<br>of objects",
    ]
    head += ["IoU, people's<br>clicks"] * human
    for target in targets:
        head += [f"clicks<br>to {float(target):.0%}", f"never<br>{float(target):.0%}"]
    lines = []
    for row in rows:
        overall, groups = row.summary["overall"], row.summary["group_mean"]
        line = [
            style.tagged(colours[row.cell["engine"]], row.cell["engine"]),
            str(row.cell["jitter_px"]),
            str(overall["objects"]),
            f"<strong>{100 * groups['iou']:.1f}</strong>",
            f"{row.iou.low:.1f} … {row.iou.high:.1f}",
            f"{100 * overall['iou']:.1f}",
        ]
        if human:
            value = overall["human_iou"]
            line.append("" if value is None else f"{100 * value:.1f}")
        for target in targets:
            line += [f"{groups['clicks'][target]:.1f}", f"{groups['never'][target]:.0%}"]
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
    told = html.escape(row.cell["engine"])
    return (
        f"<p>{told}: people's clicks end <strong>{abs(gap.mean):.1f} points "
        f"{'above' if gap.mean > 0 else 'below'}</strong> simulated ones on the same {len(pairs)} objects "
        f"(95 % interval over objects {gap.low:+.1f} to {gap.high:+.1f}).</p>"
    )


def _origin(out: Path, rows: Sequence[_Row], cells: Sequence[Mapping[str, Any]]) -> str:
    facts = []
    # the code's digest alone makes no other machine
    told = {json.dumps(row.summary["machine"] | {"code": ""}): row.summary["machine"] for row in rows}
    for machine in told.values():
        versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
        facts.append(
            (
                machine["host"],
                f"{machine['processor']}, {machine['cores']} cores, {machine['device']}; {versions}",
            )
        )
    failed = "".join(
        f'<li class="fault">{html.escape(cell["set"])}, {html.escape(cell["engine"])}: '
        f"{html.escape(cell['fault'])}</li>"
        for cell in cells
        if cell["fault"]
    )
    text = html.escape((out / "settings.yaml").read_text(encoding="utf-8"))
    faults = f"<h3>Failed twice</h3><ul>{failed}</ul>" if failed else ""
    return (
        f"{style.definitions(facts)}{faults}<details><summary>Settings</summary><pre>{text}</pre></details>"
    )


def _write_table(path: Path, rows: Sequence[_Row]) -> None:
    """A row an object and cell: the columns of `objects.csv`, with the cell in front."""
    lines = []
    for row in rows:
        about = {"set": row.cell["set"], "engine": row.cell["engine"], "jitter_px": row.cell["jitter_px"]}
        lines += [about | dict(one) for one in row.objects]
    names = list(dict.fromkeys(name for line in lines for name in line))
    table = [",".join(names)]
    table += [",".join(_cell(line.get(name, "")) for name in names) for line in lines]
    write_text(path, "\n".join(table) + "\n")


def _cell(value: object) -> str:
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if any(each in text for each in ',"\n') else text


def _engines(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(cell["engine"] for cell in cells))
