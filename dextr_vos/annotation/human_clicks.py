"""Clicks of people on the objects of a data set, read from a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter, ValidationError

from dextr_vos.annotation.annotations import FORMAT, parse_annotations
from dextr_vos.datasets.instances import ObjectRef
from dextr_vos.errors import InputError
from dextr_vos.files import read_json
from dextr_vos.geometry import IntArray

_Pixels = Annotated[float, Field(ge=-1e6, le=1e6)]
_IMAGES = TypeAdapter(dict[str, dict[int, list[tuple[_Pixels, _Pixels]]]])


@dataclass(frozen=True)
class HumanClicks:
    """Clicks of people on objects of a data set.

    Attributes:
        source: the file, for messages.
        points_xy: N×2 points by image and index of the object in the data set, from 0.
    """

    source: Path
    points_xy: Mapping[tuple[str, int], IntArray]


def read_human_clicks(path: Path, refs: Sequence[ObjectRef]) -> HumanClicks:
    """Read people's clicks on the objects of a data set.

    Objects are numbered from 1 in the file, as in masks and in `annotations.json`.

    Args:
        path: an `annotations.json`, or JSON that maps images to objects to points,
            `{"2007_000033": {"1": [[x, y], [x, y], [x, y], [x, y]]}}`. The last part of an
            image's name is enough if no other image of the set has it.
        refs: the objects of the data set.

    Raises:
        InputError: not JSON, of another shape, without clicks, or on an image or object not in the set.
    """
    names = _names_of_images(refs)
    known = {(ref.image, ref.object_id) for ref in refs}
    points: dict[tuple[str, int], IntArray] = {}
    for name, objects in _clicks_in(path).items():
        image = names.get(name)
        if image is None:
            raise InputError(
                f"{path} clicks on '{name}', which is not the name of one image of the data set, "
                f"like '{refs[0].image}'"
            )
        for number, points_xy in objects.items():
            if (image, number - 1) not in known:
                raise InputError(
                    f"{path} clicks on object {number} of '{name}', which is not among those to evaluate"
                )
            points[image, number - 1] = points_xy
    if not points:
        raise InputError(f"there are no clicks in {path}; expected points on at least one object")
    return HumanClicks(path, points)


def _names_of_images(refs: Sequence[ObjectRef]) -> dict[str, str | None]:
    """Images by their full names and by the last parts of them; None where several share it."""
    images = list(dict.fromkeys(ref.image for ref in refs))
    names: dict[str, str | None] = {}
    for image in images:
        last = image.rsplit("/", 1)[-1]
        names[last] = None if last in names else image
    return {**names, **{image: image for image in images}}


def _clicks_in(path: Path) -> dict[str, dict[int, IntArray]]:
    content = read_json(path)
    if isinstance(content, dict) and content.get("format") == FORMAT:
        document = parse_annotations(content, path)
        return {name: document.clicks_in(name) for name in document.keyframes}
    try:
        images = _IMAGES.validate_json(json.dumps(content))
    except ValidationError as errors:
        first = errors.errors()[0]
        place = " → ".join(str(part) for part in first["loc"]) or "the whole"
        raise InputError(
            f"{path}, at {place}: {first['msg']}; expected annotations.json, "
            'or {"image": {"1": [[x, y], [x, y], [x, y], [x, y]]}}'
        ) from None
    return {
        image: {
            number: np.rint(np.array(points, dtype=np.float64).reshape(-1, 2)).astype(np.int64)
            for number, points in objects.items()
        }
        for image, objects in images.items()
    }
