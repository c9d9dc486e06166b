"""Simulated further clicks: the next click lies on the object's outline, where the mask is most wrong.

DEXTR's further clicks (Maninis et al., CVPR 2018, the fifth click) are boundary points like the first four,
in the same heat map: there are no negative clicks. So missing and surplus regions are both answered by
a point of the true outline.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from dextr_vos.geometry import BoolArray

# A point of the outline belongs to a region that it touches, corners included.
_DIAGONAL = 2**0.5


def next_click(
    mask: BoolArray, truth: BoolArray, void: BoolArray, clicked_xy: npt.ArrayLike
) -> tuple[int, int] | None:
    """The next click on an object.

    The largest connected region (8 neighbours) of missing or of surplus pixels is answered by a point of the
    true outline that touches it, or where none does (a hole in the mask, a blob apart, void between), by one
    of those nearest to it. Of these, the point that is deepest in the error and away from the clicks: the one
    whose smaller distance is greatest, of the distance to the next pixel the mask labels otherwise (in a
    missing region to the mask, in a surplus region to where the mask ends) and that to the nearest click.

    Args:
        mask: H×W bool, predicted.
        truth: H×W bool, not empty.
        void: H×W bool, pixels where nothing is wrong.
        clicked_xy: N×2 points that were clicked, N ≥ 1; none of them is returned.

    Returns:
        (x, y) on `outline(truth)`, the same for the same input; None when nothing is wrong or every pixel of
        the outline was clicked.

    Raises:
        ValueError: the true mask is empty.
    """
    if not truth.any():
        raise ValueError("an empty mask has no outline to click on")
    x, y, width, height = cv2.boundingRect((truth | mask).view(np.uint8))
    # one pixel around, where the image has one: there the mask ends
    rows, columns = slice(max(y - 1, 0), y + height + 1), slice(max(x - 1, 0), x + width + 1)
    mask, truth, void = (part[rows, columns] for part in (mask, truth, void))
    clicked = np.asarray(clicked_xy, dtype=np.int64) - (columns.start, rows.start)
    free = _without(outline(truth), clicked)
    missing, surplus = _largest(truth & ~mask & ~void), _largest(mask & ~truth & ~void)
    is_missing = missing.sum() >= surplus.sum()
    region = missing if is_missing else surplus
    if not region.any() or not free.any():
        return None
    away = _distance_to(region)
    candidates = free & (away <= away[free].min() + _DIAGONAL)
    depth = _distance_to(mask if is_missing else ~mask)
    ys, xs = np.nonzero(candidates)
    from_clicks = np.hypot(xs[:, None] - clicked[:, 0], ys[:, None] - clicked[:, 1]).min(axis=1)
    best = int(np.argmax(np.minimum(depth[ys, xs], from_clicks)))
    return int(xs[best]) + columns.start, int(ys[best]) + rows.start


def outline(mask: BoolArray) -> BoolArray:
    """Pixels of a mask with one of their four neighbours outside it or outside the image, H×W bool."""
    padded = np.pad(mask, 1)
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    edge: BoolArray = mask & ~inside
    return edge


def _without(edge: BoolArray, clicked: npt.NDArray[np.int64]) -> BoolArray:
    free = edge.copy()
    within = ((clicked >= 0) & (clicked < edge.shape[::-1])).all(axis=1)
    free[clicked[within, 1], clicked[within, 0]] = False
    return free


def _largest(wrong: BoolArray) -> BoolArray:
    """The largest connected region, of equal ones that with the topmost, then leftmost first pixel."""
    count, parts = cv2.connectedComponents(wrong.view(np.uint8), connectivity=8)
    if count == 1:
        return np.zeros_like(wrong)
    sizes = np.bincount(parts.ravel(), minlength=count)
    sizes[0] = 0
    equal = np.nonzero(sizes == sizes.max())[0]
    # OpenCV may number the regions in any order, their first pixels are fixed
    first = parts.ravel()[np.isin(parts.ravel(), equal).argmax()]
    region: BoolArray = parts == first
    return region


def _distance_to(region: BoolArray) -> npt.NDArray[np.float64]:
    """Distance of every pixel to a region, in pixels; infinite when the region is empty."""
    if not region.any():
        return np.full(region.shape, np.inf)
    # OpenCV's is faster, but its last bit depends on where the arrays lie in memory
    return np.asarray(ndimage.distance_transform_edt(~region), dtype=np.float64)
