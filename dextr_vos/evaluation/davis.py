"""Scores of a folder of results on DAVIS (semi-supervised rules of 2016 and 2017).

A result is `<results>/<clip>/<frame>.png`, or `<results>/<clip>/masks/<frame>.png` as our own runs write it
with `<results>/<clip>/run.json` beside, whose `keyframes` names the frames that a person annotated.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dextr_vos.datasets.davis import Davis
from dextr_vos.errors import InputError, counted
from dextr_vos.evaluation.metrics import Statistics, Values, average
from dextr_vos.evaluation.scores import (
    ObjectRule,
    ObjectScores,
    after_appearance,
    check_object_ids,
    first_appearances,
    score_frame,
)
from dextr_vos.evaluation.temporal_stability import ShapeContexts, shape_contexts, temporal_instability
from dextr_vos.files import natural_key
from dextr_vos.frame_lists import index_text, parse_frames
from dextr_vos.mask_file import plain_name
from dextr_vos.masks import VOID, Labels, object_ids, read_labels
from dextr_vos.workspace import ResultMasks, Workspace

log = logging.getLogger(__name__)

MIN_TRUTHS = 3  # of a clip: the first and the last frame with a true mask are not scored

# Clips of DAVIS 2016 that the toolbox leaves out of the mean of T: occlusions change their outlines suddenly.
UNSTABLE_CLIPS = frozenset(
    (
        *("bmx-bumps", "bmx-trees", "breakdance", "breakdance-flare", "dance-twirl", "dog", "dog-agility"),
        *("drift-chicane", "goat", "horsejump-high", "horsejump-low", "libby", "lucia", "mallard-fly"),
        *("motocross-jump", "motorbike", "paragliding", "parkour", "rollerblade", "scooter-gray"),
        *("soccerball", "swing", "tennis"),
    )
)


@dataclass(frozen=True)
class ScoringRules:
    """What is scored.

    Attributes:
        year: 2016 (one object a clip) or 2017 (each object on its own); guessed from the masks when None.
        stability: score T as well, by the rules of 2016 only; DAVIS 2017 has none.
        object_rule: by the rules of 2017, which objects: those of the first mask, or those that
            come later, too, each after the frame in which it first appears. None takes the second rule where
            `Davis.objects_come_later`, as YouTube-VOS does, and the first elsewhere.
        frames: of each clip, which of the scored frames count, see `parse_frames`; all by default. T, which
            compares neighbours, is not scored then.
    """

    year: int | None = None
    stability: bool = False
    object_rule: ObjectRule | None = None
    frames: str | None = None


@dataclass(frozen=True)
class DavisScores:
    """Scores of all clips.

    Attributes:
        rules: what was scored; its year is known.
        objects: scores over all frames but the first and last, or those of them that the rules name.
        without_keyframes: the same over frames that were no keyframe; empty when no keyframes are known.
        left_out: for each clip that is not in `without_keyframes` though keyframes are known, why.
        keyframes: names of the keyframes of each clip for which they are known.
        frames: names of all annotated frames of each clip, in order.
    """

    rules: ScoringRules
    objects: tuple[ObjectScores, ...]
    without_keyframes: tuple[ObjectScores, ...]
    left_out: Mapping[str, str]
    keyframes: Mapping[str, tuple[str, ...]]
    frames: Mapping[str, tuple[str, ...]]

    @property
    def year(self) -> int:
        """2016 (one object a clip) or 2017 (each object on its own)."""
        return self.rules.year or 2017

    @property
    def object_rule(self) -> ObjectRule:
        """Which objects were scored, see `ScoringRules`."""
        return self.rules.object_rule or "first-frame"


def overall(objects: Sequence[ObjectScores]) -> tuple[Statistics, Statistics]:
    """J and F averaged over objects, each object weighing the same, as the official script does.

    In DAVIS 2016, with one object a clip, this is the mean over clips.

    Raises:
        ValueError: there are no objects.
    """
    return average(one.j_statistics for one in objects), average(one.f_statistics for one in objects)


def overall_instability(objects: Sequence[ObjectScores]) -> float:
    """T averaged over clips, without those that `UNSTABLE_CLIPS` names; NaN where none is left."""
    values = [one.t_mean for one in objects if counts_for_stability(one)]
    return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan


def counts_for_stability(one: ObjectScores) -> bool:
    """Whether the T of a clip counts for the mean over clips, as in the toolbox."""
    return one.t is not None and one.clip not in UNSTABLE_CLIPS


def evaluate_davis(
    davis: Davis,
    results: Path,
    clips: Sequence[str],
    rules: ScoringRules | None = None,
    keyframes: Sequence[str | int] | None = None,
    workers: int | None = None,
    on_clip: Callable[[str], None] | None = None,
) -> DavisScores:
    """Score a folder of results; every file is looked for before the first is read.

    DAVIS 2016: every non-zero index of a result is foreground. DAVIS 2017, as in the official code: the
    objects are those of the first mask, so one that comes later is background unless the rules say otherwise
    (the official code counts all numbers up to the largest, which the log says where it matters); an object
    that a result lacks is scored as empty; void is background; values of no object are refused. Void in a
    result, which the official code refuses, is background too, with a warning in the log.

    Args:
        davis: the data set.
        results: folder of results, one folder a clip.
        clips: names of the clips to score, at least one.
        rules: what to score; when not given, J and F by the rules of the year of the first clip's masks.
        keyframes: names or indices of the frames that were annotated, for all clips; from each clip's
            `run.json` when not given.
        workers: threads; when not given, as many as `ThreadPoolExecutor` takes. The scores are the same.
        on_clip: called with a clip's name when it is scored.

    Raises:
        InputError: a clip, its results or a result's frame is missing or cannot be scored.
    """
    _check(results, clips)
    rules = rules or ScoringRules()
    rules = replace(
        rules,
        year=rules.year or davis.guess_year(clips[0]),
        object_rule=rules.object_rule or rule_of(davis),
    )
    plans = [_plan(davis, results, clip, keyframes, rules.frames) for clip in clips]
    objects: list[ObjectScores] = []
    without_keyframes: list[ObjectScores] = []
    left_out: dict[str, str] = {}
    with ThreadPoolExecutor(workers) as pool:
        for plan in plans:
            scored = _score_clip(davis, plan, rules, pool)
            objects += scored
            kept, reason = _without_keyframes(scored, plan.keyframes)
            without_keyframes += kept
            if reason:
                left_out[plan.clip] = reason
            if on_clip:
                on_clip(plan.clip)
    known = {plan.clip: plan.keyframes for plan in plans if plan.keyframes is not None}
    return DavisScores(
        rules,
        tuple(objects),
        tuple(without_keyframes),
        left_out if known else {},
        known,
        frames={plan.clip: tuple(path.stem for path in plan.truths) for plan in plans},
    )


def _check(results: Path, clips: Sequence[str]) -> None:
    if not clips:
        raise InputError("expected at least one clip to score, got none")
    if not results.is_dir():
        raise InputError(
            f"there is no folder of results {results}; give the folder that holds <clip>/<frame>.png"
        )


def rule_of(davis: Davis) -> ObjectRule:
    """The rule that says which objects of a data set are scored."""
    return "from-first-appearance" if davis.objects_come_later else "first-frame"


@dataclass(frozen=True)
class _Plan:
    """What there is to score of one clip.

    Attributes:
        clip: its name.
        truths: mask files of all annotated frames.
        indices: of the scored ones among them.
        pairs: the true mask and the result of each scored frame.
        keyframes: their names, if known.
    """

    clip: str
    truths: tuple[Path, ...]
    indices: tuple[int, ...]
    pairs: tuple[tuple[Path, Path], ...]
    keyframes: tuple[str, ...] | None


def _plan(
    davis: Davis, results: Path, clip: str, keyframes: Sequence[str | int] | None, frames: str | None
) -> _Plan:
    truths = davis.annotation_paths(clip)
    if len(truths) < MIN_TRUTHS:
        raise InputError(
            f"clip {clip} has {counted(len(truths), 'annotated frame')} in {davis.annotations / clip}, "
            f"expected at least {MIN_TRUTHS}, because the first and the last are not scored"
        )
    folder = results / clip
    if not folder.is_dir():
        if Workspace(results).exists:
            raise InputError(f"{results} is the workspace of one clip; give the folder that it is in")
        others = [name for name in davis.available_clips() if (results / name).is_dir()]
        raise InputError(
            f"there are no results of clip {clip} in {results}; expected the folder {folder}, "
            f"make them, or score others with --clips {others[0] if others else 'NAME'}"
        )
    masks = ResultMasks.find(folder)
    indices = _scored_frames(davis, clip, truths, frames)
    found = {truth: masks.find_mask(truth.stem) for truth in (truths[index] for index in indices)}
    pairs = [(truth, mask) for truth, mask in found.items() if mask is not None]
    missing = [truth.stem for truth, mask in found.items() if mask is None]
    if missing:
        raise InputError(
            f"clip {clip}, frame {missing[0]}: there is no result {masks.mask_path(missing[0])} "
            f"({len(missing)} of {len(found)} frames of the clip are missing); make the missing masks, or "
            f"score the frames that are there ({_frames_with(masks, davis.frame_names(clip))})"
        )
    names = davis.frame_names(clip)
    marks: Sequence[str | int] | None = keyframes
    if keyframes is None and masks.keyframes is not None:
        marks = [*sorted(masks.keyframes, key=natural_key)]
    known = None if marks is None else tuple(_frame_name(mark, names, clip) for mark in marks)
    return _Plan(clip, tuple(truths), tuple(indices), tuple(pairs), known)


def _frames_with(masks: ResultMasks, names: Sequence[str]) -> str:
    """How the frames that have masks are scored: the option, with their range where they are one."""
    there = [index for index, name in enumerate(names) if masks.find_mask(name) is not None]
    if len(there) < 2 or there[-1] - there[0] >= len(there):
        return "--frames"
    first, last = there[0], there[-1]
    option = f"--frames {index_text(first, names)}-{index_text(last, names)}"
    return f"there are masks of {names[first]} to {names[last]}: {option}"


def _scored_frames(davis: Davis, clip: str, truths: Sequence[Path], frames: str | None) -> list[int]:
    """Indices of the true masks to score: all but the first and the last, or the named ones of these."""
    scored = range(1, len(truths) - 1)
    if frames is None:
        return list(scored)
    names = davis.frame_names(clip)
    wanted = {names[index] for index in parse_frames(frames, names, davis.annotations / clip)}
    chosen = [index for index in scored if plain_name(truths[index].stem) in wanted]
    if not chosen:
        raise InputError(
            f"none of the frames '{frames}' of clip {clip} is scored: expected frames with a true mask in "
            f"{truths[0].parent} other than the first and the last of these"
        )
    return chosen


def _frame_name(mark: str | int, names: Sequence[str], clip: str) -> str:
    """The name of a frame given by its name or its index from 0."""
    if isinstance(mark, str) and plain_name(mark) in names:
        return plain_name(mark)
    if isinstance(mark, int) or mark.isdecimal():
        index = int(mark)
        if 0 <= index < len(names):
            return names[index]
    raise InputError(
        f"the keyframe {mark!r} is no frame of clip {clip}, which has the {len(names)} frames "
        f"{names[0]} to {names[-1]}"
    )


def _score_clip(
    davis: Davis, plan: _Plan, rules: ScoringRules, pool: ThreadPoolExecutor
) -> list[ObjectScores]:
    """Scores of each object of a clip; frames are scored in parallel and returned in order."""
    appeared = {1: 0} if rules.year == 2016 else _appearances(davis, plan, rules.object_rule)
    ids = list(appeared)

    def score(pair: tuple[Path, Path]) -> tuple[list[tuple[float, float]], bool]:
        truth, labels = _read_pair(davis, plan.clip, pair, rules)
        if rules.year == 2017:
            check_object_ids(labels, ids, f"clip {plan.clip}, frame {pair[1].stem}: the result {pair[1]}")
        return score_frame(truth, labels, ids), bool((labels == VOID).any())

    scored = list(pool.map(score, plan.pairs))
    if any(has_void for _, has_void in scored):
        log.warning("clip %s: void (255) in the results is scored as background", plan.clip)
    values = np.array([frame for frame, _ in scored], dtype=np.float64)
    frames = tuple(plain_name(truth.stem) for truth, _ in plan.pairs)
    objects = [
        ObjectScores(plan.clip, object_id, frames, values[:, place, 0], values[:, place, 1])
        for place, object_id in enumerate(ids)
    ]
    if rules.stability and rules.year == 2016 and rules.frames is None:
        objects = [replace(objects[0], t=_instabilities(davis, plan, rules, pool))]
    return after_appearance(objects, appeared, plan.indices)


def _appearances(davis: Davis, plan: _Plan, rule: ObjectRule | None) -> dict[int, int]:
    """The objects to score, and the index of the frame where each first appears; 0 by the official rule."""
    if rule == "from-first-appearance":
        appeared = first_appearances(davis.read_annotation(path) for path in plan.truths)
        if min(appeared.values(), default=len(plan.truths)) >= len(plan.truths) - 2:
            raise InputError(
                f"clip {plan.clip}: no object appears in {plan.truths[0].parent} before the last scored "
                "frame; leave the clip out"
            )
        return appeared
    present = object_ids(davis.read_annotation(plan.truths[0]))
    if not present:
        raise InputError(
            f"clip {plan.clip}: the first mask {plan.truths[0]} holds no object to score; score objects that "
            "come later by the rule from-first-appearance, or leave the clip out"
        )
    absent = sorted(set(range(1, max(present))) - set(present))
    if absent:
        log.warning(
            "clip %s: its first mask has the objects %s; the official script counts 1 to %d, and its mean "
            "includes J and F of 1 for objects that are not there: %s",
            *(plan.clip, ", ".join(map(str, present)), present[-1], ", ".join(map(str, absent))),
        )
    return dict.fromkeys(present, 0)


def _instabilities(davis: Davis, plan: _Plan, rules: ScoringRules, pool: ThreadPoolExecutor) -> Values:
    """T of each scored frame against the one before it; before the first is the true mask that was given."""

    def describe(pair: tuple[Path, Path]) -> ShapeContexts | None:
        return shape_contexts(_read_pair(davis, plan.clip, pair, rules)[1] != 0)

    given = davis.read_annotation(plan.truths[0])
    outlines = [shape_contexts((given != 0) & (given != VOID)), *pool.map(describe, plan.pairs)]
    return np.array(list(pool.map(temporal_instability, outlines[:-1], outlines[1:])))


def _read_pair(
    davis: Davis, clip: str, pair: tuple[Path, Path], rules: ScoringRules
) -> tuple[Labels, Labels]:
    """The true mask and the result of a frame; by the rules of 2016 with one object, 1."""
    truth = davis.read_annotation(pair[0])
    labels = _read_result(pair[1], clip, truth.shape)
    if rules.year == 2016:
        truth = ((truth != 0) & (truth != VOID)).view(np.uint8)
        labels = (labels != 0).view(np.uint8)
    return truth, labels


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
    kept = [one.select(np.array([frame not in keyframes for frame in one.frames])) for one in scored]
    kept = [replace(one, t=None) for one in kept if one.frames]
    return (kept, None) if kept else ([], "every scored frame was a keyframe")
