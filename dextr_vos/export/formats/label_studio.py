"""Label Studio: tasks with brush masks, and the labeling configuration that they belong to."""

import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

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
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, OnFrame
from dextr_vos.export.formats.outlines import FEW_CORNERS, has_corners, mask_of_edges, mask_of_ellipse
from dextr_vos.export.formats.run_lengths import label_studio_rle, mask_of_label_studio
from dextr_vos.files import read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.images import SUFFIXES
from dextr_vos.masks import object_ids

_BRUSH, _IMAGE = "brush", "image"  # names of the tags in the configuration
_NO_LABEL = "object"  # the name of a region that nobody has labelled
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
        about = {"image": f"{_LOCAL_FILES}images/{quote(name)}", "clip": clip.name, "frame": index}
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
    """The brush masks, bitmasks, polygons and ellipses of a JSON export or its folder.

    Of a folder, those of all its JSON files. Of the annotations of a task the first counts that was not
    cancelled, without any the first prediction; a task that was skipped, with cancelled ones only, is not
    annotated.

    Raises:
        InputError: there is none, or it is damaged.
    """
    frames = []
    for file in [path] if path.is_file() else files_in(path, "*.json", "Label Studio"):
        content = read_json(file)
        with faults_of(file, "Label Studio"):
            if not isinstance(content, list):
                raise ValueError("it is no list of tasks")
            colours = _colours(file.with_name("config.xml"))
            frames += [_frame(file, task, colours) for task in content]
    return frames


def _frame(file: Path, task: dict[str, Any], colours: dict[str, str]) -> ImportedFrame:
    image = _image_of(task["data"])
    name, folder = split_name(image)
    all_annotations = task.get("annotations") or []
    annotations = [one for one in all_annotations if not one.get("was_cancelled")]
    predictions = [] if all_annotations else task.get("predictions") or []
    done = (annotations or predictions or [{"result": []}])[0]["result"]
    labels = {one["id"]: _label(one) for one in done if one.get("id") is not None and _label(one)}
    regions = [one for one in done if _kind(one) in _READERS and not _has_few_corners(one)]
    masks = tuple(_imported(one, _label(one) or labels.get(one.get("id")), colours) for one in regions)
    others = [str(one["type"]) for one in done if _kind(one) not in (*_READERS, "")]
    sizes = {(int(one["original_height"]), int(one["original_width"])) for one in regions}
    clip = task["data"].get("clip", folder)
    return ImportedFrame(
        name,
        masks,
        video=None if clip is None else str(clip),
        index=whole_number(task["data"].get("frame")),
        size_hw=next(iter(sizes), None),
        annotated=bool(masks) or (bool(annotations) and not done),
        # a region without labels of its own has a result with them beside it
        other_shapes=(*others, *(FEW_CORNERS for one in done if _has_few_corners(one))),
        source=f"{image} of {file.name}",
    )


def _image_of(data: dict[str, Any]) -> str:
    """The image of a task, as it was called before Label Studio put a prefix to an uploaded file."""
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    urls = {key: unquote(value.rpartition("?d=")[2].partition("?")[0]) for key, value in texts.items()}
    images = [url for url in urls.values() if PurePosixPath(url).suffix.lower() in SUFFIXES]
    image = urls.get(_IMAGE) or next(iter(images or urls.values()), None)
    if image is None:
        raise ValueError("the data of a task names no image")
    return re.sub(r"(^|/)data/upload/(.*/)?[0-9a-f]{8}-", "", image)


def _kind(result: dict[str, Any]) -> str:
    """The kind of a region: what it is called without "labels"; "" of a result that has only labels."""
    return str(result.get("type", "")).removesuffix("labels")


def _has_few_corners(result: dict[str, Any]) -> bool:
    """Whether it is a polygon that encloses nothing, like one that nobody has finished."""
    return _kind(result) == "polygon" and not has_corners(np.ravel(result["value"]["points"]).tolist())


def _label(result: dict[str, Any]) -> str | None:
    """The first label that a result gives to its region."""
    names = result["value"].get(result["type"]) if str(result.get("type")).endswith("labels") else None
    return str(names[0]) if names else None


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


def _imported(result: dict[str, Any], label: str | None, colours: dict[str, str]) -> ImportedMask:
    label = label or _NO_LABEL
    meta = result.get("meta") or {}
    object_id = whole_number(meta.get("object_id"))
    return ImportedMask(
        name=str((meta.get("text") or [label])[0]) if object_id is not None else label,
        read=partial(_READERS[_kind(result)], result["value"]),
        track=None if object_id is None else str(object_id),
        object_id=object_id,
        colour=colours.get(label),
    )


def _read_brush(value: dict[str, Any], size_hw: Size) -> BoolArray:
    return mask_of_label_studio(value["rle"], size_hw)


def _read_polygon(value: dict[str, Any], size_hw: Size) -> BoolArray:
    points = np.array(value["points"], dtype=np.float64) / 100 * (size_hw[1], size_hw[0])
    return mask_of_edges([points.ravel().tolist()], size_hw)


def _read_ellipse(value: dict[str, Any], size_hw: Size) -> BoolArray:
    """Centre and radii are shares of the image's width and height, in per cent."""
    x, width = (value[key] / 100 * size_hw[1] for key in ("x", "radiusX"))
    y, height = (value[key] / 100 * size_hw[0] for key in ("y", "radiusY"))
    return mask_of_ellipse((x, y), (width, height), value.get("rotation", 0), size_hw)


def _read_bitmask(value: dict[str, Any], size_hw: Size) -> BoolArray:
    mask = mask_of_png(value["imageDataURL"])
    if mask.shape != size_hw:
        (height, width), (rows, columns) = mask.shape, size_hw
        raise ValueError(f"a bitmask of {width}×{height} pixels, expected {columns}×{rows}")
    return mask


_READERS = {
    "brush": _read_brush,
    "bitmask": _read_bitmask,
    "polygon": _read_polygon,
    "ellipse": _read_ellipse,
}
