"""COCO JSON (Lin et al., ECCV 2014), with run lengths or polygons.

A frame is an image, an object in it an annotation: `track_id` is the object's value in the masks of its clip.
`videos`, `video_id` and `frame_index` say which clip a frame is of, as in data sets of video made after COCO.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    Size,
    faults_of,
    split_name,
    whole_number,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, LabelledObject, OnFrame
from dextr_vos.export.formats.outlines import FEW_CORNERS, edge_polygons, has_corners, mask_of_edges
from dextr_vos.export.formats.run_lengths import coco_mask, mask_of_coco
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids


def write_coco(
    path: Path, data: LabelledClips, options: FormatOptions | None = None, on_frame: OnFrame | None = None
) -> None:
    """Write the masks of all frames as one COCO file, atomically.

    Args:
        path: file to write, `.json`.
        data: the clips.
        options: masks or polygons.
        on_frame: called with the number of frames done and of all frames.

    Raises:
        InputError: another suffix, or a mask that cannot be read.
    """
    if path.suffix.lower() != ".json":
        raise InputError(f"the COCO file {path} must end in .json")
    polygons = options is not None and options.shapes == "polygon"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    videos = {clip.name: number for number, clip in enumerate(data.clips, start=1)}
    for clip, index, labels in data.frames(on_frame):
        height, width = clip.clip.size_hw
        about = {"file_name": data.image_name(clip, index), "width": width, "height": height}
        place = {"video_id": videos[clip.name], "frame_index": index}
        images.append({"id": len(images) + 1, **about, **place})
        for object_id in object_ids(labels):
            entry = {"id": len(annotations) + 1, "image_id": len(images)}
            shape = _shape(labels == object_id, polygons)
            annotations.append(entry | _about(clip.objects[object_id], data.categories) | shape)
    names = ", ".join(clip.name for clip in data.clips)
    colours = data.colours()
    content = {
        "info": {"description": f"masks of {names} by dextr-vos", "version": "1.0"},
        "licenses": [],
        "videos": [{"id": number, "name": name} for name, number in videos.items()],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": number, "name": name, "supercategory": "object", "color": colours[name]}
            for name, number in data.categories.items()
        ],
    }
    write_text(path, json.dumps(content, ensure_ascii=False) + "\n")


def read_coco(path: Path) -> list[ImportedFrame]:
    """The annotated frames of a COCO file. Crowds are void, since COCO ignores them, too.

    Raises:
        InputError: it is none.
    """
    content = read_json(path)
    with faults_of(path, "COCO"):
        categories = {entry["id"]: entry for entry in content["categories"]}
        videos = {entry["id"]: str(entry["name"]) for entry in content.get("videos", ())}
        by_image: dict[Any, list[dict[str, Any]]] = {}
        for entry in content["annotations"]:
            by_image.setdefault(entry["image_id"], []).append(entry)
        frames = []
        for image in content["images"]:
            name, folder = split_name(image["file_name"])
            entries = by_image.get(image["id"], [])
            others = [kind for kind in map(_other_shape, entries) if kind]
            drawn = [entry for entry in entries if not _other_shape(entry)]
            crowds = [entry["segmentation"] for entry in drawn if _is_crowd(entry)]
            masks = tuple(_imported(entry, categories) for entry in drawn if not _is_crowd(entry))
            frames.append(
                ImportedFrame(
                    name,
                    masks,
                    video=videos.get(image.get("video_id", 0), folder),
                    index=whole_number(image.get("frame_index")),
                    size_hw=(int(image["height"]), int(image["width"])),
                    annotated=bool(masks),
                    void=partial(_union, crowds) if crowds else None,
                    other_shapes=tuple(others),
                    source=str(image["file_name"]),
                )
            )
    return frames


def _shape(mask: BoolArray, polygons: bool) -> dict[str, Any]:
    shape = coco_mask(mask)
    if polygons:
        parts = [[float(value) for point in ring for value in point] for ring in edge_polygons(mask)]
        shape["segmentation"] = parts
    return shape


def _about(entry: LabelledObject, categories: dict[str, int]) -> dict[str, Any]:
    about: dict[str, Any] = {"category_id": categories[entry.category], "track_id": entry.id}
    return about if entry.name == entry.category else {**about, "object_name": entry.name}


def _other_shape(entry: dict[str, Any]) -> str:
    """What an annotation is that has no mask; "" for one that has."""
    segmentation = entry.get("segmentation")
    if not segmentation:
        return "box"
    drawn = isinstance(segmentation, dict) or any(has_corners(part) for part in segmentation)
    return "" if drawn else FEW_CORNERS


def _is_crowd(entry: dict[str, Any]) -> bool:
    """Whether an annotation is of several objects together, which COCO ignores.

    CVAT and datumaro, which add `attributes`, call each mask a crowd that they write as run lengths.
    """
    return bool(entry.get("iscrowd")) and "attributes" not in entry


def _imported(entry: dict[str, Any], categories: dict[int, dict[str, Any]]) -> ImportedMask:
    category = categories[entry["category_id"]]
    more = entry.get("attributes") or {}
    track = entry.get("track_id", entry.get("instance_id", more.get("track_id")))
    colour = category.get("color")
    return ImportedMask(
        name=str(entry.get("object_name", category["name"])),
        read=partial(_mask, entry["segmentation"]),
        track=None if track is None else f"{track} {category['name']}",
        object_id=whole_number(track),
        colour=colour if isinstance(colour, str) else None,
    )


def _mask(segmentation: Any, size_hw: Size) -> BoolArray:
    if isinstance(segmentation, dict):
        return mask_of_coco(segmentation, size_hw)
    return mask_of_edges(segmentation, size_hw)


def _union(segmentations: list[Any], size_hw: Size) -> BoolArray:
    masks = [_mask(segmentation, size_hw) for segmentation in segmentations]
    together: BoolArray = np.logical_or.reduce(masks)
    return together
