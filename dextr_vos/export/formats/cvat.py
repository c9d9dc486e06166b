"""CVAT for images 1.1 and CVAT for video 1.1: an XML file, masks as run lengths or polygons.

`group_id` is an object's value in the masks of its clip. CVAT has no tracks of masks: as in its own exports,
each mask of a video is a track of one frame. Polygons are tracks over the clip, a track a part of an object.
"""

import xml.etree.ElementTree as ElementTree
from collections import Counter
from functools import partial
from pathlib import Path

from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import ImportedFrame, ImportedMask, Size, faults_of, split_name
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClips, LabelledObject, OnFrame
from dextr_vos.export.formats.outlines import (
    FEW_CORNERS,
    edge_polygons,
    has_corners,
    mask_of_edges,
    mask_of_ellipse,
)
from dextr_vos.export.formats.run_lengths import cvat_mask, mask_of_cvat
from dextr_vos.files import write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids

_ATTRIBUTE = "object"  # its name, where that is not its label
_SHAPE = {"source": "manual", "occluded": "0"}


def write_cvat_images(path: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write "CVAT for images 1.1": an `<image>` a frame.

    Args:
        path: file to write, `.xml`.
        data: the clips.
        options: masks or polygons.
        on_frame: called with the number of frames done and of all frames.
    """
    root = _root(path, data, "annotation", None)
    for number, (clip, index, labels) in enumerate(data.frames(on_frame)):
        size = {"width": str(labels.shape[1]), "height": str(labels.shape[0])}
        name = data.image_name(clip, index)
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": name, **size})
        for object_id in object_ids(labels):
            entry = clip.objects[object_id]
            about = {"label": entry.category, **_SHAPE, "z_order": "0", "group_id": str(object_id)}
            for tag, shape in _shapes(labels == object_id, options):
                _named(ElementTree.SubElement(image, tag, {**about, **shape}), entry)
    _write(path, root)


def write_cvat_video(path: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write "CVAT for video 1.1": `<track>`s, whose frames are numbers.

    Raises:
        InputError: there are several clips.
    """
    clip = data.only_clip("CVAT for video")
    root = _root(path, data, "interpolation", len(clip.clip))
    tracks: dict[tuple[int, int], tuple[ElementTree.Element, int]] = {}  # with the last frame, by id and part
    last = max(clip.frames)
    for _, index, labels in data.frames(on_frame):
        for object_id in object_ids(labels):
            entry = clip.objects[object_id]
            for part, (tag, shape) in enumerate(_shapes(labels == object_id, options)):
                track, before = tracks.get((object_id, part), (None, -1))
                if track is None or tag == "mask":
                    about = {"id": str(len(root) - 2), "label": entry.category, "source": "manual"}
                    track = ElementTree.SubElement(root, "track", {**about, "group_id": str(object_id)})
                elif before < index - 1:
                    _ended(track, before + 1)
                _named(ElementTree.SubElement(track, tag, _tracked(index, "0") | shape), entry)
                if tag == "mask" and index < last:
                    _ended(track, index + 1)
                tracks[object_id, part] = (track, index)
    for track, before in tracks.values():
        if before < last and track[-1].tag == "polygon":
            _ended(track, before + 1)
    _write(path, root)


def read_cvat(path: Path) -> list[ImportedFrame]:
    """The masks, polygons and ellipses of a file for images or for video.

    Of tracks, the frames count in which one has a key frame; there others may lie between theirs.

    Raises:
        InputError: it is neither.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the latter of unknown encodings
        raise InputError(f"{path} is no XML file: {error}; give the annotations.xml of CVAT") from None
    with faults_of(path, "CVAT"):
        labels = root.iter("label")
        colours = {label.findtext("name", ""): label.findtext("color", "") for label in labels}
        tasks = _tasks(root)
        frames = [_image(image, colours, tasks) for image in root.iter("image")]
        return frames + _tracked_frames(root, colours, tasks)


def _root(path: Path, data: LabelledClips, mode: str, frames: int | None) -> ElementTree.Element:
    if path.suffix.lower() != ".xml":
        raise InputError(f"the CVAT file {path} must end in .xml")
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    task = ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task")
    count = sum(len(clip.frames) for clip in data.clips) if frames is None else frames
    about = {"name": ", ".join(clip.name for clip in data.clips), "size": count, "mode": mode}
    for tag, value in {**about, "start_frame": 0, "stop_frame": count - 1}.items():
        ElementTree.SubElement(task, tag).text = str(value)
    labels = ElementTree.SubElement(task, "labels")
    named = any(entry.name != entry.category for clip in data.clips for entry in clip.objects.values())
    for name, colour in data.colours().items():
        label = ElementTree.SubElement(labels, "label")
        for tag, text in (("name", name), ("color", colour), ("type", "any")):
            ElementTree.SubElement(label, tag).text = text
        attributes = ElementTree.SubElement(label, "attributes")
        if named:
            attribute = ElementTree.SubElement(attributes, "attribute")
            kinds = (("name", _ATTRIBUTE), ("mutable", "False"), ("input_type", "text"))
            for tag, text in (*kinds, ("default_value", ""), ("values", "")):
                ElementTree.SubElement(attribute, tag).text = text
    size = data.clips[0].clip.size_hw
    original = ElementTree.SubElement(task, "original_size")
    ElementTree.SubElement(original, "width").text = str(size[1])
    ElementTree.SubElement(original, "height").text = str(size[0])
    return root


def _write(path: Path, root: ElementTree.Element) -> None:
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    write_text(path, f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n')


def _shapes(mask: BoolArray, options: FormatOptions) -> list[tuple[str, dict[str, str]]]:
    if options.shapes == "mask":
        return [("mask", cvat_mask(mask))]
    rings = edge_polygons(mask)
    return [("polygon", {"points": ";".join(f"{x:.2f},{y:.2f}" for x, y in ring)}) for ring in rings]


def _named(shape: ElementTree.Element, entry: LabelledObject) -> None:
    if entry.name != entry.category:
        ElementTree.SubElement(shape, "attribute", name=_ATTRIBUTE).text = entry.name


def _tracked(index: int, outside: str) -> dict[str, str]:
    return {"frame": str(index), "keyframe": "1", "outside": outside, "occluded": "0", "z_order": "0"}


def _ended(track: ElementTree.Element, index: int) -> None:
    """Say that the object is not in the frame `index`; CVAT wants its last shape again."""
    shape = track[-1]
    ElementTree.SubElement(track, shape.tag, {**shape.attrib, **_tracked(index, "1")})


def _tasks(root: ElementTree.Element) -> dict[str, str]:
    """The names of a project's tasks by id, where it has several; those of one name have it behind them."""
    ids = {each.get("task_id") for tag in ("image", "track") for each in root.iter(tag)} - {None}
    if len(ids) < 2:
        return {}
    names = {task.findtext("id", ""): task.findtext("name", "") for task in root.iter("task")}
    count = Counter(names.values())
    named = {each: names.get(each, "") for each in sorted(map(str, ids))}
    return {each: name if count[name] == 1 else f"{name} {each}".strip() for each, name in named.items()}


def _image(image: ElementTree.Element, colours: dict[str, str], tasks: dict[str, str]) -> ImportedFrame:
    name, folder = split_name(image.attrib["name"])
    video = tasks.get(image.get("task_id", ""), folder)
    number = image.get("id", "")
    # what CVAT calls the frames of a video
    index = int(number) if number.isdecimal() and name == f"frame_{int(number):06d}" else None
    size = (int(image.attrib["height"]), int(image.attrib["width"]))
    shapes = sorted((shape for shape in image if not _other_shape(shape)), key=_z_order)
    masks = tuple(_imported(shape, shape.attrib, colours, None) for shape in shapes)
    others = tuple(kind for kind in map(_other_shape, image) if kind)
    return ImportedFrame(
        name, masks, video, index, size, bool(masks), other_shapes=others, source=image.attrib["name"]
    )


def _tracked_frames(
    root: ElementTree.Element, colours: dict[str, str], tasks: dict[str, str]
) -> list[ImportedFrame]:
    by_task: dict[str | None, list[ElementTree.Element]] = {}
    for track in root.iter("track"):
        by_task.setdefault(tasks.get(track.get("task_id", "")), []).append(track)
    width, height = root.findtext(".//original_size/width"), root.findtext(".//original_size/height")
    # that of a project's first task is not that of all
    size = None if width is None or height is None or tasks else (int(height), int(width))
    return [frame for task, tracks in by_task.items() for frame in _frames_of(tracks, colours, task, size)]


def _frames_of(
    tracks: list[ElementTree.Element], colours: dict[str, str], video: str | None, size: Size | None
) -> list[ImportedFrame]:
    """The frames of the tracks of one clip."""
    frames: dict[int, list[tuple[int, ImportedMask]]] = {}
    others: dict[int, list[str]] = {}
    shown = [(track, [each for each in track if each.get("outside") != "1"]) for track in tracks]
    key_frames = {
        each.get("frame")
        for _, shapes in shown
        for each in shapes
        if _is_key(each) and not _other_shape(each)
    }
    for track, shapes in shown:
        # a mask of one frame is a shape, which says of no other that it is of the same object
        alone = len(shapes) == 1 and shapes[0].tag == "mask"
        for shape in shapes:
            index = int(shape.attrib["frame"])
            other = _other_shape(shape)
            if other and _is_key(shape):
                others.setdefault(index, []).append(other)
            if other or shape.get("frame") not in key_frames:
                continue
            mask = _imported(shape, track.attrib, colours, None if alone else f"track {track.attrib['id']}")
            frames.setdefault(index, []).append((_z_order(shape), mask))
    return [
        ImportedFrame(
            "",
            tuple(mask for _, mask in sorted(frames.get(index, ()), key=lambda each: each[0])),
            video,
            index,
            size,
            annotated=index in frames,
            other_shapes=tuple(others.get(index, ())),
        )
        for index in sorted(frames.keys() | others.keys())
    ]


def _other_shape(shape: ElementTree.Element) -> str:
    """What a shape is that has no mask; "" for one that has."""
    if shape.tag == "polygon" and not has_corners(_corners(shape.attrib)):
        return FEW_CORNERS
    return "" if shape.tag in _READERS else shape.tag


def _is_key(shape: ElementTree.Element) -> bool:
    """Whether a shape of a track is a key frame, not one that CVAT puts between two."""
    return shape.get("keyframe") != "0"


def _z_order(shape: ElementTree.Element) -> int:
    """The place of a shape above others."""
    return int(shape.get("z_order", 0))


def _imported(
    shape: ElementTree.Element, about: dict[str, str], colours: dict[str, str], track: str | None
) -> ImportedMask:
    label, group = about["label"], int(about.get("group_id", 0))
    named = [one.text for one in shape.iter("attribute") if one.get("name") == _ATTRIBUTE and one.text]
    return ImportedMask(
        name=named[0] if named else label,
        read=partial(_READERS[shape.tag], shape.attrib),
        track=f"group {group} {label}" if group else track,
        object_id=group or None,
        colour=colours.get(label),
    )


def _read_mask(attributes: dict[str, str], size_hw: Size) -> BoolArray:
    return mask_of_cvat(attributes, size_hw)


def _read_polygon(attributes: dict[str, str], size_hw: Size) -> BoolArray:
    return mask_of_edges([[float(value) for value in _corners(attributes)]], size_hw)


def _corners(attributes: dict[str, str]) -> list[str]:
    """The points of a polygon: x, y, x, y and so on."""
    return [value for pair in attributes["points"].split(";") for value in pair.split(",")]


def _read_ellipse(attributes: dict[str, str], size_hw: Size) -> BoolArray:
    x, y, width, height = (float(attributes[key]) for key in ("cx", "cy", "rx", "ry"))
    return mask_of_ellipse((x, y), (width, height), float(attributes.get("rotation", 0)), size_hw)


_READERS = {"mask": _read_mask, "polygon": _read_polygon, "ellipse": _read_ellipse}
