"""J, F and T of one clip: masks in, scores out (semi-supervised rules of DAVIS 2017).

Region similarity J and boundary accuracy F are those of `metrics.py`, temporal stability T that of
`temporal_stability.py`. Each object is scored on its own, and a clip is the mean over its objects (Pont-Tuset
et al., The 2017 DAVIS Challenge on Video Object Segmentation).
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from dextr_vos.errors import InputError, counted
from dextr_vos.evaluation.mask_sources import Frame, Masks, Reader, matched, read_masks
from dextr_vos.evaluation.metrics import (
    Statistics,
    Values,
    average,
    joint_window,
    region_and_boundary,
    statistics,
    tolerance_px,
)
from dextr_vos.evaluation.temporal_stability import shape_contexts, temporal_instability
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import MAX_OBJECTS, VOID, Labels
from dextr_vos.masks import object_ids as ids_in

log = logging.getLogger(__name__)

# Objects of the first mask, as in DAVIS, or all, each after the frame in which it first appears.
ObjectRule = Literal["first-frame", "from-first-appearance"]


@dataclass(frozen=True, eq=False)
class ObjectScores:
    """J, F and T of one object of one clip.

    Attributes:
        clip: name of the clip; empty where it has none.
        object_id: the object's value in the masks; 1 in DAVIS 2016.
        frames: the scored frames, in order.
        j: region similarity, one value a frame.
        f: boundary accuracy, one value a frame.
        t: temporal instability against the frame before, one value a frame, NaN where one of the two has no
            outline; None where it was not computed.
    """

    clip: str
    object_id: int
    frames: tuple[Frame, ...]
    j: Values
    f: Values
    t: Values | None = None

    def select(self, kept: BoolArray) -> "ObjectScores":
        """The scores of some frames.

        Args:
            kept: a bool for each frame.
        """
        frames = tuple(frame for frame, keep in zip(self.frames, kept, strict=True) if keep)
        t = None if self.t is None else self.t[kept]
        return replace(self, frames=frames, j=self.j[kept], f=self.f[kept], t=t)

    @property
    def name(self) -> str:
        """The name the official tables give it: `<clip>_<object>`."""
        return f"{self.clip}_{self.object_id}"

    @property
    def j_statistics(self) -> Statistics:
        """Mean, recall and decay of J."""
        return statistics(self.j)

    @property
    def f_statistics(self) -> Statistics:
        """Mean, recall and decay of F."""
        return statistics(self.f)

    @property
    def t_mean(self) -> float:
        """Mean T over the frames that have one, lower is more stable; NaN where it was not computed."""
        return math.nan if self.t is None else statistics(self.t).mean


@dataclass(frozen=True, eq=False)
class ClipScores:
    """J, F and T of a clip: means over frames, then over objects.

    Attributes:
        frames: the scored frames, in order: indices, or names where the true masks have names.
        objects: by object id, the scores of each object with one value a frame; of an object that comes
            later, only of the frames after its first.
    """

    frames: tuple[Frame, ...]
    objects: Mapping[int, ObjectScores]

    @property
    def j_statistics(self) -> Statistics:
        """Mean, recall and decay of J, averaged over objects."""
        return average(one.j_statistics for one in self.objects.values())

    @property
    def f_statistics(self) -> Statistics:
        """Mean, recall and decay of F, averaged over objects."""
        return average(one.f_statistics for one in self.objects.values())

    @property
    def j(self) -> float:
        """Region similarity of the clip."""
        return self.j_statistics.mean

    @property
    def f(self) -> float:
        """Boundary accuracy of the clip."""
        return self.f_statistics.mean

    @property
    def t(self) -> float:
        """Temporal instability of the clip, lower is more stable; NaN where it was not computed."""
        values = [one.t_mean for one in self.objects.values()]
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    @property
    def jf(self) -> float:
        """J&F, the mean of both."""
        return (self.j + self.f) / 2

    def __str__(self) -> str:
        counts = f"{counted(len(self.objects), 'object')}, {counted(len(self.frames), 'frame')}"
        return f"J&F {self.jf:.3f}, J {self.j:.3f}, F {self.f:.3f} ({counts})"


def evaluate(
    results: Masks,
    truth: Masks,
    *,
    object_ids: Sequence[int] | None = None,
    object_rule: ObjectRule = "first-frame",
    skip_ends: bool = True,
    stability: bool = False,
) -> ClipScores:
    """Score the masks of one clip against its true masks.

    Both are given as `{frame index: labels}`, as `{frame name: labels}`, as a sequence of labels (frames 0,
    1, 2, …), or as a folder of masks, `FOLDER/FRAME.png` or `FOLDER/masks/FRAME.png`. Labels are H×W,
    integers or bool: 0 background, 1…254 objects, 255 void, which counts as background. Where one
    side has indices and the other names, index i is the i-th frame, and both have as many.

    Args:
        results: the masks to score, at least those of the scored frames.
        truth: the true masks; their frames are scored.
        object_ids: objects to score; those that the rule names when not given.
        object_rule: `first-frame`: objects of the first true mask, in every frame, as DAVIS does;
            `from-first-appearance`: objects that come later, too, each in the frames after the one in which
            it first appears, whose mask is given.
        skip_ends: leave out the first frame, whose mask is given, and the last, as DAVIS does.
        stability: compute T as well, which takes longer than J and F, about 50 ms a mask of 854×480. The
            first scored frame is compared with the first true mask.

    Returns:
        J and F, and T if asked for, per frame and object, and their means.

    Raises:
        InputError: masks are missing, are no labels, differ in size, or hold an object that the truth lacks.

    Examples:
        >>> import numpy as np
        >>> truth = np.zeros((4, 48, 64), np.uint8)
        >>> truth[:, 10:30, 10:30] = 1
        >>> results = truth.copy()
        >>> results[2, 20:30] = 0
        >>> scores = evaluate(results, truth)
        >>> scores.frames, scores.objects[1].j.tolist(), scores.j
        ((1, 2), [1.0, 0.5], 0.75)
    """
    theirs, ours = read_masks(truth, "truth"), read_masks(results, "results")
    pairs = matched(list(ours), list(theirs))
    appeared = _appearances((theirs[frame] for _, frame in pairs), object_ids, object_rule)
    given = theirs[pairs[0][1]] if skip_ends else None
    if skip_ends:
        pairs = pairs[1:-1]
    if not pairs:
        raise InputError(
            f"expected at least 3 frames of truth, got {len(theirs)}: the first and the last are not scored; "
            "give more, or skip_ends=False"
        )
    missing = [frame for key, frame in pairs if key not in ours]
    if missing:
        raise InputError(
            f"there is no result of frame {missing[0]!r} ({len(missing)} of {len(pairs)} scored frames are "
            "missing); expected a mask of each frame of the truth, or give the truth of these frames only"
        )
    masks = [(frame, theirs[frame], ours[key]) for key, frame in pairs]
    series = _score_frames(masks, list(appeared), only_these=object_ids is None)
    frames = tuple(frame for _, frame in pairs)
    objects = []
    for place, object_id in enumerate(appeared):
        t = _instability(given, [read for _, _, read in masks], object_id) if stability else None
        objects.append(ObjectScores("", object_id, frames, series[:, place, 0], series[:, place, 1], t))
    begin = 1 if skip_ends else 0
    kept = after_appearance(objects, appeared, range(begin, begin + len(frames)))
    if not kept:
        raise InputError(
            "no object of the truth appears before the last scored frame; there is none to score"
        )
    return ClipScores(frames, {one.object_id: one for one in kept})


def first_appearances(truths: Iterable[Labels]) -> dict[int, int]:
    """Objects of a clip, ascending, with the index of the frame in which each first appears."""
    found: dict[int, int] = {}
    for index, labels in enumerate(truths):
        for object_id in ids_in(labels):
            found.setdefault(object_id, index)
    return dict(sorted(found.items()))


def after_appearance(
    objects: Sequence[ObjectScores], appeared: Mapping[int, int], indices: Sequence[int]
) -> list[ObjectScores]:
    """The scores of objects without the frames before and in which they first appear.

    Args:
        objects: with scores of the same frames.
        appeared: index of the frame in which each object first appears; one of the first frame keeps all.
        indices: of the scored frames.

    Returns:
        Objects that keep a frame; the log names the others.
    """
    kept = []
    for one in objects:
        start = appeared[one.object_id]
        later = np.asarray(indices) > start
        if start == 0 or later.all():
            kept.append(one)
        elif later.any():
            kept.append(one.select(later))
        else:
            log.warning("object %s is not scored: no scored frame follows its first", one.name.lstrip("_"))
    return kept


def score_frame(truth: Labels, labels: Labels, object_ids: Sequence[int]) -> list[tuple[float, float]]:
    """J and F of each object in one frame.

    Args:
        truth: H×W uint8.
        labels: H×W uint8, the result.
        object_ids: values of the objects in both.
    """
    radius = tolerance_px((truth.shape[0], truth.shape[1]))
    # outside this window nothing counts, so nothing else is compared
    window = joint_window(truth, labels)
    truth, labels = truth[window], labels[window]
    return [region_and_boundary(truth == object_id, labels == object_id, radius) for object_id in object_ids]


def _score_frames(
    masks: Sequence[tuple[Frame, Reader, Reader]], ids: Sequence[int], *, only_these: bool
) -> Values:
    """J and F per frame and object, F×N×2, of true masks and results."""
    values, has_void, has_objects = [], False, False
    for frame, read_truth, read_result in masks:
        truth, labels = read_truth(), read_result()
        if labels.shape != truth.shape:
            raise InputError(
                f"the result of frame {frame!r} is {labels.shape[1]}×{labels.shape[0]} pixels, expected "
                f"{truth.shape[1]}×{truth.shape[0]} as its true mask"
            )
        if only_these:
            check_object_ids(labels, ids, f"the result of frame {frame!r}")
        values.append(score_frame(truth, labels, ids))
        has_void = has_void or bool((labels == VOID).any())
        has_objects = has_objects or bool(ids_in(labels))
    if has_void and not has_objects:
        raise InputError(
            "the results hold no object but 255, which is void; read mask files with read_labels, or give "
            "mask > 0"
        )
    if has_void:
        log.warning("void (255) in the results is scored as background")
    return np.array(values, dtype=np.float64)


def _instability(given: Reader | None, results: Sequence[Reader], object_id: int) -> Values:
    """T of an object per frame: against the result before, or the given mask; NaN where there is none."""
    values, before = [], shape_contexts(given() == object_id) if given else None
    for read in results:
        outline = shape_contexts(read() == object_id)
        values.append(temporal_instability(before, outline))
        before = outline
    return np.array(values)


def check_object_ids(labels: Labels, known: Sequence[int], where: str) -> None:
    """Refuse a result with an object that the clip does not have.

    Args:
        labels: H×W uint8.
        known: the clip's objects.
        where: begins the error's sentence, like "the result of frame 3".

    Raises:
        InputError: there is such an object.
    """
    present = np.flatnonzero(np.bincount(labels.ravel(), minlength=VOID + 1)[:VOID]).tolist()
    unknown = sorted(set(present) - {0, *known})
    if unknown:
        listed = ", ".join(map(str, known[:10])) + (", …" if len(known) > 10 else "")
        raise InputError(
            f"{where} holds object {unknown[-1]}, the clip has the objects {listed}; "
            "number the objects as in the first true mask, or, if it appears later, score with "
            "--objects from-first-appearance (object_rule= in Python)"
        )


def _appearances(truths: Iterable[Reader], chosen: Sequence[int] | None, rule: ObjectRule) -> dict[int, int]:
    """The objects to score, and the index of the frame where each first appears; 0 by the official rule."""
    if rule not in get_args(ObjectRule):
        raise InputError(f"expected object_rule as one of {', '.join(get_args(ObjectRule))}, got {rule!r}")
    read = (truth() for truth in truths)
    found = dict.fromkeys(ids_in(next(read)), 0) if rule == "first-frame" else first_appearances(read)
    if chosen is not None:
        return {object_id: found.get(object_id, 0) for object_id in _checked_ids(chosen)}
    if not found:
        where = "the first true mask holds" if rule == "first-frame" else "the true masks hold"
        raise InputError(
            f"{where} no object (255 is void); expected objects from 1 to 254, or give object_ids"
        )
    return found


def _checked_ids(chosen: Sequence[int]) -> list[int]:
    ids = list(dict.fromkeys(chosen))
    if not ids or not all(isinstance(each, int | np.integer) and 1 <= each <= MAX_OBJECTS for each in ids):
        raise InputError(f"expected object_ids from 1 to {MAX_OBJECTS}, got {ids}")
    return [int(each) for each in ids]
