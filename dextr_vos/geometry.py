"""Coordinates: boxes, crops, paste-back and extreme points.

Every change of coordinates in the package happens here. Points are integer pixels (x, y); boxes are
`(x0, y0, x1, y1)` with both ends inclusive, as in DEXTR (Maninis et al., CVPR 2018).
"""

import math
from itertools import product
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Box = tuple[int, int, int, int]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

Scalar = TypeVar("Scalar", bound=np.generic)

SIDES = ("left", "right", "top", "bottom")


def box_around(points_xy: npt.ArrayLike, relax: int = 0) -> Box:
    """Smallest box that holds all points, grown by `relax` pixels a side and not clipped.

    Args:
        points_xy: N×2 integers, N ≥ 1.
        relax: pixels added on every side.

    Returns:
        Inclusive box `(x0, y0, x1, y1)`; it may reach outside the image.
    """
    points = np.asarray(points_xy, dtype=np.int64)
    x0, y0 = points.min(axis=0)
    x1, y1 = points.max(axis=0)
    return int(x0) - relax, int(y0) - relax, int(x1) + relax, int(y1) + relax


def box_size_hw(box_xyxy: Box) -> tuple[int, int]:
    """Height and width of an inclusive box in pixels."""
    x0, y0, x1, y1 = box_xyxy
    return y1 - y0 + 1, x1 - x0 + 1


def clip_box(box_xyxy: Box, size_hw: tuple[int, int]) -> Box:
    """The part of a box inside an image of `size_hw`; x1 < x0 or y1 < y0 when there is none."""
    x0, y0, x1, y1 = box_xyxy
    return max(x0, 0), max(y0, 0), min(x1, size_hw[1] - 1), min(y1, size_hw[0] - 1)


def pixel_under(place_xy: tuple[float, float], size_hw: tuple[int, int]) -> tuple[int, int]:
    """The pixel (x, y) at a place, where pixel 0 covers 0 to 1; what is outside belongs to the border."""
    x, y = math.floor(place_xy[0]), math.floor(place_xy[1])
    return min(max(x, 0), size_hw[1] - 1), min(max(y, 0), size_hw[0] - 1)


def touched_box(corners: tuple[float, float, float, float], size_hw: tuple[int, int]) -> Box:
    """The pixels inside the image that a rectangle x0, y0, x1, y1 of places touches; one pixel at least."""
    x0, y0 = pixel_under((corners[0], corners[1]), size_hw)
    x1, y1 = math.ceil(corners[2]) - 1, math.ceil(corners[3]) - 1
    return x0, y0, min(max(x1, x0), size_hw[1] - 1), min(max(y1, y0), size_hw[0] - 1)


def crop(image: npt.NDArray[Scalar], box_xyxy: Box) -> npt.NDArray[Scalar]:
    """Cut a box out of an image, zero where the box extends beyond it.

    Args:
        image: H×W or H×W×C.
        box_xyxy: inclusive box, may lie partly or wholly outside.

    Returns:
        Array of the box's size, with the image's dtype and channels.
    """
    x0, y0, _, _ = box_xyxy
    cropped = np.zeros((*box_size_hw(box_xyxy), *image.shape[2:]), dtype=image.dtype)
    vx0, vy0, vx1, vy1 = clip_box(box_xyxy, (image.shape[0], image.shape[1]))
    if vx1 >= vx0 and vy1 >= vy0:
        cropped[vy0 - y0 : vy1 - y0 + 1, vx0 - x0 : vx1 - x0 + 1] = image[vy0 : vy1 + 1, vx0 : vx1 + 1]
    return cropped


