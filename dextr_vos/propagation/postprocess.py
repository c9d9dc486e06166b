"""Dropping islands: small parts of a mask, away from the rest of the object."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.propagation.bidirectional import FramePrediction, expected_overlap

_SPECK = 0.02  # of the largest part; less than that is a slip of the brush


def islands(mask: BoolArray, share: float) -> BoolArray:
    """The connected parts of a mask, H×W, that are smaller than a share of the largest one."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA]
    small = areas < share * areas[1:].max(initial=0)
    small[0] = False
    dropped: BoolArray = small[parts]
    return dropped


def supported_share(masks: Sequence[BoolArray], share: float) -> float:
    """The share of its largest part that a part must have to stay, given masks that are known.

    Args:
        masks: of one object in the keyframes, each H×W.
        share: where the keyframes show no smaller part.

    Returns:
        `share`, or what the smallest part of a keyframe has, with room for it to shrink to half.
    """
    return min([share, *(0.5 * part for mask in masks for part in _parts(mask))])


def _parts(mask: BoolArray) -> list[float]:
    """Every part of a mask as a share of its largest, specks left out."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return []
    return [float(share) for share in areas / areas.max() if share > _SPECK]


def finished_labels(
    followed: FramePrediction, numbers: Sequence[int], smallest_part: Mapping[int, float] | None = None
) -> Labels:
    """Labels of a frame at full size.

    Args:
        followed: its soft masks.
        numbers: of the objects.
        smallest_part: see `RunRecord`; smaller parts are dropped.

    Returns:
        H×W uint8.
    """
    height, width = followed.image_rgb.shape[:2]
    probs = np.stack(
        [cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in followed.probs]
    )
    places = labels_from_probs(probs)
    for place, number in enumerate(numbers):
        dropped = islands(places == place + 1, (smallest_part or {}).get(number, 0.0))
        probs[place][dropped] = 0
    # what was dropped is the next likely object's
    labels: Labels = np.array([0, *numbers], dtype=np.uint8)[labels_from_probs(probs)]
    return labels


def confidence(followed: FramePrediction) -> list[float]:
    """How far each object's mask can be trusted, in [0, 1].

    It is the overlap that the soft mask expects of its own hard mask, times how far the passes from both
    sides agree.
    """
    sure = expected_overlap(followed.probs) * followed.agreement
    return [round(float(value), 4) for value in sure]
