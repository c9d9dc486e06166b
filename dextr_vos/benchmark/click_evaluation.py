"""Evaluation of masks from clicks: objects of a data set and clicks in, scores of each object out.

Four extreme clicks an object, simulated or a person's (DEXTR: Maninis et al., CVPR 2018), or one click on it
(RITM: Sofiiuk et al., ICIP 2022), and where asked for further clicks, one at a time, where the mask is most
wrong.
"""

import logging
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.human_clicks import HumanClicks
from dextr_vos.annotation.prompts import Click, Prompt, check_points
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.datasets.instances import Example, ObjectSet, Subset
from dextr_vos.errors import InputError
from dextr_vos.evaluation.interactive import MAX_CLICKS, NOC_TARGETS, ObjectResult, error_rates, mask_iou
from dextr_vos.evaluation.next_click import next_click
from dextr_vos.geometry import BoolArray, FloatArray, IntArray, extreme_points, sort_extremes

log = logging.getLogger(__name__)


Protocol = Literal["dextr", "ritm"]


@dataclass(frozen=True)
class EvaluatedObject:
    """An object with its mask; keep the result alone where memory matters.

    Attributes:
        result: the object's scores.
        example: its image and true mask.
        points_xy: N×2, the first clicks.
        mask: H×W bool, predicted from these clicks.
    """

    result: ObjectResult
    example: Example
    points_xy: IntArray
    mask: BoolArray


def evaluate_clicks(
    objects: ObjectSet,
    segmenter: Segmenter,
    jitter_px: int = 0,
    seed: int = 0,
    human: HumanClicks | None = None,
    targets: Sequence[float] = (),
    max_clicks: int = MAX_CLICKS,
    protocol: Protocol = "dextr",
) -> Iterator[EvaluatedObject]:
    """Evaluate the masks that a segmenter makes of clicks, object by object, each read when its turn comes.

    Args:
        objects: the data set.
        segmenter: makes masks of clicks.
        jitter_px: of the four simulated clicks, see `extreme_points`.
        seed: of the jitter; an object's clicks depend on the seed, its image's name and its id alone.
        human: clicks of people; their IoU is added to each object that has them.
        targets: count the clicks to these IoUs, as `NOC_TARGETS`; none: no further clicks are simulated.
        max_clicks: clicks an object gets at most, the first ones among them.
        protocol: "dextr": four extreme points come first (Maninis et al., CVPR 2018); "ritm": one click in
            the middle of the object (Sofiiuk et al., ICIP 2022). Each further click is in the middle of the
            largest error; for a model that takes extreme points alone, it is on the outline.

    Yields:
        The objects in their order, without those whose true mask is empty; the log names these.

    Raises:
        InputError: a file of the data set is missing or broken, human clicks do not fit their image, or the
            model takes extreme points alone and the protocol has none.
    """
    for index in range(len(objects.refs)):
        example = objects.read(index)
        ref, truth, void = example.ref, example.mask, example.void
        if not truth.any():
            # polygons of COCO may enclose no pixel
            log.warning("object %d of %s has no pixels and is left out", ref.object_id + 1, ref.image)
            continue
        prompt = _first_prompt(example, jitter_px, seed, protocol)
        prob = _prob(segmenter, example, prompt)
        curve = click_curve(segmenter, example, prompt, prob, targets, max_clicks) if targets else []
        mask = prob > segmenter.threshold
        error, error_in_box = error_rates(mask, truth, void)
        first = _clicks_of(prompt)
        result = ObjectResult(
            image=ref.image,
            object_id=ref.object_id,
            category=ref.category,
            area=int(truth.sum()),
            iou=mask_iou(mask, truth, void),
            error=error,
            error_in_box=error_in_box,
            noc=number_of_clicks(curve, len(first), targets),
            first_clicks=len(first),
            curve=tuple(round(iou, 6) for iou in curve),
            human_iou=_human_iou(segmenter, example, human),
        )
        yield EvaluatedObject(result, example, first, mask)


def simulated_points(example: Example, jitter_px: int, seed: int) -> IntArray:
    """The four clicks on an object, 4×2: left, right, top, bottom."""
    name = zlib.crc32(example.ref.image.encode())
    rng = np.random.default_rng((seed, name, example.ref.object_id))
    return extreme_points(example.mask, jitter_px, rng)


def number_of_clicks(
    curve: Sequence[float], first_clicks: int, targets: Sequence[float]
) -> dict[float, int | None]:
    """The number of clicks that first reaches each IoU (NoC); a later loss of IoU does not count.

    Args:
        curve: see `click_curve`.
        first_clicks: clicks before the first mask.
        targets: IoUs in (0, 1].

    Returns:
        Per target the number of clicks; None where it was not reached.
    """
    return {
        target: next((first_clicks + more for more, iou in enumerate(curve) if iou >= target), None)
        for target in targets
    }