def paste(patch: npt.NDArray[Scalar], box_xyxy: Box, size_hw: tuple[int, int]) -> npt.NDArray[Scalar]:
    """Put a patch back at its box in an image of zeros; the inverse of `crop`.

    Args:
        patch: array of the box's size, H×W or H×W×C.
        box_xyxy: inclusive box; what lies outside the image is dropped.
        size_hw: size of the image.

    Returns:
        Array of `size_hw`, zero outside the box.
    """
    x0, y0, _, _ = box_xyxy
    image = np.zeros((*size_hw, *patch.shape[2:]), dtype=patch.dtype)
    vx0, vy0, vx1, vy1 = clip_box(box_xyxy, size_hw)
    if vx1 >= vx0 and vy1 >= vy0:
        image[vy0 : vy1 + 1, vx0 : vx1 + 1] = patch[vy0 - y0 : vy1 - y0 + 1, vx0 - x0 : vx1 - x0 + 1]
    return image


def points_into_crop(points_xy: npt.ArrayLike, box_xyxy: Box, crop_size_hw: tuple[int, int]) -> IntArray:
    """Move points from the image into a crop resized to `crop_size_hw`, truncating to integers (DEXTR)."""
    points = np.asarray(points_xy, dtype=np.float64)
    box_h, box_w = box_size_hw(box_xyxy)
    scale = np.array([crop_size_hw[1] / box_w, crop_size_hw[0] / box_h])
    moved: IntArray = ((points - np.array(box_xyxy[:2])) * scale).astype(np.int64)
    return moved


def sort_extremes(points_xy: npt.ArrayLike) -> IntArray:
    """Order points as left, right, top, bottom, then the others in their order.

    Clicks arrive in any order; each side gets the point that makes the four sides together most extreme,
    so a point that is both leftmost and topmost serves one side and leaves the other to its neighbour.

    Args:
        points_xy: N×2 integers, N ≥ 4.

    Returns:
        The same N×2 points, reordered.
    """
    points = np.asarray(points_xy, dtype=np.int64)
    x, y = points[:, 0], points[:, 1]
    distances = np.stack([x, -x, y, -y])
    # four sides take four different points, so a side never needs more than its four nearest
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :4]
    choices = [choice for choice in product(*nearest.tolist()) if len(set(choice)) == len(SIDES)]
    best = min(choices, key=lambda choice: int(distances[range(4), choice].sum()))
    others = [i for i in range(len(points)) if i not in best]
    ordered: IntArray = points[[*best, *others]]
    return ordered


def extreme_points(mask: BoolArray, jitter_px: int = 0, rng: np.random.Generator | None = None) -> IntArray:
    """The four extreme points of a mask: left, right, top, bottom.

    Without jitter each is the median mask pixel of the extreme row or column. With jitter each is a
    random mask pixel within `jitter_px` of the extreme coordinate, as in DEXTR's training.

    Args:
        mask: H×W bool with at least one pixel set.
        jitter_px: how far a click may be from the extreme coordinate, in pixels, ≥ 0.
        rng: needed when `jitter_px` > 0.

    Returns:
        4×2 integers (x, y); every one lies on the mask.

    Raises:
        ValueError: the mask is empty, or jitter is asked for without a generator.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        raise ValueError("an empty mask has no extreme points")
    if jitter_px and rng is None:
        raise ValueError("jitter needs a random generator")
    distances = (
        columns - columns.min(),
        columns.max() - columns,
        rows - rows.min(),
        rows.max() - rows,
    )
    points = []
    for side, distance in zip(SIDES, distances, strict=True):
        near = np.nonzero(distance <= jitter_px)[0]
        if jitter_px and rng is not None:
            pick = near[rng.integers(len(near))]
        else:
            along = rows if side in ("left", "right") else columns
            pick = near[np.argsort(along[near], kind="stable")[(len(near) - 1) // 2]]
        points.append((columns[pick], rows[pick]))
    return np.array(points, dtype=np.int64)


def fit_longest_side(size_hw: tuple[int, int], longest: int, multiple: int = 1) -> tuple[int, int]:
    """Size with the same aspect whose longer side is at most `longest`, rounded to a multiple.

    Args:
        size_hw: the image's size.
        longest: upper bound of the longer side in pixels; smaller images are not enlarged.
        multiple: both sides become a multiple of this (at least one multiple).
    """
    scale = min(1.0, longest / max(size_hw))
    height, width = (max(multiple, round(side * scale / multiple) * multiple) for side in size_hw)
    return height, width
