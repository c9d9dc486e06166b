"""LabelMe: a JSON file beside each image, with shapes of the kind "mask" or polygons.

A mask is a PNG of its box, which LabelMe since 5.3 shows and converts; polygons can be edited there, and run
through the centres of border pixels, as LabelMe draws them. `group_id` is the object's value in the masks.
"""

import base64
import io
import json
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    Size,
    faults_of,
    files_in,
    split_name,
    whole_number,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, LabelledObject, OnFrame
from dextr_vos.export.formats.outlines import centre_polygons, mask_of_centres
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids

_VERSION = "5.5.0"  # of the format, which LabelMe compares with its own


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
    """The frames of all JSON files in a folder; shapes that have no area are left out.

    Raises:
        InputError: there are none, or one is damaged.
    """
    frames = []
    for file in files_in(folder, "*.json", "LabelMe"):
        content = read_json(file)
        with faults_of(file, "LabelMe"):
            name, _ = split_name(content["imagePath"])
            masks = []
            for shape in content["shapes"]:
                if shape.get("shape_type", "polygon") not in _READERS:
                    continue
                reader = partial(_READERS[shape.get("shape_type", "polygon")], shape)
                group = shape.get("group_id")
                described = str(shape.get("description") or "")
                masks.append(
                    ImportedMask(
                        name=described if described.startswith(shape["label"]) else shape["label"],
                        read=reader,
                        track=None if group is None else str(group),
                        object_id=whole_number(group),
                    )
                )
            size = (int(content["imageHeight"]), int(content["imageWidth"]))
        video = file.parent.name if file.parent != folder else None
        annotated = bool(masks) or not content["shapes"]
        frames.append(ImportedFrame(name, tuple(masks), video, size_hw=size, annotated=annotated))
    return frames


def _about(entry: LabelledObject) -> dict[str, Any]:
    described = "" if entry.name == entry.category else entry.name
    return {"label": entry.category, "group_id": entry.id, "description": described, "flags": {}}


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


def _read_mask(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"]))) as image:
            crop = np.array(image.convert("L")) > 0
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"a mask is no PNG: {str(error).split('<')[0]}") from None
    x, y = (round(float(value)) for value in shape["points"][0])
    mask = np.zeros(size_hw, dtype=bool)
    place = mask[y : y + crop.shape[0], x : x + crop.shape[1]]
    place[:] = crop[: place.shape[0], : place.shape[1]]
    return mask


def _read_polygon(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    points = np.array(shape["points"], dtype=np.float64)
    return mask_of_centres([points.reshape(-1, 2)], size_hw)


def _read_rectangle(shape: dict[str, Any], size_hw: Size) -> BoolArray:
    (x0, y0), (x1, y1) = shape["points"]
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=np.float64)
    return mask_of_centres([corners], size_hw)


_READERS = {"mask": _read_mask, "polygon": _read_polygon, "rectangle": _read_rectangle}
