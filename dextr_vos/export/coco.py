"""Masks of a clip as COCO JSON, with COCO's own run lengths (Lin et al., ECCV 2014).

A frame is an image, an object of the clip a category and a track: `track_id` is its id in the masks.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.clip import Clip, FolderClip
from dextr_vos.errors import InputError
from dextr_vos.files import write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import default_name, object_ids
from dextr_vos.workspace import ResultMasks


def write_coco(
    path: Path,
    clip: Clip,
    masks: ResultMasks,
    names: Mapping[int, str],
    on_frame: Callable[[int, int], None] | None = None,
) -> None:
    """Write the masks of all frames as one COCO file, atomically.

    Args:
        path: file to write, `.json`.
        clip: the frames.
        masks: masks of the frames.
        names: names of objects by id; the others are called "object 1" and so on.
        on_frame: called with the number of frames done and of all frames.

    Raises:
        InputError: another suffix, or a mask that cannot be read.
    """
    if path.suffix.lower() != ".json":
        raise InputError(f"the COCO file {path} must end in .json")
    height, width = clip.size_hw
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    ids = set(names)
    for index, name in enumerate(clip.names):
        file = clip.files[index].name if isinstance(clip, FolderClip) else f"{name}.png"
        images.append({"id": index + 1, "file_name": file, "width": width, "height": height})
        labels = masks.read(clip, index)
        for object_id in object_ids(labels):
            ids.add(object_id)
            about = {"id": len(annotations) + 1, "image_id": index + 1, "category_id": object_id}
            annotations.append({**about, **coco_mask(labels == object_id), "track_id": object_id})
        if on_frame is not None:
            on_frame(index + 1, len(clip))
    content = {
        "info": {"description": f"masks of {clip.path.name} by dextr-vos", "version": "1.0"},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": _categories(ids, names),
    }
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")


def coco_mask(mask: BoolArray) -> dict[str, Any]:
    """A mask as COCO has it: compressed run lengths, area, box (x, y, width, height).

    Args:
        mask: H×W bool.
    """
    from pycocotools import mask as runs

    with warnings.catch_warnings():
        # pycocotools 2.0.11 does not yet speak numpy 2's way of handing arrays over
        warnings.simplefilter("ignore", DeprecationWarning)
        packed = runs.encode(np.asfortranarray(mask.astype(np.uint8)))
        area, box = int(runs.area(packed)), [float(value) for value in runs.toBbox(packed)]
    segmentation = {
        "size": [int(side) for side in packed["size"]],
        "counts": packed["counts"].decode("ascii"),
    }
    return {"segmentation": segmentation, "area": area, "bbox": box, "iscrowd": 0}


def _categories(ids: Iterable[int], names: Mapping[int, str]) -> list[dict[str, Any]]:
    return [
        {"id": object_id, "name": names.get(object_id, default_name(object_id)), "supercategory": "object"}
        for object_id in sorted(ids)
    ]
