"""`table.csv`, the tidy table of a benchmark: a row a cell, frame and object."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.result import CellResult
from dextr_vos.errors import InputError
from dextr_vos.files import atomic_path, write_text

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
    "keyframe_iou",
    "annotated",
    "people_s",
    "annotate_s",
    "finetune_s",
    "segment_s",
    "key",
)

Row = dict[str, Any]


def rows_of(result: CellResult, times: AnnotationTime) -> Iterator[Row]:
    """Rows of one cell; missing values, like the scores of the first and last frame, are None."""
    people_s = times.seconds(result.cell.supervision, result.annotated)
    places = {name: place for place, name in enumerate(result.scored)}
    for name in result.frames:
        for series in result.objects:
            place = places.get(name)
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
        InputError: there is none, or it lacks a column.
    """
    path = out / "table.csv" if out.is_dir() else out
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
    except FileNotFoundError:
        raise InputError(f"there is no table {path}; give the --out folder of dextr-vos benchmark") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file; expected the table of dextr-vos benchmark") from None
    for number, row in enumerate(rows, start=2):
        missing = [name for name in COLUMNS if row.get(name) is None]
        if missing:
            raise InputError(
                f"{path} line {number} has no value in the column {missing[0]}; "
                "write the table again with dextr-vos report"
            )
        for name in ("keyframes", "seed", "object", "scored", "keyframe", "annotated"):
            row[name] = int(row[name])
        for name in ("j", "f", "jf", "keyframe_iou", "people_s", "annotate_s", "finetune_s", "segment_s"):
            row[name] = float(row[name]) if row[name] else None
    return rows


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return "" if value is None else value
