"""Region similarity J, boundary accuracy F, and their statistics over the frames of a clip.

Definitions of Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation" (CVPR 2016), as the official DAVIS 2017 evaluation computes them.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray

Values = npt.NDArray[np.float64]

# The boundary tolerance as a share of the image's diagonal.
TOLERANCE = 0.008
# A frame counts for the recall when its value is above this.
RECALL_THRESHOLD = 0.5
_QUARTERS = 4
_FOUR = np.ones((2, 2), dtype=np.uint8)


@dataclass(frozen=True)
class Statistics:
    """One measure over one clip, or averaged over many.

    Attributes:
        mean: mean over frames, in [0, 1].
        recall: share of frames above 0.5.
        decay: mean of the first quarter minus mean of the last; negative when the result gets better.
    """

    mean: float
    recall: float
    decay: float


def region_similarity(truth: BoolArray, mask: BoolArray) -> float:
    """J of one frame: intersection over union.

    Args:
        truth: H×W bool.
        mask: H×W bool.

    Returns:
        A value in [0, 1]; 1 when both are empty.

    Raises:
        ValueError: the sizes differ.
    """
    window = joint_window(truth, mask)
    return _region(truth[window], mask[window])


def boundary_accuracy(truth: BoolArray, mask: BoolArray) -> float:
    """F of one frame: how well the boundaries match within 0.8 % of the image's diagonal.

    Args:
        truth: H×W bool.
        mask: H×W bool.

    Returns:
        The F-measure of boundary precision and recall, in [0, 1]; 1 when neither has a boundary (a mask
        that fills the image has none), 0 when only one has.

    Raises:
        ValueError: the sizes differ.
    """
    window = joint_window(truth, mask)
    return _boundary(truth[window], mask[window], tolerance_px((truth.shape[0], truth.shape[1])))


def region_and_boundary(truth: BoolArray, mask: BoolArray, radius: int) -> tuple[float, float]:
    """J and F of one frame at once.

    Args:
        truth: H×W bool, the image or its `joint_window`.
        mask: H×W bool.
        radius: the boundary tolerance of the whole image, see `tolerance_px`.
    """
    return _region(truth, mask), _boundary(truth, mask, radius)


def tolerance_px(size_hw: tuple[int, int]) -> int:
    """How far boundaries may be apart, in pixels, in an image of that size."""
    return math.ceil(TOLERANCE * math.sqrt(size_hw[0] ** 2 + size_hw[1] ** 2))


def joint_window(
    truth: BoolArray | npt.NDArray[np.uint8], mask: BoolArray | npt.NDArray[np.uint8]
) -> tuple[slice, slice]:
    """Rows and columns of the box that holds both masks, with one pixel around where the image has one.

    Cut to it, neither J nor F changes: outside there is no foreground and no boundary, and the zero row or
    column kept on each side stands for all the zeros beyond it.

    Args:
        truth: H×W bool or uint8; non-zero pixels count.
        mask: likewise.

    Raises:
        ValueError: the sizes differ.
    """
    if truth.shape != mask.shape:
        raise ValueError(f"masks of one size expected, got {truth.shape} and {mask.shape}")
    x, y, width, height = cv2.boundingRect((truth | mask).view(np.uint8))
    return slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)


def boundary(mask: BoolArray) -> BoolArray:
    """Boundary of a mask by the one-pixel rule of the Berkeley segmentation benchmark.

    A pixel is boundary when it differs from its east, south or south-east neighbour; outside the image
    the last row and column are repeated. So the last row looks only east, the last column only south, and the
    last pixel never counts.

    Args:
        mask: H×W bool.

    Returns:
        H×W bool.
    """
    # largest minus smallest of the pixel and these three neighbours
    edge: npt.NDArray[np.uint8] = cv2.morphologyEx(
        np.ascontiguousarray(mask).view(np.uint8),
        cv2.MORPH_GRADIENT,
        _FOUR,
        anchor=(0, 0),
        borderType=cv2.BORDER_REPLICATE,
    )
    return edge.view(np.bool_)


def statistics(values: npt.ArrayLike) -> Statistics:
    """Mean, recall and decay of the values of one clip, in the order of its frames.

    The quarters share their end frames, as in the official code; unlike there, the edges are not cast to
    8 bits, so clips of more than 256 frames come out right. A NaN is left out of mean and decay, and counts
    as not above the threshold for the recall, as in the official code.

    Args:
        values: one value a frame, at least one.

    Raises:
        ValueError: there is no value.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or len(series) == 0:
        raise ValueError(f"expected a list of at least one value, got shape {series.shape}")
    edges = np.round(np.linspace(1, len(series), _QUARTERS + 1) + 1e-10).astype(np.int64) - 1
    first, last = series[: edges[1] + 1], series[edges[-2] :]
    return Statistics(
        mean=_mean_of_numbers(series),
        recall=float((series > RECALL_THRESHOLD).mean()),
        decay=_mean_of_numbers(first) - _mean_of_numbers(last),
    )


