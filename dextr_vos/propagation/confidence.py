"""Confidence in a propagated mask: the IoU with the truth that is to be expected of it.

It is the network's own estimate of the IoU, times the agreement of the forward and the backward pass, times
the share of the mask that the object's motion explains. How well it agrees with true IoUs is measured in
`benchmark.calibration`.
"""

import numpy as np

from dextr_vos.geometry import FloatArray
from dextr_vos.propagation.keyframes import FramePrediction

_LEAST_AREA = 20  # pixels; smaller masks say nothing about how an object's size changes
_LEAST_CHANGE, _MOST_CHANGE = 0.99, 1.3  # of an area from one frame to the next, as far as explained
_TOLERANCE = 1.25
_NEAR_BORDER = 0.05  # of the shorter side of the frame; what is new there is taken to have come in


def confidence(prediction: FramePrediction) -> list[float]:
    """Confidence in each object's mask: the IoU with the truth that is to be expected, in [0, 1].

    The network's estimate of it, or where it makes none the IoU that the soft mask expects of its own hard
    mask, times the agreement, see `FramePrediction`. 0 in a shot without a keyframe.
    """
    estimate = expected_iou(prediction.probs) if prediction.iou_estimate is None else prediction.iou_estimate
    values = estimate * prediction.agreement
    return [round(float(value), 4) for value in values]


def soft_iou(one: FloatArray, other: FloatArray) -> FloatArray:
    """Soft intersection over union of each of K soft masks; 1 where both are empty.

    Args:
        one: K×H×W in [0, 1].
        other: likewise.
    """
    return _ratio(*(extreme(one, other).sum((1, 2)) for extreme in (np.minimum, np.maximum)))


class ExplainedAreas:
    """How large the objects of a pass can be, by how their masks change from frame to frame.

    Optical flow that carries a mask to the next frame makes it larger where the object comes nearer. A mask
    that grows faster has most often taken in something beside the object that looks like it, of which the
    network is as sure as of the object. It may also have come out from behind something: the two are not
    told apart, and a pass that began with half of an object never learns how large the object is.

    Args:
        probs: K×H×W in [0, 1], soft masks of the first frame.
    """

    def __init__(self, probs: FloatArray) -> None:
        self._areas = _areas(probs).astype(np.float64)

    def explained(self, before: FloatArray, guides: FloatArray, probs: FloatArray) -> FloatArray:
        """What share of each mask of the next frame can be the object, K in [0, 1].

        An object that was not seen just before, such as a lost one, may have any size.

        Args:
            before: K×H×W in [0, 1], the soft masks of the frame before.
            guides: likewise, carried to the next frame by optical flow; 0.5 where an object is lost.
            probs: likewise, of the next frame.
        """
        was, carried, now = _areas(before), _areas(guides), _areas(probs)
        change = np.clip(carried / np.maximum(was, 1), _LEAST_CHANGE, _MOST_CHANGE)
        # flow is noisy: ups and downs must not add up to more than there is
        areas = np.minimum(change * self._areas, np.maximum(self._areas, carried))
        came_in = np.maximum(areas, np.minimum(now, areas + _new_at_border(guides, probs)))
        seen = np.minimum(was, carried) >= _LEAST_AREA
        self._areas = np.where(seen, came_in, np.maximum(self._areas, now))
        share: FloatArray = np.minimum(1, _TOLERANCE * self._areas / np.maximum(now, 1)).astype(np.float32)
        return share


def _areas(probs: FloatArray) -> FloatArray:
    areas: FloatArray = (probs > 0.5).sum((1, 2)).astype(np.float32)
    return areas


def _new_at_border(guides: FloatArray, probs: FloatArray) -> FloatArray:
    """The area of each mask that is not in its guide and near the border of the frame, in pixels."""
    new = (probs > 0.5) & (guides <= 0.5)
    near = max(1, round(_NEAR_BORDER * min(probs.shape[1:])))
    new[:, near:-near, near:-near] = False
    area: FloatArray = new.sum((1, 2)).astype(np.float32)
    return area


def expected_iou(probs: FloatArray) -> FloatArray:
    """The IoU with the truth that each soft mask expects of its own hard mask; 1 where it is empty.

    Args:
        probs: K×H×W in [0, 1].
    """
    hard = probs > 0.5
    both, either = np.where(hard, probs, 0).sum((1, 2)), np.maximum(probs, hard).sum((1, 2))
    return _ratio(both, either)


def _ratio(both: FloatArray, either: FloatArray) -> FloatArray:
    ratio: FloatArray = np.where(either < 1, 1, both / np.maximum(either, 1)).astype(np.float32)
    return ratio
