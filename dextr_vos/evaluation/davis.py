"""Scores of a folder of results on DAVIS (semi-supervised rules of 2016 and 2017), and their tables.

A result is `<results>/<clip>/<frame>.png`, or `<results>/<clip>/masks/<frame>.png` as our own runs write it
with `<results>/<clip>/run.json` beside, whose `keyframes` names the frames that a person annotated.
"""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError
from dextr_vos.evaluation.metrics import Statistics, average
from dextr_vos.evaluation.scores import ObjectScores, check_object_ids, score_frame
from dextr_vos.files import write_text
from dextr_vos.masks import VOID, Labels, object_ids, read_labels
from dextr_vos.workspace import ResultMasks

log = logging.getLogger(__name__)

_FIGURES = ("Mean", "Recall", "Decay")
GLOBAL_COLUMNS = ("J&F-Mean", *(f"{measure}-{figure}" for measure in "JF" for figure in _FIGURES))
OBJECT_COLUMNS = ("Sequence", "J-Mean", "F-Mean")


@dataclass(frozen=True)
class DavisScores:
    """Scores of all clips.

    Attributes:
        year: 2016 (one object a clip) or 2017 (each object on its own).
        objects: scores over all frames but the first and last.
        without_keyframes: the same over frames that were no keyframe; empty when no keyframes are known.
        left_out: for each clip that is not in `without_keyframes` though keyframes are known, why.
        keyframes: names of the keyframes of each clip for which they are known.
    """

    year: int
    objects: tuple[ObjectScores, ...]
    without_keyframes: tuple[ObjectScores, ...]
    left_out: Mapping[str, str]
    keyframes: Mapping[str, tuple[str, ...]]


def overall(objects: Sequence[ObjectScores]) -> tuple[Statistics, Statistics]:
    """J and F averaged over objects, each object weighing the same, as the official script does.

    In DAVIS 2016, with one object a clip, this is the mean over clips.

    Raises:
        ValueError: there are no objects.
    """
    return average(one.j_statistics for one in objects), average(one.f_statistics for one in objects)


