"""Evaluation of masks from clicks: objects of a data set and clicks in, scores of each object out.

The protocol of DEXTR (Maninis et al., CVPR 2018): four extreme clicks an object, simulated or a person's, and
where asked for further clicks, one at a time, where the mask is most wrong.
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
from dextr_vos.evaluation.interactive import MAX_CLICKS, NOC_TARGETS, ObjectResult, error_rates, mask_iou
from dextr_vos.evaluation.next_click import next_click
from dextr_vos.geometry import BoolArray, IntArray, extreme_points, sort_extremes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluatedObject:
    """An object with its mask; keep the result alone where memory matters.

    Attributes:
        result: the object's scores.
        example: its image and true mask.
        points_xy: 4×2, the simulated clicks.
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
) -> Iterator[EvaluatedObject]:
    """Evaluate the masks that a segmenter makes of clicks, object by object, each read when its turn comes.

    Args:
        objects: the data set.
        segmenter: makes masks of clicks.
        jitter_px: of the four simulated clicks, see `extreme_points`.
        seed: of the jitter; an object's clicks depend on the seed, its image's name and its id alone.
        human: clicks of people; their IoU is added to each object that has them.
        targets: count the clicks to these IoUs, as `NOC_TARGETS`; none: no further clicks are simulated.
        max_clicks: clicks an object gets at most, the first four among them.

    Yields:
        The objects in their order, without those whose true mask is empty; the log names these.

    Raises:
        InputError: a file of the data set is missing or broken, or human clicks do not fit their image.
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
            image=ref.image,
            object_id=ref.object_id,
            category=ref.category,
            area=int(truth.sum()),
            iou=mask_iou(mask, truth, void),
            error=error,
            error_in_box=error_in_box,
            noc=number_of_clicks(segmenter, example, points, mask, targets, max_clicks),
            human_iou=_human_iou(segmenter, example, human),
        )
        yield EvaluatedObject(result, example, points, mask)


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
    targets: Sequence[float] = NOC_TARGETS,
    max_clicks: int = MAX_CLICKS,
) -> dict[float, int | None]:
    """The number of clicks that first reaches each IoU (NoC); a later loss of IoU does not count.

    Args:
        segmenter: makes masks of clicks.
        example: the object.
        points_xy: N×2, the first clicks.
        mask: H×W bool, the mask from these.
        targets: IoUs in (0, 1].
        max_clicks: clicks in all.

    Returns:
        Per target the number of clicks; None where it was not reached within `max_clicks`, or with every
        pixel of the outline clicked.
    """
    reached: dict[float, int | None] = dict.fromkeys(targets)
    points = points_xy
    while True:
        iou = mask_iou(mask, example.mask, example.void)
        for target in targets:
            if reached[target] is None and iou >= target:
                reached[target] = len(points)
        if None not in reached.values() or len(points) >= max_clicks:
            return reached
        extra = next_click(mask, example.mask, example.void, points)
        if extra is None:
            return reached
        points = np.concatenate([points, [extra]])
        mask = _segmented(segmenter, example, points)


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


def _segmented(segmenter: Segmenter, example: Example, points_xy: IntArray) -> BoolArray:
    (prob,) = segmenter.probabilities(example.image_rgb, [sort_extremes(points_xy)])
    mask: BoolArray = prob > segmenter.threshold
    return mask


def _human_iou(segmenter: Segmenter, example: Example, human: HumanClicks | None) -> float | None:
    key = (example.ref.image, example.ref.object_id)
    if human is None or key not in human.points_xy:
        return None
    points = human.points_xy[key]
    height, width = example.mask.shape
    check_points(points, (height, width), f"{human.source}, image '{key[0]}', object {key[1] + 1}")
    return mask_iou(_segmented(segmenter, example, points), example.mask, example.void)
