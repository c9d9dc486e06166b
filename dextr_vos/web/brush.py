"""The brush: a stroke with a round tip, in picture coordinates in which pixel i spans [i, i + 1)."""

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from dextr_vos.geometry import BoolArray

_BITS = 4  # of a pixel's fractions


def stroke_mask(path: Sequence[tuple[float, float]], radius: float, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels under a stroke.

    Args:
        path: x, y of the tip's middle, one or more; may leave the picture.
        radius: of the tip, in pixels.
        size_hw: of the picture.

    Returns:
        H×W bool.
    """
    canvas = np.zeros(size_hw, dtype=np.uint8)
    points = np.asarray(path, dtype=np.float64).reshape(-1, 2)
    scale = 1 << _BITS
    fixed = np.rint((points - 0.5) * scale).astype(int)  # for OpenCV, whole numbers are middles of pixels
    tip = max(0, round((radius - 0.5) * scale))  # it fills the pixels on its edge, too
    for x, y in fixed.tolist():
        cv2.circle(canvas, (x, y), tip, 1, -1, cv2.LINE_8, _BITS)
    for start, end in pairwise(points):
        along = end - start
        length = float(np.hypot(*along))
        if length == 0:
            continue
        across = np.array([-along[1], along[0]]) / length * tip / scale
        corners = np.stack([start + across, end + across, end - across, start - across])
        quad = np.rint((corners - 0.5) * scale).astype(np.int32)
        cv2.fillConvexPoly(canvas, quad, 1, cv2.LINE_8, _BITS)
    for x, y in np.floor(points).astype(int).tolist():
        if 0 <= x < size_hw[1] and 0 <= y < size_hw[0]:
            canvas[y, x] = 1
    mask: BoolArray = canvas.astype(bool)
    return mask
