"""The brush: a stroke with a round tip, in picture coordinates in which pixel i spans [i, i + 1).

The page paints by the same rule while the pointer moves, so both must agree to the pixel.
"""

from collections.abc import Sequence

import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray

_MOST_WORK = 200_000_000  # pixels looked at, over all parts of a stroke; a few seconds


def stroke_mask(path: Sequence[tuple[float, float]], radius: float, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose middles lie within a radius of a path.

    Args:
        path: x, y of the tip's middle, one or more, joined by straight lines; may leave the picture.
        radius: of the tip, in pixels.
        size_hw: of the picture.

    Returns:
        H×W bool.

    Raises:
        InputError: the stroke is too long and wide to be painted at once.
    """
    mask = np.zeros(size_hw, dtype=bool)
    points = np.asarray(path, dtype=np.float64).reshape(-1, 2) - 0.5  # whole numbers are middles of pixels
    starts, ends = np.concatenate([points[:1], points[:-1]]), points
    lows = np.floor(np.minimum(starts, ends) - radius).astype(int).clip(0)
    highs = np.ceil(np.maximum(starts, ends) + radius).astype(int).clip(-1, np.array(size_hw[::-1]) - 1)
    if np.prod((highs - lows + 1).clip(0), axis=1).sum() > _MOST_WORK:
        raise InputError("the stroke is too long and wide to be painted at once; paint it in parts")
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        if (high < low).any():
            continue
        x, y = np.arange(low[0], high[0] + 1) - start[0], np.arange(low[1], high[1] + 1)[:, None] - start[1]
        (dx, dy), length = end - start, float(((end - start) ** 2).sum())
        along = np.clip((x * dx + y * dy) / length, 0, 1) if length else 0.0
        near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius
        mask[low[1] : high[1] + 1, low[0] : high[0] + 1] |= near
    return mask
