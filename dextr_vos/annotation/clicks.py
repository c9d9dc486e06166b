"""Clicks from a file: the short form for scripts and the full form, checked against the clip.

The short form maps a frame's name to one list of points an object, `null` for an object that is not in the
frame: `{"00000": [[[12, 40], [80, 44], [50, 9], [47, 90]], null]}`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.annotation.annotations import (
    FEWEST_POINTS,
    FORMAT,
    Annotations,
    annotations_from,
    parse_annotations,
    read_json,
)
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.geometry import IntArray, box_around, box_size_hw
from dextr_vos.masks import MAX_OBJECTS

SHORTEST_BOX_PX = 3


def read_clicks(path: Path, clip: Clip) -> Annotations:
    """Read a clicks file in either form.

    Args:
        path: JSON file; a full `annotations.json` keeps its names, times and origins.
        clip: the clip the clicks belong to.

    Returns:
        The document, every point checked.

    Raises:
        InputError: not JSON, of another shape, a frame the clip does not have, or unusable points; the
            sentence names frame, object and point.
    """
    content = read_json(path)
    if isinstance(content, dict) and "format" in content:
        if content["format"] != FORMAT:
            raise InputError(
                f"{path} is of format {content['format']!r}, expected '{FORMAT}' or the short form"
            )
        annotations = parse_annotations(content, path).clicks_only()
    else:
        annotations = annotations_from(_parse_short_form(content, clip, path), origin="file")
    check_annotations(annotations, clip, path)
    return annotations


def check_annotations(annotations: Annotations, clip: Clip, source: Path | str) -> None:
    """Refuse clicks that do not fit a clip; objects whose masks were not made of clicks have none to check.

    Raises:
        InputError: unknown frame, or points that `check_points` refuses.
    """
    for name, keyframe in annotations.keyframes.items():
        _check_frame(name, clip, source)
        for object_id, clicked in keyframe.objects.items():
            if not clicked.without_clicks:
                where = f"{source}, frame '{name}', object {object_id}"
                check_points(clicked.points_xy(), clip.size_hw, where)


def check_points(points_xy: IntArray, size_hw: tuple[int, int], where: str) -> None:
    """Refuse points that cannot be the extreme points of an object.

    Args:
        points_xy: N×2 integers.
        size_hw: height and width of the image.
        where: what to call the points in the message, such as file, frame and object.

    Raises:
        InputError: fewer than four points, one outside the image, or all in a box less than 3 pixels wide or
            high.
    """
    if len(points_xy) < FEWEST_POINTS:
        raise InputError(
            f"{where}: {len(points_xy)} points, expected at least four, the leftmost, rightmost, topmost and "
            "bottommost of the object"
        )
    check_inside(points_xy, size_hw, where)
    box_h, box_w = box_size_hw(box_around(points_xy))
    if min(box_h, box_w) < SHORTEST_BOX_PX:
        raise InputError(
            f"{where}: the points span a box of {box_w}×{box_h} px, expected at least "
            f"{SHORTEST_BOX_PX}×{SHORTEST_BOX_PX}; click the object's four extremes"
        )


def check_inside(points_xy: IntArray, size_hw: tuple[int, int], where: str) -> None:
    """Refuse points outside an image.

    Raises:
        InputError: one is; the arguments are those of `check_points`.
    """
    height, width = size_hw
    for number, (x, y) in enumerate(points_xy.tolist(), start=1):
        if not (0 <= x < width and 0 <= y < height):
            raise InputError(
                f"{where}, point {number}: ({x}, {y}) is outside the {width}×{height} image; "
                f"x goes from 0 to {width - 1}, y from 0 to {height - 1}"
            )


def _parse_short_form(content: Any, clip: Clip, path: Path) -> dict[str, dict[int, IntArray]]:
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path}: expected an object that maps frame names to lists of points, "
            f'like {{"{clip.names[0]}": [[[x, y], [x, y], [x, y], [x, y]]]}}'
        )
    clicks: dict[str, dict[int, IntArray]] = {}
    for name, objects in content.items():
        _check_frame(name, clip, path)
        if not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
            raise InputError(
                f"{path}, frame '{name}': expected a list with one list of points an object "
                f"(at most {MAX_OBJECTS})"
            )
        clicks[name] = {
            object_id: _parse_points(points, f"{path}, frame '{name}', object {object_id}")
            for object_id, points in enumerate(objects, start=1)
            if points is not None
        }
    return clicks


def _parse_points(points: Any, where: str) -> IntArray:
    if not isinstance(points, list):
        raise InputError(f"{where}: expected a list of points [[x, y], …], got {points!r:.40}")
    if not points:
        raise InputError(
            f"{where}: 0 points, expected at least four; write null for an object that is not in the frame"
        )
    for number, point in enumerate(points, start=1):
        if _is_number(point):
            raise InputError(
                f"{where}: expected a list of points [[x, y], …], got the number {point}; "
                "is a pair of brackets missing? A frame has one list of points an object"
            )
        if not (isinstance(point, list) and len(point) == 2 and all(_is_number(value) for value in point)):
            raise InputError(f"{where}, point {number}: expected [x, y] in pixels, got {point!r:.40}")
    return np.rint(np.array(points, dtype=np.float64).reshape(-1, 2)).astype(np.int64)


def _is_number(value: Any) -> bool:
    # no image is a million pixels wide; infinities and NaN are refused as well
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _check_frame(name: str, clip: Clip, source: Path | str) -> None:
    try:
        clip.index_of(name)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