def evaluate_davis(
    davis: Davis,
    results: Path,
    clips: Sequence[str],
    year: int | None = None,
    keyframes: Sequence[str | int] | None = None,
    workers: int | None = None,
    on_clip: Callable[[str], None] | None = None,
) -> DavisScores:
    """Score a folder of results; every file is looked for before the first is read.

    DAVIS 2016: every non-zero index of a result is foreground. DAVIS 2017, as in the official code: the
    objects are 1…N with N the largest value in the first mask, so one that comes later is background; an
    object that a result lacks is scored as empty; void is background; values above N are refused. Void in
    a result, which the official code refuses, is background too, with a warning in the log.

    Args:
        davis: the data set.
        results: folder of results, one folder a clip.
        clips: names of the clips to score, at least one.
        year: 2016 or 2017; guessed from the first clip's masks when not given.
        keyframes: names or indices of the frames that were annotated, for all clips; from each clip's
            `run.json` when not given.
        workers: threads; when not given, as many as `ThreadPoolExecutor` takes. The scores are the same.
        on_clip: called with a clip's name when it is scored.

    Raises:
        InputError: a clip, its results or a result's frame is missing or cannot be scored.
    """
    if not clips:
        raise InputError("expected at least one clip to score, got none")
    if not results.is_dir():
        raise InputError(
            f"there is no folder of results {results}; give the folder that holds <clip>/<frame>.png"
        )
    year = davis.guess_year(clips[0]) if year is None else year
    plans = [_plan(davis, results, clip, keyframes) for clip in clips]
    objects: list[ObjectScores] = []
    without_keyframes: list[ObjectScores] = []
    left_out: dict[str, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        for plan in plans:
            scored = _score_clip(davis, plan, year, pool)
            objects += scored
            kept, reason = _without_keyframes(scored, plan.keyframes)
            without_keyframes += kept
            if reason:
                left_out[plan.clip] = reason
            if on_clip:
                on_clip(plan.clip)
    known = {plan.clip: plan.keyframes for plan in plans if plan.keyframes is not None}
    return DavisScores(year, tuple(objects), tuple(without_keyframes), left_out if known else {}, known)


@dataclass(frozen=True)
class _Plan:
    """What there is to score of one clip: mask files of the scored frames, and the keyframes if known."""

    clip: str
    first_truth: Path
    pairs: tuple[tuple[Path, Path], ...]
    keyframes: tuple[str, ...] | None


def _plan(davis: Davis, results: Path, clip: str, keyframes: Sequence[str | int] | None) -> _Plan:
    truths = davis.annotation_paths(clip)
    if len(truths) < 3:
        raise InputError(
            f"clip {clip} has {len(truths)} annotated frames in {davis.annotations / clip}, "
            "expected at least 3, because the first and the last are not scored"
        )
    folder = results / clip
    if not folder.is_dir():
        raise InputError(
            f"there are no results of clip {clip} in {results}; expected the folder {folder}, "
            "make them or name the clips to score"
        )
    masks = ResultMasks.find(folder)
    found = {truth: masks.find_mask(truth.stem) for truth in truths[1:-1]}
    pairs = [(truth, mask) for truth, mask in found.items() if mask is not None]
    missing = [truth.stem for truth, mask in found.items() if mask is None]
    if missing:
        raise InputError(
            f"clip {clip}, frame {missing[0]}: there is no result {masks.mask_path(missing[0])} "
            f"({len(missing)} of {len(found)} frames of the clip are missing); make the missing masks"
        )
    names = [truth.stem for truth in truths]
    marks: Sequence[str | int] | None = keyframes
    if keyframes is None and masks.keyframes is not None:
        marks = sorted(masks.keyframes)
    known = None if marks is None else tuple(_frame_name(mark, names, clip) for mark in marks)
    return _Plan(clip, truths[0], tuple(pairs), known)


def _frame_name(mark: str | int, names: Sequence[str], clip: str) -> str:
    """The name of a frame given by its name or its index from 0."""
    if isinstance(mark, str) and mark in names:
        return mark
    if isinstance(mark, int) or mark.isdecimal():
        index = int(mark)
        if 0 <= index < len(names):
            return names[index]
    raise InputError(
        f"the keyframe {mark!r} is no frame of clip {clip}, which has the {len(names)} frames "
        f"{names[0]} to {names[-1]}"
    )


def _score_clip(davis: Davis, plan: _Plan, year: int, pool: ThreadPoolExecutor) -> list[ObjectScores]:
    """Scores of each object of a clip; frames are scored in parallel and returned in order."""
    ids = [1]
    if year == 2017:
        present = object_ids(davis.read_annotation(plan.first_truth))
        if not present:
            raise InputError(f"clip {plan.clip}: the first mask {plan.first_truth} holds no object to score")
        ids = list(range(1, max(present) + 1))

    def score(pair: tuple[Path, Path]) -> tuple[list[tuple[float, float]], bool]:
        truth = davis.read_annotation(pair[0])
        labels = _read_result(pair[1], plan.clip, truth.shape)
        if year == 2016:
            truth = ((truth != 0) & (truth != VOID)).view(np.uint8)
            labels = (labels != 0).view(np.uint8)
        else:
            check_object_ids(labels, ids, f"clip {plan.clip}, frame {pair[1].stem}: the result {pair[1]}")
        return score_frame(truth, labels, ids), bool((labels == VOID).any())

    scored = list(pool.map(score, plan.pairs))
    if any(has_void for _, has_void in scored):
        log.warning("clip %s: void (255) in the results is scored as background", plan.clip)
    values = np.array([frame for frame, _ in scored], dtype=np.float64)
    frames = tuple(truth.stem for truth, _ in plan.pairs)
    return [
        ObjectScores(plan.clip, object_id, frames, values[:, place, 0], values[:, place, 1])
        for place, object_id in enumerate(ids)
    ]


def _read_result(path: Path, clip: str, size_hw: tuple[int, ...]) -> Labels:
    try:
        labels = read_labels(path)
    except InputError as error:
        raise InputError(f"clip {clip}, frame {path.stem}: {error}") from None
    if labels.shape != size_hw:
        raise InputError(
            f"clip {clip}, frame {path.stem}: "
            f"the result {path} is {labels.shape[1]}×{labels.shape[0]} pixels, "
            f"expected {size_hw[1]}×{size_hw[0]} as in the data set; make it again at that size"
        )
    return labels


def _without_keyframes(
    scored: list[ObjectScores], keyframes: tuple[str, ...] | None
) -> tuple[list[ObjectScores], str | None]:
    """A clip's scores over frames that were no keyframe, or why there are none."""
    if keyframes is None:
        return [], "its keyframes are not known"
    kept = np.array([frame not in keyframes for frame in scored[0].frames])
    if not kept.any():
        return [], "every scored frame was a keyframe"
    frames = tuple(frame for frame, keep in zip(scored[0].frames, kept, strict=True) if keep)
    return [replace(one, frames=frames, j=one.j[kept], f=one.f[kept]) for one in scored], None


def terminal_tables(scores: DavisScores) -> list[Table]:
    """The table over all scored frames, and the one over frames without a keyframe when keyframes are known.

    The second names the clips it leaves out, and why, below its rows.
    """
    tables = [_table("All frames but the first and the last", scores.year, scores.objects)]
    if scores.keyframes:
        second = _table("Of these, frames without a keyframe", scores.year, scores.without_keyframes)
        reasons = [f"{clip} is left out: {why}" for clip, why in scores.left_out.items()]
        second.caption = "\n".join(reasons) or None
        tables.append(second)
    return tables


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

    `all_frames` and `without_keyframes` (null when no frame is left or no keyframes are known) each hold
    `overall` and, by name, the `objects` with `J` and `F`: `mean`, `recall`, `decay`, `per_frame`.
    """
    return {
        "year": scores.year,
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
    table.add_column("Frames", justify="right", no_wrap=True)
    for column in GLOBAL_COLUMNS:
        table.add_column(column.replace("-", "\n", 1), justify="right", no_wrap=True)
    for one in objects:
        name = one.clip if year == 2016 else one.name
        figures = _figures(one.j_statistics, one.f_statistics)
        table.add_row(name, str(len(one.frames)), *_decimals(*figures))
    if objects:
        table.add_section()
        frames = sum(len(one.frames) for one in objects)
        table.add_row("mean", str(frames), *_decimals(*_figures(*overall(objects))), style="bold")
    return table


def _figures(j: Statistics, f: Statistics) -> tuple[float, ...]:
    """The seven figures of the official table, in its order."""
    return (j.mean + f.mean) / 2, j.mean, j.recall, j.decay, f.mean, f.recall, f.decay


def _decimals(*figures: float) -> list[str]:
    return [f"{figure:.3f}" for figure in figures]


def _csv(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()


def _json_block(objects: Sequence[ObjectScores]) -> dict[str, Any]:
    j, f = overall(objects)
    return {
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
