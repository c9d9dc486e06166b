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
        annotations = _with_names_of(clip, parse_annotations(content, path).clicks_only(), path)
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
        _frame_of(name, clip, source)
        for object_id, clicked in keyframe.objects.items():
            if not clicked.without_clicks:
                where = f"{source}, frame '{name}', object {object_id}"
                check_prompt(clicked.prompt(), clip.size_hw, where)


def _parse_short_form(content: Any, clip: Clip, path: Path) -> dict[str, dict[int, Prompt]]:
    if not isinstance(content, dict) or not content:
        found = f"no frames in {path}" if content == {} else str(path)
        raise InputError(
            f"{found}: expected an object that maps frame names to lists of points, "
            f'like {{"{clip.names[0]}": [[[x, y], [x, y], [x, y], [x, y]]]}}'
        )
    clicks: dict[str, dict[int, Prompt]] = {}
    for name, objects in content.items():
        frame = _frame_of(name, clip, path)
        if not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
            raise InputError(f"{path}, frame '{name}': {_expected_list(objects)}")
        clicks[frame] = {
            object_id: _parse_object(content, clip.size_hw, f"{path}, frame '{name}', object {object_id}")
            for object_id, content in enumerate(objects, start=1)
            if content is not None
        }
    return clicks


def _expected_list(objects: Any) -> str:
    """What a frame should have in place of what it has."""
    if isinstance(objects, list):
        return f"{len(objects)} objects, expected at most {MAX_OBJECTS}"
    advice = ""
    if isinstance(objects, dict) and (kind := next((each for each in _KINDS if each in objects), "")):
        advice = f'; put it into brackets: [{{"{kind}": …}}]'
    return f"expected a list with one list of points per object{advice}"


def _parse_object(content: Any, size_hw: tuple[int, int], where: str) -> Prompt:
    """A list of extreme points, or everything by its kind."""
    if not isinstance(content, dict):
        return Prompt(_parse_points(content, size_hw, where))
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
        for x, y in _parse_points(content[kind], size_hw, f"{where}, {kind}").tolist()
    ]
    return Prompt(
        points_xy=_parse_points(content["extreme"], size_hw, where) if content.get("extreme") else None,
        clicks=tuple(clicks),
        box_xyxy=None if box is None else box_around(_pixels([box[:2], box[2:]], size_hw)),
    )


def _parse_points(points: Any, size_hw: tuple[int, int], where: str) -> IntArray:
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
                "is a pair of brackets missing? A frame has one list of points per object"
            )
        if not (isinstance(point, list) and len(point) == 2 and all(_is_number(value) for value in point)):
            raise InputError(f"{where}, point {number}: expected [x, y] in pixels, got {point!r:.40}")
    return _pixels(points, size_hw)


def _pixels(points: list[list[float]], size_hw: tuple[int, int]) -> IntArray:
    """The nearest pixels; a fraction up to the image's edge is on its border pixel."""
    last = [size_hw[1] - 1, size_hw[0] - 1]
    pixels = [
        [
            min(max(round(value), 0), most) if isinstance(value, float) and -1 < value <= most + 1 else value
            for value, most in zip(point, last, strict=True)
        ]
        for point in points
    ]
    return np.rint(np.array(pixels, dtype=np.float64).reshape(-1, 2)).astype(np.int64)


def _is_number(value: Any) -> bool:
    # no image is a million pixels wide; infinities and NaN are refused as well
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def _with_names_of(clip: Clip, annotations: Annotations, source: Path) -> Annotations:
    """A document with the clip's own names of its frames, which may be of another Unicode form."""
    keyframes = {_frame_of(name, clip, source): each for name, each in annotations.keyframes.items()}
    return annotations.model_copy(update={"keyframes": keyframes})


def _frame_of(name: str, clip: Clip, source: Path | str) -> str:
    """The clip's own name of a frame."""
    try:
        return clip.names[clip.index_of(name)]
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
