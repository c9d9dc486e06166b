"""LabelMe: a JSON file beside each image, with shapes of the kind "mask" or polygons.

A mask is a PNG of its box, which LabelMe since 5.3 shows and converts; polygons can be edited there, and run
through the centres of border pixels, as LabelMe draws them. `group_id` is the object's value in the masks.
"""

import base64
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    Size,
    faults_of,
    files_in,
    mask_of_png,
    split_name,
    whole_number,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, LabelledObject, OnFrame
from dextr_vos.export.formats.outlines import centre_polygons, check_near
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids

_VERSION = "5.5.0"  # of the format, which LabelMe compares with its own
_NAME = "object_name"  # where it is not the label
_CORNERS = 4  # of a rectangle


def write_labelme(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write `FRAME.json` and, with images, the frame beside it; of several clips, each into a folder."""
    for clip, index, labels in data.frames(on_frame):
        name = Path(data.image_name(clip, index))
        shapes: list[dict[str, Any]] = []
        for object_id in object_ids(labels):
            mask, entry = labels == object_id, clip.objects[object_id]
            found = [_mask_shape(mask)] if options.shapes == "mask" else _polygon_shapes(mask)
            shapes += [_about(entry) | shape for shape in found]
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name.name,
            "imageData": None,
            "imageHeight": labels.shape[0],
            "imageWidth": labels.shape[1],
        }
        text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
        write_text(folder / name.with_suffix(".json"), text)
        if options.images:
            clip.write_image(index, folder / name)


def read_labelme(folder: Path) -> list[ImportedFrame]:
    """The frames of all JSON files in a folder.

    A `group_id` makes shapes of one label one object, as in LabelMe.

    Raises:
        InputError: there are none, or one is damaged.
    """
    frames = []
    for file in files_in(folder, "*.json", "LabelMe"):
        content = read_json(file)
        with faults_of(file, "LabelMe"):
            name, _ = split_name(content["imagePath"])
            kinds = [shape.get("shape_type") or "polygon" for shape in content["shapes"]]
            masks = [
                _imported(shape, kind)
                for shape, kind in zip(content["shapes"], kinds, strict=True)
                if kind in _READERS
            ]
            size = (int(content["imageHeight"]), int(content["imageWidth"]))
        frames.append(
            ImportedFrame(
                name,
                tuple(masks),
                video=file.parent.name if file.parent != folder else None,
                size_hw=size,
                annotated=bool(masks) or not kinds,
                other_shapes=tuple(str(kind) for kind in kinds if kind not in _READERS),
                source=str(file),
            )
        )
    return frames


def _about(entry: LabelledObject) -> dict[str, Any]:
    about = {"label": entry.category, "group_id": entry.id, "description": "", "flags": {}}
    # LabelMe shows descriptions, which people write, too, and keeps other fields
    own = {"description": entry.name, _NAME: entry.name}
    return about if entry.name == entry.category else about | own


def _mask_shape(mask: BoolArray) -> dict[str, Any]:
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    file = io.BytesIO()
    Image.fromarray(mask[y : y + height, x : x + width]).save(file, format="PNG")
    ends = [[float(x), float(y)], [float(x + width - 1), float(y + height - 1)]]
    return {"points": ends, "shape_type": "mask", "mask": base64.b64encode(file.getvalue()).decode("ascii")}


def _polygon_shapes(mask: BoolArray) -> list[dict[str, Any]]:
    rings = centre_polygons(mask)
    return [
        {"points": [[float(x), float(y)] for x, y in ring], "shape_type": "polygon", "mask": None}
        for ring in rings
    ]


def _imported(shape: dict[str, Any], kind: str) -> ImportedMask:
    label, group, named = shape["label"], shape.get("group_id"), str(shape.get(_NAME) or "")
    return ImportedMask(
        # another label, given in LabelMe, is another name
        name=named if named.casefold().startswith(label.casefold()) else label,
        read=partial(_READERS[kind], shape),
        track=None if group is None else f"{group} {label}",
        object_id=whole_number(group),
    )


def _read_mask(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    crop = mask_of_png(shape["mask"])
    x, y = (round(float(value)) for value in shape["points"][0])
    crop, x, y = crop[max(0, -y) :, max(0, -x) :], max(0, x), max(0, y)
    mask = np.zeros(size_hw, dtype=bool)
    place = mask[y : y + crop.shape[0], x : x + crop.shape[1]]
    place[:] = crop[: place.shape[0], : place.shape[1]]
    return mask


def _read_polygon(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    return _drawn(ImageDraw.ImageDraw.polygon, np.array(shape["points"], dtype=np.float64), size_hw)


def _read_rectangle(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    """Two opposite corners; four, and turned, as other programs write LabelMe's files."""
    points = np.array(shape["points"], dtype=np.float64)
    if len(points) == _CORNERS:
        return _read_polygon(shape, size_hw)
    return _drawn(ImageDraw.ImageDraw.rectangle, np.array([points.min(axis=0), points.max(axis=0)]), size_hw)


def _read_circle(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    """The centre and a point on the circle."""
    centre, on_circle = np.array(shape["points"], dtype=np.float64)
    radius = np.hypot(*(on_circle - centre))
    return _drawn(ImageDraw.ImageDraw.ellipse, np.array([centre - radius, centre + radius]), size_hw)


def _drawn(draw: Callable[..., None], points: npt.NDArray[np.float64], size_hw: Size) -> BoolArray:
    """A shape as LabelMe draws it, with Pillow."""
    check_near(points, size_hw)
    image = Image.new("L", size_hw[::-1])
    draw(ImageDraw.Draw(image), [(x, y) for x, y in points.tolist()], fill=1, outline=1)
    return np.array(image) > 0


_READERS = {
    "mask": _read_mask,
    "polygon": _read_polygon,
    "rectangle": _read_rectangle,
    "oriented_rectangle": _read_polygon,
    "circle": _read_circle,
}
