"""Confidence in a propagated mask: the IoU with the truth that is to be expected of it.

It is the network's own estimate of the IoU, times the agreement of the forward and the backward pass, times
the share of the mask that the object's motion explains. How well it agrees with true IoUs is measured in
`benchmark.calibration`.
"""

import numpy as np
import torch
from torch import Tensor

from dextr_vos.geometry import FloatArray
from dextr_vos.propagation.crops import pixel_counts
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


def soft_iou(one: Tensor, other: Tensor) -> Tensor:
    """Soft intersection over union of each of K soft masks; 1 where both are empty.

    Args:
        one: K×H×W in [0, 1].
        other: likewise.
    """
    both, either = torch.minimum(one, other).sum((1, 2)), torch.maximum(one, other).sum((1, 2))
    return torch.where(either < 1, 1.0, both / either.clamp(min=1))


def possible_areas(areas: Tensor, before: Tensor, guides: Tensor, probs: Tensor) -> Tensor:
    """How large the objects of a frame can be, by how their masks change from frame to frame.

    Optical flow that carries a mask to the next frame makes it larger where the object comes nearer. A mask
    that grows faster has most often taken in something beside the object that looks like it, of which the
    network is as sure as of the object. It may also have come out from behind something: the two are not
    told apart, and a pass that began with half of an object never learns how large the object is.
    An object that was not seen just before, such as a lost one, may have any size.

    Args:
        areas: K float32 in pixels, the same of the frame before; in a keyframe the areas of its masks.
        before: K×H×W in [0, 1], the soft masks of the frame before.
        guides: likewise, carried to this frame by optical flow; 0.5 where an object is lost.
        probs: likewise, of this frame.

    Returns:
        K float32, in pixels.
    """
    was, carried, now = mask_areas(before), mask_areas(guides), mask_areas(probs)
    change = (carried / was.clamp(min=1)).clamp(_LEAST_CHANGE, _MOST_CHANGE)
    # flow is noisy: ups and downs must not add up to more than there is
    changed = torch.minimum(change * areas, torch.maximum(areas, carried))
    came_in = torch.maximum(changed, torch.minimum(now, changed + _new_at_border(guides, probs)))
    seen = torch.minimum(was, carried) >= _LEAST_AREA
    return torch.where(seen, came_in, torch.maximum(areas, now))


def explained_share(areas: Tensor, probs: Tensor) -> Tensor:
    """The share of each of K soft masks that is to be expected of the object, in [0.5, 1].

    What a mask has grown too much is taken to be something else as likely as more of the object.

    Args:
        areas: K, see `possible_areas`.
        probs: K×H×W in [0, 1].
    """
    now = mask_areas(probs)
    possible = torch.where(now > 0, (_TOLERANCE * areas / now.clamp(min=1)).clamp(max=1), 1.0)
    return (1 + possible) / 2


def mask_areas(probs: Tensor) -> Tensor:
    """The areas of K soft masks K×H×W in pixels, float32."""
    return pixel_counts(probs > 0.5).float()


def _new_at_border(guides: Tensor, probs: Tensor) -> Tensor:
    """The area of each mask that is not in its guide and near the border of the frame, in pixels."""
    new = (probs > 0.5) & (guides <= 0.5)
    near = max(1, round(_NEAR_BORDER * min(probs.shape[1:])))
    new[:, near:-near, near:-near] = False
    return pixel_counts(new).float()


def expected_iou(probs: FloatArray) -> FloatArray:
    """The IoU with the truth that each soft mask expects of its own hard mask; 1 where it is empty.

    Args:
        probs: K×H×W in [0, 1].
    """
    hard = probs > 0.5
    both, either = np.where(hard, probs, 0).sum((1, 2)), np.maximum(probs, hard).sum((1, 2))
    ratio: FloatArray = np.where(either < 1, 1, both / np.maximum(either, 1)).astype(np.float32)
    return ratio