def click_curve(
    segmenter: Segmenter,
    example: Example,
    prompt: Prompt,
    prob: FloatArray,
    targets: Sequence[float] = NOC_TARGETS,
    max_clicks: int = MAX_CLICKS,
) -> list[float]:
    """IoU after the first clicks and after each further one, until the highest target is reached.

    Args:
        segmenter: makes masks of clicks.
        example: the object.
        prompt: the first clicks.
        prob: H×W, the soft mask from these.
        targets: IoUs in (0, 1], at least one.
        max_clicks: clicks in all.

    Returns:
        At least one IoU; fewer than `max_clicks` also where there is nothing left to click on.
    """
    curve: list[float] = []
    while True:
        mask = prob > segmenter.threshold
        curve.append(mask_iou(mask, example.mask, example.void))
        if curve[-1] >= max(targets) or len(_clicks_of(prompt)) >= max_clicks:
            return curve
        corrected = _corrected(segmenter, example, prompt, prob)
        if corrected is None:
            return curve
        prompt = corrected
        prob = _prob(segmenter, example, prompt)


def _first_prompt(example: Example, jitter_px: int, seed: int, protocol: Protocol) -> Prompt:
    if protocol == "dextr":
        return Prompt(simulated_points(example, jitter_px, seed))
    nothing = np.zeros_like(example.mask)
    click = next_correction(nothing, example.mask, example.void)
    if click is None:  # nowhere wider than two pixels
        ys, xs = np.nonzero(example.mask)
        click = Click(int(xs[len(xs) // 2]), int(ys[len(ys) // 2]), True)
    return Prompt(clicks=(click,))


def _corrected(segmenter: Segmenter, example: Example, prompt: Prompt, prob: FloatArray) -> Prompt | None:
    """What is known after one more click; None where there is nothing to click on."""
    mask = prob > segmenter.threshold
    if segmenter.corrects:
        click = next_correction(mask, example.mask, example.void, before=prompt.clicks)
        return None if click is None else replace(prompt, clicks=(*prompt.clicks, click), mask=prob)
    assert prompt.points_xy is not None
    extra = next_click(mask, example.mask, example.void, prompt.points_xy)
    return None if extra is None else Prompt(sort_extremes(np.vstack([prompt.points_xy, [extra]])))


def _clicks_of(prompt: Prompt) -> IntArray:
    """All clicks that a person made, N×2."""
    extremes = np.zeros((0, 2), np.int64) if prompt.points_xy is None else prompt.points_xy
    further = np.array([click[:2] for click in prompt.clicks], dtype=np.int64).reshape(-1, 2)
    return np.vstack([extremes, further])


def _prob(segmenter: Segmenter, example: Example, prompt: Prompt) -> FloatArray:
    (prob,) = segmenter.prompted(example.image_rgb, [prompt])
    return prob


def filter_objects(objects: ObjectSet, categories: Collection[str] = (), min_area: int = 0) -> Subset:
    """The objects of some categories and of a least size.

    Args:
        objects: the data set.
        categories: those to keep; all when there are none.
        min_area: pixels an object has at least.

    Raises:
        InputError: the data set lacks one of the categories, or no object is left.
    """
    present = sorted({ref.category for ref in objects.refs})
    for category in categories:
        if category not in present:
            raise InputError(
                f"there is no category '{category}' in the data set; it has {', '.join(present)}"
            )
    left = Subset(
        objects, lambda ref, _: (not categories or ref.category in categories) and ref.area >= min_area
    )
    if not left.refs:
        largest = max((ref.area for ref in objects.refs), default=0)
        raise InputError(
            f"no object has the categories and the {min_area} pixels asked for; the data set has "
            f"{len(objects.refs)} objects, the largest of {largest} pixels"
        )
    return left


def with_human_clicks(objects: ObjectSet, human: HumanClicks) -> Subset:
    """The objects that people have clicked on."""
    return Subset(objects, lambda ref, _: (ref.image, ref.object_id) in human.points_xy)


def spread_evenly(objects: ObjectSet, most: int) -> Subset:
    """At most so many objects, evenly spread over a data set."""
    count = len(objects.refs)
    chosen = set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist())
    return Subset(objects, lambda _, index: index in chosen)


def _human_iou(segmenter: Segmenter, example: Example, human: HumanClicks | None) -> float | None:
    key = (example.ref.image, example.ref.object_id)
    if human is None or key not in human.points_xy:
        return None
    points = human.points_xy[key]
    height, width = example.mask.shape
    check_points(points, (height, width), f"{human.source}, image '{key[0]}', object {key[1] + 1}")
    prob = _prob(segmenter, example, Prompt(points))
    return mask_iou(prob > segmenter.threshold, example.mask, example.void)
