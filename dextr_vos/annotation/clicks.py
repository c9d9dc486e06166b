"""Clicks from a file: the short form for scripts and the full form, checked against the clip.

The short form maps a frame's name to one list of points an object, `null` for an object that is not in the
frame: `{"00000": [[[12, 40], [80, 44], [50, 9], [47, 90]], null]}`. In place of a list an object may have
`{"extreme": …, "positive": …, "negative": …, "box": [x0, y0, x1, y1]}`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.annotation.annotations import FORMAT, Annotations, annotations_from, parse_annotations
from dextr_vos.annotation.prompts import Click, Prompt, check_prompt
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.files import read_json
from dextr_vos.geometry import IntArray, box_around
from dextr_vos.masks import MAX_OBJECTS

_KINDS = ("extreme", "positive", "negative", "box")


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
        InputError: unknown frame, or points that `check_prompt` refuses.
    """
    for name, keyframe in annotations.keyframes.items():
        _check_frame(name, clip, source)
        for object_id, clicked in keyframe.objects.items():
            if not clicked.without_clicks:
                where = f"{source}, frame '{name}', object {object_id}"
                check_prompt(clicked.prompt(), clip.size_hw, where)


def _parse_short_form(content: Any, clip: Clip, path: Path) -> dict[str, dict[int, Prompt]]:
    if not isinstance(content, dict) or not content:
        raise InputError(
            f"{path}: expected an object that maps frame names to lists of points, "
            f'like {{"{clip.names[0]}": [[[x, y], [x, y], [x, y], [x, y]]]}}'
        )
    clicks: dict[str, dict[int, Prompt]] = {}
    for name, objects in content.items():
        _check_frame(name, clip, path)
        if not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
            raise InputError(
                f"{path}, frame '{name}': expected a list with one list of points an object "
                f"(at most {MAX_OBJECTS})"
            )
        clicks[name] = {
            object_id: _parse_object(content, f"{path}, frame '{name}', object {object_id}")
            for object_id, content in enumerate(objects, start=1)
            if content is not None
        }
    return clicks


def _parse_object(content: Any, where: str) -> Prompt:
    """A list of extreme points, or everything by its kind."""
    if not isinstance(content, dict):
        return Prompt(_parse_points(content, where))
    unknown = sorted(set(content) - set(_KINDS))
    if unknown or not content:
        got = f"'{unknown[0]}'" if unknown else "none of them"
        raise InputError(f"{where}: expected the keys {', '.join(_KINDS)}, got {got}")
    box = content.get("box")
    if box is not None and not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
        raise InputError(f"{where}: expected the box as [x0, y0, x1, y1] in pixels, got {box!r:.40}")
    clicks = [
        Click(x, y, kind == "positive")
        for kind in ("positive", "negative")
        if content.get(kind)
        for x, y in _parse_points(content[kind], f"{where}, {kind}").tolist()
    ]
    return Prompt(
        points_xy=_parse_points(content["extreme"], where) if content.get("extreme") else None,
        clicks=tuple(clicks),
        box_xyxy=None if box is None else box_around(np.rint(np.reshape(box, (2, 2))).astype(np.int64)),
    )


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
