"""Drawn shapes, thin and holed as few photographed objects are: wheels, rings, bars, fences, blobs."""

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.geometry import BoolArray

BytesArray = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]

_SUBPIXEL_BITS = 4
# strokes' widths and blobs' sides, as shares of the box's longer side
_STROKE = (0.012, 0.06)
_BLOB = (0.05, 0.3)
_FENCE_GAP = (2.0, 6.0)  # in widths of its bars


def drawn_structure(size_px: int, rng: np.random.Generator) -> BoolArray:
    """One to three wheels, rings, bars and fences beside one another, like parts of a bicycle or a railing.

    Args:
        size_px: side of the square that they are drawn in, at least 8.
        rng: the only source of chance.

    Returns:
        S×S bool, never empty.
    """
    canvas = np.zeros((size_px, size_px), dtype=np.uint8)
    joint = np.full(2, size_px / 2)
    for _ in range(rng.integers(1, 4)):
        width = max(1, round(size_px * rng.uniform(*_STROKE)))
        radius = size_px * rng.uniform(0.12, 0.4)
        away = rng.uniform(0, 2 * np.pi)
        centre = joint + radius * np.array([np.cos(away), np.sin(away)])
        kind = rng.choice(["wheel", "ring", "bars", "fence"])
        if kind in ("wheel", "ring"):
            spokes = int(rng.integers(3, 13)) if kind == "wheel" else 0
            _ring(canvas, centre, radius, width, spokes, rng)
        elif kind == "bars":
            for _ in range(rng.integers(1, 5)):
                end = joint + size_px * rng.uniform(-0.45, 0.45, 2)
                _line(canvas, joint, end, width)
                joint = end
        else:
            _fence(canvas, joint, radius, width, rng)
        joint = np.clip(centre, 0, size_px - 1)
    structure: BoolArray = canvas.view(np.bool_)
    return structure


def drawn_openings(mask: BoolArray, rng: np.random.Generator) -> BoolArray:
    """Up to five blobs and slits somewhere in a mask, to be cut out of it.

    Args:
        mask: H×W bool, not empty.
        rng: the only source of chance.

    Returns:
        H×W bool, a part of the mask; perhaps empty.
    """
    canvas = np.zeros(mask.shape, dtype=np.uint8)
    rows, columns = np.nonzero(mask)
    longest = max(np.ptp(rows), np.ptp(columns)) + 1
    for _ in range(rng.integers(1, 6)):
        at = rng.integers(len(rows))
        centre = np.array([columns[at], rows[at]], dtype=np.float64)
        sides = longest * rng.uniform(*_BLOB, 2) / 2
        if rng.random() < 0.3:
            sides[1] = longest * rng.uniform(*_STROKE) / 2
        _ellipse(canvas, centre, sides, rng.uniform(0, 360), -1)
    openings: BoolArray = canvas.view(np.bool_) & mask
    return openings


def _ring(
    canvas: BytesArray, centre: FloatArray, radius: float, width: int, spokes: int, rng: np.random.Generator
) -> None:
    axes = radius * np.array([1.0, rng.uniform(0.3, 1.0)])
    turn_deg = rng.uniform(0, 360)
    _ellipse(canvas, centre, axes, turn_deg, width)
    turn = np.deg2rad(turn_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for angle in np.arange(spokes) * 2 * np.pi / max(1, spokes):
        rim = centre + rotation @ (axes * (np.cos(angle), np.sin(angle)))
        _line(canvas, centre, rim, max(1, width // 3))


def _fence(canvas: BytesArray, joint: FloatArray, reach: float, width: int, rng: np.random.Generator) -> None:
    """Parallel bars and one across."""
    angle = rng.uniform(0, np.pi)
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    gap = width * (1 + rng.uniform(*_FENCE_GAP))
    count = min(int(reach / gap), int(rng.integers(1, 8)))
    for bar in np.arange(-count, count + 1):
        middle = joint + bar * gap * across
        _line(canvas, middle - reach * along, middle + reach * along, width)
    _line(canvas, joint - count * gap * across, joint + count * gap * across, width)


def _line(canvas: BytesArray, begin: FloatArray, end: FloatArray, width: int) -> None:
    cv2.line(canvas, _fixed(begin), _fixed(end), 1, width, cv2.LINE_8, _SUBPIXEL_BITS)


def _ellipse(canvas: BytesArray, centre: FloatArray, axes: FloatArray, turn_deg: float, width: int) -> None:
    """Filled where the width is negative."""
    cv2.ellipse(canvas, _fixed(centre), _fixed(axes), turn_deg, 0, 360, 1, width, cv2.LINE_8, _SUBPIXEL_BITS)


def _fixed(values: FloatArray) -> tuple[int, int]:
    x, y = np.rint(values * 2**_SUBPIXEL_BITS).astype(int)
    return int(x), int(y)
