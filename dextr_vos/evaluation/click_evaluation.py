"""Masks from clicks on a data set: objects and clicks, simulated or a person's, in; figures of each out.

The protocol of DEXTR (Maninis et al., CVPR 2018): four extreme clicks an object, then, where asked for, one
more at a time where the mask is most wrong.
"""

import logging
import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from dextr_vos.annotation.clicks import check_points
from dextr_vos.annotation.human_clicks import HumanClicks
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.datasets.instances import Example, ObjectSet, Subset
from dextr_vos.errors import InputError
from dextr_vos.evaluation.interactive import CLICK_TARGETS, CLICKS_LIMIT, ObjectResult, error_rates, mask_iou
from dextr_vos.evaluation.next_click import next_click
from dextr_vos.geometry import BoolArray, IntArray, extreme_points, sort_extremes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """An object with its mask: to be looked at and let go, so that memory stays bounded.

    Attributes:
        result: its figures.
        example: its picture and true mask.
        points_xy: 4×2, the simulated clicks.
        mask: H×W bool, from these clicks.
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
    clicks_limit: int = CLICKS_LIMIT,
) -> Iterator[Judged]:
    """Judge the masks an engine makes of clicks, object by object; each is read when it is asked for.

    Args:
        objects: the data set.
        segmenter: the engine.
        jitter_px: of the four simulated clicks, see `extreme_points`.
        seed: of the jitter; an object's clicks depend on the seed, its picture's name and its number alone.
        human: adds, to each object that has human clicks, the IoU from these.
        targets: count the clicks to these IoUs, as `CLICK_TARGETS`; none: extra clicks are not simulated.
        clicks_limit: clicks an object gets at most, the first four among them.

    Yields:
        The objects in their order, without those whose true mask is empty; the log names these.

    Raises:
        InputError: a file of the data set is missing or broken, or human clicks do not fit their picture.
    """
    for index in range(len(objects.refs)):
        example = objects.read(index)
        ref, truth, void = example.ref, example.mask, example.void
        if not truth.any():
            # polygons of COCO may enclose no pixel
            log.warning("object %d of %s has no pixels and is left out", ref.object_id + 1, ref.image)
            continue
        points = simulated_points(example, jitter_px, seed)
        mask = _segmented(segmenter, example, points)
        error, error_in_box = error_rates(mask, truth, void)
        result = ObjectResult(
            picture=ref.image,
            number=ref.object_id,
            category=ref.category,
            area=int(truth.sum()),
            iou=mask_iou(mask, truth, void),
            error=error,
            error_in_box=error_in_box,
            clicks_to=number_of_clicks(segmenter, example, points, mask, targets, clicks_limit),
            human_iou=_human_iou(segmenter, example, human),
        )
        yield Judged(result, example, points, mask)


def simulated_points(example: Example, jitter_px: int, seed: int) -> IntArray:
    """The four clicks on an object, 4×2: left, right, top, bottom."""
    name = zlib.crc32(example.ref.image.encode())
    rng = np.random.default_rng((seed, name, example.ref.object_id))
    return extreme_points(example.mask, jitter_px, rng)


def number_of_clicks(
    segmenter: Segmenter,
    example: Example,
    points_xy: IntArray,
    mask: BoolArray,
    targets: Sequence[float] = CLICK_TARGETS,
    clicks_limit: int = CLICKS_LIMIT,
) -> dict[float, int | None]:
    """How many clicks it takes to reach each IoU; the first that reaches it counts, whatever follows.

    Args:
        segmenter: the engine.
        example: the object.
        points_xy: N×2, the first clicks.
        mask: H×W bool, the mask from these.
        targets: in (0, 1].
        clicks_limit: clicks in all.

    Returns:
        Per target the number of clicks; None where the limit, or the last free pixel of the outline, came
        first.
    """
    reached: dict[float, int | None] = dict.fromkeys(targets)
    points = points_xy
    while True:
        iou = mask_iou(mask, example.mask, example.void)
        for target in targets:
            if reached[target] is None and iou >= target:
                reached[target] = len(points)
        if None not in reached.values() or len(points) >= clicks_limit:
            return reached
        extra = next_click(mask, example.mask, example.void, points)
        if extra is None:
            return reached
        points = np.concatenate([points, [extra]])
        mask = _segmented(segmenter, example, points)


def narrowed(objects: ObjectSet, categories: Collection[str] = (), min_area: int = 0) -> Subset:
    """The objects of some categories and of a least size.

    Args:
        objects: the data set.
        categories: those to keep; all when there are none.
        min_area: pixels an object has at least.

    Raises:
        InputError: the set lacks one of the categories, or no object is left.
    """
    there = sorted({ref.category for ref in objects.refs})
    for category in categories:
        if category not in there:
            raise InputError(f"there is no category '{category}' in the data set; it has {', '.join(there)}")
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


def spread(objects: ObjectSet, most: int) -> Subset:
    """At most so many objects, evenly spread over a set."""
    count = len(objects.refs)
    chosen = set(np.linspace(0, count - 1, min(most, count)).round().astype(int).tolist())
    return Subset(objects, lambda _, index: index in chosen)


def _segmented(segmenter: Segmenter, example: Example, points_xy: IntArray) -> BoolArray:
    (prob,) = segmenter.segment(example.image_rgb, [sort_extremes(points_xy)])
    mask: BoolArray = prob > segmenter.threshold
    return mask


def _human_iou(segmenter: Segmenter, example: Example, human: HumanClicks | None) -> float | None:
    key = (example.ref.image, example.ref.object_id)
    if human is None or key not in human.points_xy:
        return None
    points = human.points_xy[key]
    height, width = example.mask.shape
    check_points(points, (height, width), f"{human.source}, picture '{key[0]}', object {key[1] + 1}")
    return mask_iou(_segmented(segmenter, example, points), example.mask, example.void)