def average(parts: Iterable[Statistics]) -> Statistics:
    """The mean of each figure over clips or objects.

    Raises:
        ValueError: there is nothing to average.
    """
    rows = [(part.mean, part.recall, part.decay) for part in parts]
    if not rows:
        raise ValueError("expected something to average, got nothing")
    mean, recall, decay = np.mean(rows, axis=0).tolist()
    return Statistics(mean, recall, decay)


def _mean_of_numbers(series: Values) -> float:
    numbers = series[~np.isnan(series)]
    return float(numbers.mean()) if len(numbers) else math.nan


def _region(truth: BoolArray, mask: BoolArray) -> float:
    union = np.count_nonzero(truth | mask)
    return 1.0 if union == 0 else np.count_nonzero(truth & mask) / union


def _boundary(truth: BoolArray, mask: BoolArray, radius: int) -> float:
    truth_edge, mask_edge = (_framed(boundary(each), radius) for each in (truth, mask))
    in_truth, in_mask = np.flatnonzero(truth_edge), np.flatnonzero(mask_edge)
    if len(in_truth) == 0 or len(in_mask) == 0:
        return float(len(in_truth) == len(in_mask))
    precision = _near(in_mask, truth_edge, radius) / len(in_mask)
    recall = _near(in_truth, mask_edge, radius) / len(in_truth)
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def _framed(edge: BoolArray, width: int) -> BoolArray:
    """An edge map with so many empty pixels around, so that no disk leaves it."""
    framed: npt.NDArray[np.uint8] = cv2.copyMakeBorder(
        edge.view(np.uint8), width, width, width, width, cv2.BORDER_CONSTANT
    )
    return framed.view(np.bool_)


def _near(places: npt.NDArray[np.intp], edge: BoolArray, radius: int) -> int:
    """How many pixels have an edge pixel within a disk about them.

    The disk, all integer offsets with dx² + dy² ≤ r², is the union of a few boxes, and whether a box is empty
    can be read off sums of the map. That looks at the pixels in question alone; a dilation with a disk, which
    gives the same, looks at all.

    Args:
        places: of the pixels, as indices into the flattened map.
        edge: H×W bool, empty within `radius` pixels of its border.
        radius: of the disk.
    """
    sums = cv2.integral(edge.view(np.uint8)).ravel()  # with one more row and column in front
    places = places + places // edge.shape[1]
    row = edge.shape[1] + 1
    near = 0
    for half_w, half_h in _boxes(radius):
        above, below = places - half_h * row, places + (half_h + 1) * row
        inside = sums[below + half_w + 1] - sums[below - half_w] - sums[above + half_w + 1]
        empty = inside + sums[above - half_w] == 0
        places = places[empty]
        near += len(empty) - len(places)
        if len(places) == 0:
            break
    return near


@lru_cache(maxsize=8)
def _boxes(radius: int) -> tuple[tuple[int, int], ...]:
    """Half widths and half heights of boxes whose union is a disk, the largest box first."""
    widest: dict[int, int] = {}
    for half_h in range(radius + 1):
        widest[math.isqrt(radius**2 - half_h**2)] = half_h  # the highest of each width comes last
    return tuple(sorted(widest.items(), key=lambda box: -(2 * box[0] + 1) * (2 * box[1] + 1)))
