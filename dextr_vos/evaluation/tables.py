"""Scores on DAVIS as tables in the terminal, the CSV files of the official script, and JSON."""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from dextr_vos.evaluation.davis import DavisScores, counts_for_stability, overall, overall_instability
from dextr_vos.evaluation.metrics import Statistics
from dextr_vos.evaluation.scores import ObjectScores
from dextr_vos.files import write_text

_FIGURES = ("Mean", "Recall", "Decay")
GLOBAL_COLUMNS = ("J&F-Mean", *(f"{measure}-{figure}" for measure in "JF" for figure in _FIGURES))
OBJECT_COLUMNS = ("Sequence", "J-Mean", "F-Mean")


def terminal_tables(scores: DavisScores) -> list[Table]:
    """The table over all scored frames, and the one over frames without a keyframe where these are fewer.

    The second names the clips it leaves out, and why, below its rows.
    """
    title = "All frames but the first and the last"
    if scores.rules.frames:
        title = f"Frames {scores.rules.frames}, but not the first and the last of a clip"
    if scores.object_rule != "first-frame":
        title += ", each object after its first"
    tables = [_table(title, scores.year, scores.objects)]
    if scores.keyframes and _frames_of(scores.without_keyframes) != _frames_of(scores.objects):
        second = _table("Of these, frames without a keyframe", scores.year, scores.without_keyframes)
        reasons = [f"{clip} is left out: {why}" for clip, why in scores.left_out.items()]
        second.caption = "\n".join(reasons) or None
        tables.append(second)
    return tables


def _frames_of(objects: Sequence[ObjectScores]) -> list[tuple[str, tuple[int | str, ...]]]:
    return [(one.name, one.frames) for one in objects]


def write_csvs(scores: DavisScores, folder: Path, split: str = "val") -> list[Path]:
    """Write the two CSV files of the official DAVIS 2017 script afresh, with three decimals.

    Args:
        scores: what to write; only the scores over all frames go in.
        folder: where `global_results-<split>.csv` and `per-sequence_results-<split>.csv` go.
        split: part of the files' names.

    Returns:
        The two paths.
    """
    rows = [(one.name, *_decimals(one.j_statistics.mean, one.f_statistics.mean)) for one in scores.objects]
    total = _decimals(*_figures(*overall(scores.objects)))
    files = {
        folder / f"global_results-{split}.csv": _csv(GLOBAL_COLUMNS, [total]),
        folder / f"per-sequence_results-{split}.csv": _csv(OBJECT_COLUMNS, rows),
    }
    for path, text in files.items():
        write_text(path, text)
    return list(files)


def write_json(scores: DavisScores, path: Path) -> None:
    """Write everything with full precision, per-frame values too."""
    write_text(path, json.dumps(as_json(scores), indent=1, ensure_ascii=False) + "\n")


def as_json(scores: DavisScores) -> dict[str, Any]:
    """The scores as plain values; what `write_json` writes.

    `frames` is what was chosen of each clip, null for all. `all_frames` and `without_keyframes` (null when no
    frame is left or no keyframes are known) each hold `overall` and, by name, the `objects` with `J` and `F`:
    `mean`, `recall`, `decay`, `per_frame`. Where T was computed, `all_frames` has `T` too: `mean`,
    `in_overall`, and `per_frame` against the frame before.
    """
    return {
        "year": scores.year,
        "object_rule": scores.object_rule,
        "frames": scores.rules.frames,
        "all_frames": _json_block(scores.objects),
        "without_keyframes": _json_block(scores.without_keyframes) if scores.without_keyframes else None,
        "left_out_without_keyframes": dict(scores.left_out),
        "keyframes": {clip: list(names) for clip, names in scores.keyframes.items()},
    }


def _table(title: str, year: int, objects: Sequence[ObjectScores]) -> Table:
    # narrow enough for 80 columns with the longest name of the data set
    table = Table(title=title, box=SIMPLE_HEAD, padding=0, show_edge=False)
    table.title_justify = table.caption_justify = "left"
    table.add_column("Clip" if year == 2016 else "Object", no_wrap=True)
    with_t = any(one.t is not None for one in objects)
    for column in ("Frames", *GLOBAL_COLUMNS, *(["T-Mean"] if with_t else [])):
        table.add_column(column.replace("-", "\n", 1), justify="right", no_wrap=True)
    for one in objects:
        name = one.clip if year == 2016 else one.name
        figures = _decimals(*_figures(one.j_statistics, one.f_statistics))
        if with_t:
            (t,) = _decimals(one.t_mean)
            figures.append(t if counts_for_stability(one) else f"({t})")
        table.add_row(name, str(len(one.frames)), *figures)
    if objects:
        table.add_section()
        frames = sum(len(one.frames) for one in objects)
        figures = _decimals(*_figures(*overall(objects)), *([overall_instability(objects)] if with_t else []))
        table.add_row("mean", str(frames), *figures, style="bold")
    if with_t:
        table.caption = "T: lower is more stable."
        if not all(map(counts_for_stability, objects)):
            table.caption += " In parentheses: left out of the mean for occlusions, as in the toolbox."
    return table


def _figures(j: Statistics, f: Statistics) -> tuple[float, ...]:
    """The seven figures of the official table, in its order."""
    return (j.mean + f.mean) / 2, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay


def _decimals(*figures: float) -> list[str]:
    return ["–" if math.isnan(figure) else f"{figure:.3f}" for figure in figures]


def _csv(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _json_block(objects: Sequence[ObjectScores]) -> dict[str, Any]:
    j, f = overall(objects)
    block: dict[str, Any] = {
        "overall": {"J&F": (j.mean + f.mean) / 2, "J": vars(j), "F": vars(f)},
        "objects": {
            one.name: {
                "clip": one.clip,
                "object": one.object_id,
                "frames": list(one.frames),
                "J": {**vars(one.j_statistics), "per_frame": one.j.tolist()},
                "F": {**vars(one.f_statistics), "per_frame": one.f.tolist()},
            }
            for one in objects
        },
    }
    for one in objects:
        if one.t is not None:
            block["overall"]["T"] = {"mean": _number(overall_instability(objects))}
            block["objects"][one.name]["T"] = {
                "mean": _number(one.t_mean),
                "in_overall": counts_for_stability(one),
                "per_frame": [_number(value) for value in one.t.tolist()],
            }
    return block


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
