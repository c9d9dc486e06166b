"""Region similarity J, boundary accuracy F, and what a clip's values come to.

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

# The boundary tolerance as a share of the picture's diagonal.
TOLERANCE = 0.008
# A frame counts for the recall when its value is above this.
RECALL_THRESHOLD = 0.5
_QUARTERS = 4


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
    truth, mask = _joint_window(truth, mask)
    union = np.count_nonzero(truth | mask)
    return 1.0 if union == 0 else np.count_nonzero(truth & mask) / union


def boundary_accuracy(truth: BoolArray, mask: BoolArray) -> float:
    """F of one frame: how well the boundaries match within 0.8 % of the picture's diagonal.

    Args:
        truth: H×W bool.
        mask: H×W bool.

    Returns:
        The F-measure of boundary precision and recall, in [0, 1]; 1 when neither has a boundary (a mask
        that fills the picture has none), 0 when only one has.

    Raises:
        ValueError: the sizes differ.
    """
    radius = math.ceil(TOLERANCE * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    truth, mask = _joint_window(truth, mask)
    truth_edge, mask_edge = boundary(truth), boundary(mask)
    in_truth, in_mask = np.count_nonzero(truth_edge), np.count_nonzero(mask_edge)
    if in_truth == 0 or in_mask == 0:
        return float(in_truth == in_mask)
    precision = np.count_nonzero(mask_edge & _grown(truth_edge, radius)) / in_mask
    recall = np.count_nonzero(truth_edge & _grown(mask_edge, radius)) / in_truth
    if precision + recall == 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def boundary(mask: BoolArray) -> BoolArray:
    """Boundary of a mask by the one-pixel rule of the Berkeley segmentation benchmark.

    A pixel is boundary when it differs from its east, south or south-east neighbour; outside the picture
    the last row and column go on. So the last row looks only east, the last column only south, and the
    last pixel never counts.

    Args:
        mask: H×W bool.

    Returns:
        H×W bool.
    """
    wider = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    edge: BoolArray = (mask != wider[:-1, 1:]) | (mask != wider[1:, :-1]) | (mask != wider[1:, 1:])
    return edge


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
        raise ValueError("there is nothing to average")
    mean, recall, decay = np.mean(rows, axis=0).tolist()
    return Statistics(mean, recall, decay)


def _mean_of_numbers(series: Values) -> float:
    numbers = series[~np.isnan(series)]
    return float(numbers.mean()) if len(numbers) else math.nan


def _joint_window(truth: BoolArray, mask: BoolArray) -> tuple[BoolArray, BoolArray]:
    """Both masks cut to the box that holds both, with one pixel around where the picture has one.

    Neither J nor F changes: outside there is no foreground and no boundary, and the zero row or column kept
    on each side stands for all the zeros beyond it.
    """
    if truth.shape != mask.shape:
        raise ValueError(f"masks of one size expected, got {truth.shape} and {mask.shape}")
    x, y, width, height = cv2.boundingRect((truth | mask).view(np.uint8))
    rows = slice(max(y - 1, 0), y + height + 1)
    columns = slice(max(x - 1, 0), x + width + 1)
    return truth[rows, columns], mask[rows, columns]


def _grown(edge: BoolArray, radius: int) -> BoolArray:
    """An edge map dilated with a disk; nothing comes in from outside the picture."""
    grown: BoolArray = cv2.dilate(edge.view(np.uint8), _disk(radius)).view(np.bool_)
    return grown


@lru_cache(maxsize=8)
def _disk(radius: int) -> npt.NDArray[np.uint8]:
    """All integer offsets with dx² + dy² ≤ r², as a (2r+1)×(2r+1) array of 0 and 1."""
    offsets = np.arange(-radius, radius + 1)
    disk: npt.NDArray[np.uint8] = (offsets[:, None] ** 2 + offsets**2 <= radius**2).astype(np.uint8)
    return disk
