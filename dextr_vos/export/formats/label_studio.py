"""Label Studio: tasks with brush masks, and the labeling configuration that they belong to."""

import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    Size,
    faults_of,
    files_in,
    split_name,
    whole_number,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, OnFrame
from dextr_vos.export.formats.outlines import mask_of_edges
from dextr_vos.export.formats.run_lengths import label_studio_rle, mask_of_label_studio
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids

_BRUSH, _IMAGE = "brush", "image"  # names of the tags in the configuration
_LOCAL_FILES = "/data/local-files/?d="  # where Label Studio serves files of a folder on its own disk


def write_label_studio(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write `tasks.json`, `config.xml` and, with images, `images/`.

    The images of the tasks are those of a local storage that serves the folder; change `data.image` where
    they are elsewhere.
    """
    tasks = []
    for clip, index, labels in data.frames(on_frame):
        name = data.image_name(clip, index)
        results = []
        for object_id in object_ids(labels):
            entry = clip.objects[object_id]
            results.append(
                {
                    **brush_region(labels == object_id, entry.category, _BRUSH, _IMAGE),
                    "id": f"{clip.name}-{index}-{object_id}",
                    "meta": {"text": [entry.name], "object_id": object_id},
                }
            )
        about = {"image": f"{_LOCAL_FILES}images/{name}", "clip": clip.name, "frame": index}
        tasks.append({"data": about, "annotations": [{"result": results}]})
        if options.images:
            clip.write_image(index, folder / "images" / name)
    write_text(folder / "tasks.json", json.dumps(tasks, ensure_ascii=False) + "\n")
    write_text(folder / "config.xml", _configuration(data.colours()))


def brush_region(mask: BoolArray, label: str, brush: str, image: str) -> dict[str, Any]:
    """A mask as a region of Label Studio, without an id.

    Args:
        mask: H×W bool.
        label: of the region.
        brush: name of the BrushLabels tag in the labeling configuration.
        image: name of the Image tag.
    """
    height, width = mask.shape
    return {
        "type": "brushlabels",
        "from_name": brush,
        "to_name": image,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": label_studio_rle(mask), "brushlabels": [label]},
    }


def read_label_studio(path: Path) -> list[ImportedFrame]:
    """The brush masks and polygons of the first annotation of each task, of a JSON export or its folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    file = path if path.is_file() else files_in(path, "*.json", "Label Studio")[0]
    content = read_json(file)
    frames = []
    with faults_of(file, "Label Studio"):
        colours = _colours(file.with_name("config.xml"))
        for task in content:
            images = [
                value
                for key, value in task["data"].items()
                if isinstance(value, str) and (key == "image" or "." in value)
            ]
            name, folder = split_name(images[0].rpartition("?d=")[2])
            done = task.get("annotations") or task.get("predictions") or [{"result": []}]
            results = [one for one in done[0]["result"] if one.get("type") in _READERS]
            masks = tuple(_imported(one, colours) for one in results)
            sizes = {(int(one["original_height"]), int(one["original_width"])) for one in results}
            index = whole_number(task["data"].get("frame"))
            clip = task["data"].get("clip", folder)
            video = None if clip is None else str(clip)
            annotated = bool(masks) or (bool(task.get("annotations")) and not done[0]["result"])
            frames.append(ImportedFrame(name, masks, video, index, next(iter(sizes), None), annotated))
    return frames


def _configuration(colours: dict[str, str]) -> str:
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", name=_IMAGE, value="$image", zoom="true")
    brush = ElementTree.SubElement(view, "BrushLabels", name=_BRUSH, toName=_IMAGE)
    for name, colour in colours.items():
        ElementTree.SubElement(brush, "Label", value=name, background=colour)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _colours(path: Path) -> dict[str, str]:
    """The colours of labels in a configuration; none where there is no such file."""
    if not path.is_file():
        return {}
    labels: Iterator[ElementTree.Element] = ElementTree.parse(path).getroot().iter("Label")
    return {label.get("value", ""): label.get("background", "") for label in labels}


def _imported(result: dict[str, Any], colours: dict[str, str]) -> ImportedMask:
    label = str(result["value"][result["type"]][0])
    meta = result.get("meta") or {}
    object_id = whole_number(meta.get("object_id"))
    return ImportedMask(
        name=str((meta.get("text") or [label])[0]) if object_id is not None else label,
        read=partial(_READERS[result["type"]], result["value"]),
        track=None if object_id is None else str(object_id),
        object_id=object_id,
        colour=colours.get(label),
    )


def _read_brush(value: dict[str, Any], size_hw: Size) -> BoolArray:
    return mask_of_label_studio(value["rle"], size_hw)


def _read_polygon(value: dict[str, Any], size_hw: Size) -> BoolArray:
    points = np.array(value["points"], dtype=np.float64) / 100 * (size_hw[1], size_hw[0])
    return mask_of_edges([points.ravel().tolist()], size_hw)


_READERS = {"brushlabels": _read_brush, "polygonlabels": _read_polygon}
