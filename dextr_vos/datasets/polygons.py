"""Polygons of objects in text files, as YOLO has them: a line an object, its class and then x y pairs."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray, FloatArray

_OVERSHOOT = 0.05  # polygons may leave the picture by this share; they are cut off at its edge
_SUBPIXEL_BITS = 4
_FINER = 5  # odd, so that a pixel has a middle


def read_polygons(path: Path) -> Iterator[tuple[int, FloatArray]]:
    """Class and N×2 corners, as shares of width and height in [0, 1], of every line of a file.

    Raises:
        InputError: the file cannot be read, or a line is no polygon; it names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as fault:
        raise InputError(f"cannot read the polygons {path}: {fault}") from None
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words:
            continue
        try:
            value, shares = int(words[0]), np.array([float(word) for word in words[1:]], np.float32)
        except ValueError:
            value, shares = -1, np.zeros(0, np.float32)
        inside = np.abs(shares - 0.5) <= 0.5 + _OVERSHOOT  # false for nan
        if value < 0 or len(shares) < 6 or len(shares) % 2 or not inside.all():
            raise InputError(
                f"{path} line {number}: expected a class number and three or more x y pairs as shares of "
                f"width and height from 0 to 1, got {line[:40]!r}"
            )
        yield value, np.clip(shares, 0, 1).reshape(-1, 2)


def fill_polygon(shares_xy: FloatArray, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose centres lie in a polygon, by the even-odd rule.

    Args:
        shares_xy: N×2 corners as shares of width and height in [0, 1], 0 being the outer edge of pixel 0.
        size_hw: of the picture.

    Returns:
        H×W bool.
    """
    polygon_xy = shares_xy * (size_hw[1], size_hw[0])
    mask = np.zeros(size_hw, dtype=bool)
    x0, y0 = np.floor(polygon_xy.min(axis=0)).astype(int)
    x1, y1 = np.minimum(np.ceil(polygon_xy.max(axis=0)).astype(int) + 1, size_hw[::-1])
    if x0 >= x1 or y0 >= y1:
        return mask  # nothing but the picture's last edge
    # OpenCV fills every pixel that an outline touches: fill a finer grid and look at the pixels' centres
    fine = np.zeros(((y1 - y0) * _FINER, (x1 - x0) * _FINER), dtype=np.uint8)
    corners = ((polygon_xy - (x0, y0)) * _FINER - 0.5) * (1 << _SUBPIXEL_BITS)
    cv2.fillPoly(fine, [np.rint(corners).astype(np.int32)], 1, shift=_SUBPIXEL_BITS)
    mask[y0:y1, x0:x1] = fine[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
    return mask
