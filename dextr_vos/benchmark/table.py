"""`table.csv`, the tidy table of a benchmark: a row a cell, frame and object; and two of them compared."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.result import CellResult
from dextr_vos.benchmark.statistics import Interval, bootstrap, bounds
from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path, read_text, write_text

CELL_COLUMNS = ("clip", "supervision", "keyframes", "choose", "model", "seed")
COLUMNS = (
    *CELL_COLUMNS,
    "frame",
    "object",
    "scored",
    "keyframe",
    "j",
    "f",
    "jf",
    "confidence",
    "keyframe_iou",
    "annotated",
    "people_s",
    "annotate_s",
    "finetune_s",
    "segment_s",
    "key",
)

Row = dict[str, Any]
_MOST_CHANGED = 5


def rows_of(result: CellResult, times: AnnotationTime) -> Iterator[Row]:
    """Rows of one cell; missing values, like the scores of the first and last frame, are None."""
    people_s = times.seconds(result.cell.supervision, result.annotated)
    places = {name: place for place, name in enumerate(result.scored)}
    for name in result.frames:
        for series in result.objects:
            place = places.get(name)
            if place is not None and math.isnan(series.j[place]):
                place = None
            j, f = (None, None) if place is None else (series.j[place], series.f[place])
            yield {
                **result.cell.model_dump(),
                "frame": name,
                "object": series.object,
                "scored": place is not None,
                "keyframe": name in result.keyframes,
                "j": j,
                "f": f,
                "jf": None if j is None or f is None else (j + f) / 2,
                "confidence": None if place is None or not series.confidence else series.confidence[place],
                "keyframe_iou": result.keyframe_iou.get(name, {}).get(series.object),
                "annotated": result.annotated,
                "people_s": people_s,
                "annotate_s": result.seconds.annotate,
                "finetune_s": result.seconds.finetune,
                "segment_s": result.seconds.segment,
                "key": result.key,
            }


def write_table(out: Path, results: Sequence[CellResult], times: AnnotationTime) -> list[Path]:
    """Write `table.csv`, and `table.parquet` where pyarrow is installed.

    Returns:
        The files.
    """
    rows = [row for result in results for row in rows_of(result, times)]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _plain(value) for name, value in row.items()})
    written = [out / "table.csv"]
    write_text(written[0], text.getvalue())
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return written
    if rows:
        written.append(out / "table.parquet")
        with atomic_path(written[1]) as temporary:
            parquet.write_table(pyarrow.Table.from_pylist(rows), temporary)
    return written


def read_table(out: Path) -> list[Row]:
    """The rows of a benchmark's `table.csv`, numbers as numbers.

    Args:
        out: the benchmark's folder, or the file itself.

    Raises:
        InputError: there is none, it lacks a column, or it is damaged.
    """
    path = out / "table.csv" if out.is_dir() else out
    try:
        return _read_rows(path)
    except (ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}; write the table again with dextr-vos report") from None


def _read_rows(path: Path) -> list[Row]:
    try:
        rows: list[Row] = list(csv.DictReader(io.StringIO(read_text(path))))
    except FileNotFoundError:
        raise InputError(f"there is no table {path}; give the --out folder of dextr-vos benchmark") from None
    for number, row in enumerate(rows, start=2):
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing:
            raise InputError(
                f"{path} line {number} has no value in the column {missing[0]}; "
                "write the table again with dextr-vos report"
            )
        for name in ("keyframes", "seed", "object", "scored", "keyframe", "annotated"):
            row[name] = int(row[name])
        for name in (
            "j",
            "f",
            "jf",
            "confidence",
            "keyframe_iou",
            "people_s",
            "annotate_s",
            "finetune_s",
            "segment_s",
        ):
            row[name] = float(row[name]) if row[name] else None
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else value


CellName = tuple[object, ...]


@dataclass(frozen=True)
class GroupComparison:
    """Two benchmarks over all clips of one supervision, number of keyframes, choice and model.

    Attributes:
        name: supervision, number of keyframes, choice and model.
        one: mean J&F in points, of the first benchmark.
        other: of the second.
        gap: second minus first, over clips.
        clips: number of clips.
    """

    name: tuple[object, ...]
    one: float
    other: float
    gap: Interval
    clips: int


@dataclass(frozen=True)
class BenchmarkComparison:
    """Comparison of two benchmarks.

    Attributes:
        groups: of the cells that both have.
        clips: by clip, second minus first in points, over all those cells; most changed first.
        only_one: number of cells that the first alone has.
        only_other: number that the second alone has.
        same: number of cells whose scores are all equal.
        cells: number of cells in common.
    """

    groups: Sequence[GroupComparison]
    clips: Mapping[str, float]
    only_one: int
    only_other: int
    same: int
    cells: int


def compare(one: Sequence[Row], other: Sequence[Row]) -> BenchmarkComparison:
    """Compare the tables of two benchmarks.

    Args:
        one: rows of the first, see `read_table`.
        other: of the second.

    Raises:
        InputError: they share no cell.
    """
    first, second = _frames(one), _frames(other)
    common = [name for name in first if name in second]
    if not common:
        raise InputError(
            "the two benchmarks have no cell in common; expected the same clip, supervision, keyframes, "
            "model and seed in both"
        )
    groups: dict[tuple[object, ...], list[CellName]] = {}
    clips: dict[str, list[float]] = {}
    for name in common:
        groups.setdefault(name[1:5], []).append(name)
        gap = _mean(second[name]) - _mean(first[name])
        clips.setdefault(str(name[0]), []).append(gap)
    changes = {clip: float(np.mean(gaps)) for clip, gaps in clips.items()}
    return BenchmarkComparison(
        groups=[_group(name, cells, first, second) for name, cells in groups.items()],
        clips=dict(sorted(changes.items(), key=lambda item: -abs(item[1]))),
        only_one=len(first) - len(common),
        only_other=len(second) - len(common),
        same=sum(first[name] == second[name] for name in common),
        cells=len(common),
    )


def terminal_tables(compared: BenchmarkComparison, names: tuple[str, str]) -> list[Table]:
    """Tables of the groups, and of the clips that changed most.

    Args:
        compared: what to show.
        names: of the two benchmarks.
    """
    table = Table(title=f"J&F, A = {names[0]}, B = {names[1]}", box=SIMPLE_HEAD, padding=(0, 1))
    table.title_justify = table.caption_justify = "left"
    for column in ("supervision", "keyframes", "model", "clips", "A", "B", "B − A", "95 % interval"):
        table.add_column(column, justify="left" if column in ("supervision", "model") else "right")
    for group in compared.groups:
        supervision, keyframes, choose, model = group.name
        how = f"{supervision}, suggested" if choose == "suggest" else str(supervision)
        figures = (f"{group.one:.1f}", f"{group.other:.1f}", f"{group.gap.mean:+.1f}")
        interval = bounds(group.gap, group.clips, lambda value: f"{value:+.1f}")
        table.add_row(how, str(keyframes), str(model), str(group.clips), *figures, interval)
    table.caption = f"{compared.cells} cells in common, {compared.same} of them with equal scores"
    if compared.only_one or compared.only_other:
        table.caption += f"; {compared.only_one} in A alone, {compared.only_other} in B alone"
    clips = Table(title="Clips that changed most, all cells", box=SIMPLE_HEAD, padding=(0, 1))
    clips.title_justify = "left"
    clips.add_column("clip")
    clips.add_column("B − A", justify="right")
    for clip, gap in list(compared.clips.items())[:_MOST_CHANGED]:
        clips.add_row(clip, f"{gap:+.1f}")
    return [table, clips]


def _frames(rows: Sequence[Row]) -> dict[CellName, dict[tuple[str, int], float]]:
    """J&F of each scored frame and object, by cell."""
    cells: dict[CellName, dict[tuple[str, int], float]] = {}
    for row in rows:
        if row["scored"]:
            name = tuple(row[column] for column in CELL_COLUMNS)
            cells.setdefault(name, {})[row["frame"], row["object"]] = row["jf"]
    return cells


def _mean(frames: Mapping[tuple[str, int], float]) -> float:
    return float(100 * np.mean(list(frames.values())))


def _group(
    name: tuple[object, ...],
    cells: Sequence[CellName],
    first: Mapping[CellName, Mapping[tuple[str, int], float]],
    second: Mapping[CellName, Mapping[tuple[str, int], float]],
) -> GroupComparison:
    """Means over clips; seeds of a clip are averaged first."""
    clips = list(dict.fromkeys(cell[0] for cell in cells))
    one, other = (
        [float(np.mean([_mean(side[cell]) for cell in cells if cell[0] == clip])) for clip in clips]
        for side in (first, second)
    )
    gaps = [after - before for before, after in zip(one, other, strict=True)]
    return GroupComparison(name, float(np.mean(one)), float(np.mean(other)), bootstrap(gaps), len(clips))
