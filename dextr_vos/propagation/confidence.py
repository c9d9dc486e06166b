"""Confidence in a propagated mask: the IoU with the truth that is to be expected of it.

It is the network's own estimate of the IoU, times the agreement of the forward and the backward pass. How
well it agrees with true IoUs is measured in `benchmark.calibration`.
"""

import numpy as np

from dextr_vos.geometry import FloatArray
from dextr_vos.propagation.keyframes import FramePrediction


def confidence(prediction: FramePrediction) -> list[float]:
    """Confidence in each object's mask: the IoU with the truth that is to be expected, in [0, 1].

    The network's estimate of it, or where it makes none the IoU that the soft mask expects of its own hard
    mask, times the agreement of the two passes with their mean. 0 in a shot without a keyframe.
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
