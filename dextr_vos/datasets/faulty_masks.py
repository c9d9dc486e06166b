"""Masks as propagation leaves them: displaced, swollen, with parts missing or leaking onto what is beside."""

from collections.abc import Callable

import cv2
import numpy as np

from dextr_vos.datasets.motion import Pose, warp
from dextr_vos.geometry import BoolArray
from dextr_vos.images import ImageRgb

_TRIES = 6
_MOST_FAULTS = 3

Fault = Callable[[BoolArray, ImageRgb, np.random.Generator], BoolArray]


def faulty_mask(
    mask: BoolArray,
    image_rgb: ImageRgb,
    rng: np.random.Generator,
    iou: tuple[float, float] = (0.4, 0.9),
) -> BoolArray:
    """A mask with errors to be corrected.

    Args:
        mask: H×W bool, the truth, not empty.
        image_rgb: H×W×3 uint8; masks leak onto what has the colours of what is beside them.
        rng: the only source of chance.
        iou: least and largest overlap with the truth; where no try gets there, the nearest one is given.

    Returns:
        H×W bool, not empty.
    """
    best, best_away = mask, np.inf
    for _ in range(_TRIES):
        guess = mask
        for _ in range(int(rng.integers(1, _MOST_FAULTS + 1))):
            guess = _FAULTS[int(rng.integers(len(_FAULTS)))](guess, image_rgb, rng)
            if not guess.any():
                break
        overlap = np.count_nonzero(guess & mask) / np.count_nonzero(guess | mask)
        away = max(iou[0] - overlap, overlap - iou[1], 0.0)
        if guess.any() and away < best_away:
            best, best_away = guess, away
        if best_away == 0:
            break
    return best


def _displaced(mask: BoolArray, _: ImageRgb, rng: np.random.Generator) -> BoolArray:
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    reach = max(width, height)
    pose = Pose.draw(0.05 * reach, 4.0, 0.05, 0.03 * reach, rng)
    return warp(mask.view(np.uint8), pose, (x + width / 2, y + height / 2), cv2.INTER_NEAREST).view(np.bool_)


def _swollen_or_shrunk(mask: BoolArray, _: ImageRgb, rng: np.random.Generator) -> BoolArray:
    size = 3 + 2 * int(rng.integers(0, 2 + int(0.04 * np.sqrt(np.count_nonzero(mask)))))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    kinds = (cv2.MORPH_DILATE, cv2.MORPH_ERODE, cv2.MORPH_OPEN, cv2.MORPH_CLOSE)
    changed = cv2.morphologyEx(mask.view(np.uint8), kinds[int(rng.integers(4))], kernel)
    return np.asarray(changed, dtype=np.bool_)


def _part_missing(mask: BoolArray, _: ImageRgb, rng: np.random.Generator) -> BoolArray:
    if rng.random() < 0.5:
        return mask & ~_ellipse(mask, rng)
    # everything on one side of a line
    ys, xs = np.nonzero(mask)
    angle = rng.uniform(0, 2 * np.pi)
    along = xs * np.cos(angle) + ys * np.sin(angle)
    lost = along > np.quantile(along, rng.uniform(0.5, 0.95))
    left = mask.copy()
    left[ys[lost], xs[lost]] = False
    return left


def _leaking(mask: BoolArray, image_rgb: ImageRgb, rng: np.random.Generator) -> BoolArray:
    """More of the image, by colour from a place beside the outline, or within an ellipse about it."""
    grown = cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
    ys, xs = np.nonzero(grown & ~mask)
    if not len(xs):
        return mask
    chosen = int(rng.integers(len(xs)))
    beside = np.zeros_like(mask)
    beside[ys[chosen], xs[chosen]] = True
    reach = np.sqrt(np.count_nonzero(mask))
    within = _ellipse(beside, rng, reach * rng.uniform(0.5, 2.0))
    if rng.random() < 0.3:
        return mask | within
    flooded = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    flooded[1:-1, 1:-1] = ~within
    tolerance = (float(rng.uniform(4, 20)),) * 3
    cv2.floodFill(
        image_rgb.copy(),
        flooded,
        (int(xs[chosen]), int(ys[chosen])),
        0,
        tolerance,
        tolerance,
        cv2.FLOODFILL_MASK_ONLY | (2 << 8),
    )
    leak = cv2.morphologyEx(
        (flooded[1:-1, 1:-1] == 2).view(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)
    )
    leaking: BoolArray = mask | (leak > 0)
    return leaking


def _ellipse(mask: BoolArray, rng: np.random.Generator, reach: float | None = None) -> BoolArray:
    """An ellipse about a random pixel of a mask."""
    ys, xs = np.nonzero(mask)
    chosen = int(rng.integers(len(xs)))
    reach = np.sqrt(len(xs)) if reach is None else reach
    axes = tuple(max(2, int(reach * share)) for share in rng.uniform(0.1, 0.6, 2))
    drawn = np.zeros(mask.shape, np.uint8)
    cv2.ellipse(drawn, (int(xs[chosen]), int(ys[chosen])), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    return np.asarray(drawn, dtype=np.bool_)


_FAULTS: tuple[Fault, ...] = (_displaced, _swollen_or_shrunk, _part_missing, _leaking)
