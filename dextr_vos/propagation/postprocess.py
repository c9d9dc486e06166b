"""Soft masks to labels, and which connected components of them stay."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.propagation.keyframes import FramePrediction

_IMPROBABLE = 0.6  # mean probability of a component
_FAR = 0.5  # as a share of the root of the largest component's area
_SPECK = 0.02  # of the largest component; less than that is a slip of the brush


def doubtful_components(mask: BoolArray, probs: FloatArray, share: float) -> BoolArray:
    """The connected components of a mask that are small and improbable or far from the largest one, H×W.

    Args:
        mask: H×W, of one object.
        probs: H×W, its soft mask.
        share: components smaller than this share of the largest one are small.
    """
    found: BoolArray = np.zeros(mask.shape, dtype=np.bool_)
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        return found
    window = np.s_[y : y + height, x : x + width]
    _, components, stats, _ = cv2.connectedComponentsWithStats(mask[window].astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    far = _gaps(stats[1:], int(areas.argmax())) > _FAR * areas.max() ** 0.5
    for component in 1 + np.flatnonzero(areas < share * areas.max()):
        left, top, width, height = stats[component, : cv2.CC_STAT_AREA]
        box = np.s_[top : top + height, left : left + width]
        inside = components[box] == component
        if far[component - 1] or probs[window][box][inside].mean() < _IMPROBABLE:
            found[window][box] |= inside
    return found


def _gaps(stats: npt.NDArray[np.int32], largest: int) -> npt.NDArray[np.float64]:
    """The distance between the box of each component and that of the largest one, in pixels."""
    begins = stats[:, [cv2.CC_STAT_LEFT, cv2.CC_STAT_TOP]]
    ends = begins + stats[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]]
    between = np.maximum(begins, begins[largest]) - np.minimum(ends, ends[largest])
    gaps: npt.NDArray[np.float64] = np.hypot(*np.maximum(0, between).T)
    return gaps


def supported_share(masks: Sequence[BoolArray], share: float) -> float:
    """The least share of its largest component that a component must have to stay, given known masks.

    Args:
        masks: of one object in the keyframes, each H×W.
        share: the answer where the keyframes show no smaller component.

    Returns:
        `share`, or half of what the smallest component of a keyframe has.
    """
    return min([share, *(0.5 * each for mask in masks for each in _component_shares(mask))])


def _component_shares(mask: BoolArray) -> list[float]:
    """Every component of a mask as a share of its largest, specks left out."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    if not len(areas):
        return []
    return [float(share) for share in areas / areas.max() if share > _SPECK]


def labels_of(
    prediction: FramePrediction,
    object_ids: Sequence[int],
    min_component_share: Mapping[int, float] | None = None,
) -> Labels:
    """Labels of a frame at full size.

    Args:
        prediction: its soft masks.
        object_ids: one a channel.
        min_component_share: see `RunRecord`; smaller components are removed where they are doubtful.

    Returns:
        H×W uint8.
    """
    return labels_of_probs(full_size(prediction), object_ids, min_component_share)


def full_size(prediction: FramePrediction) -> FloatArray:
    """Soft masks at the size of the frame, K×H×W float32 in [0, 1]."""
    height, width = prediction.image_rgb.shape[:2]
    resized: FloatArray = np.empty((len(prediction.probs), height, width), np.float32)
    for probs, large in zip(prediction.probs, resized, strict=True):
        cv2.resize(probs, (width, height), dst=large, interpolation=cv2.INTER_LINEAR)
    return resized


def labels_of_probs(
    probs: FloatArray, object_ids: Sequence[int], min_component_share: Mapping[int, float] | None = None
) -> Labels:
    """Labels of soft masks K×H×W, see `labels_of`."""
    found = labels_from_probs(probs)
    places = found.copy()
    for place, object_id in enumerate(object_ids):
        share = (min_component_share or {}).get(object_id, 0.0)
        if not share:
            continue
        removed = doubtful_components(found == place + 1, probs[place], share)
        pixels = cv2.findNonZero(removed.view(np.uint8))
        if pixels is not None:
            columns, rows = pixels.reshape(-1, 2).T
            others = probs[:, rows, columns]
            others[place] = 0
            places[rows, columns] = labels_from_probs(others)  # it belongs to the next likely object
    ids = np.zeros(256, np.uint8)
    ids[1 : 1 + len(object_ids)] = object_ids
    labels: Labels = cv2.LUT(places, ids)
    return labels
