"""PASCAL VOC (Everingham et al., IJCV 2010) with segmentation: indexed PNGs of classes and of objects."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    faults_of,
    mask_of_value,
    masks_in,
    void_of,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClip, LabelledClips, OnFrame
from dextr_vos.files import read_text, write_text
from dextr_vos.masks import MAX_OBJECTS, Labels, object_ids, read_labels, voc_palette, write_labels

_BACKGROUND = "background"


def write_voc(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write `SegmentationClass`, `SegmentationObject`, `Annotations`, `ImageSets`, `labelmap.txt`, images.

    Classes count from 1 in the order of the categories. Names have no folders: those of several clips begin
    with the clip's.

    Raises:
        InputError: there are more classes than an indexed PNG has colours.
    """
    if len(data.categories) > MAX_OBJECTS:
        raise InputError(f"PASCAL VOC has {MAX_OBJECTS} classes at most, got {len(data.categories)}")
    classes = {name: number for number, name in enumerate(data.categories, start=1)}
    names = []
    for clip, index, labels in data.frames(on_frame):
        name = Path(data.image_name(clip, index)).with_suffix("").as_posix().replace("/", "_")
        names.append(name)
        of_object = np.arange(256, dtype=np.uint8)
        for entry in clip.objects.values():
            of_object[entry.id] = classes[entry.category]
        write_labels(folder / "SegmentationClass" / f"{name}.png", of_object[labels])
        write_labels(folder / "SegmentationObject" / f"{name}.png", labels)
        write_text(folder / "Annotations" / f"{name}.xml", _boxes(name, clip, labels))
        if options.images:
            clip.write_image(index, folder / "JPEGImages" / f"{name}.jpg")
    for subset in ("train", "val", "trainval"):
        write_text(folder / "ImageSets" / "Segmentation" / f"{subset}.txt", "\n".join(names) + "\n")
    write_text(folder / "labelmap.txt", _labelmap([_BACKGROUND, *classes]))


def read_voc(folder: Path) -> list[ImportedFrame]:
    """The masks of `SegmentationObject`, with classes of `SegmentationClass` and names of `labelmap.txt`.

    An object's value is taken for the same object in all images.

    Raises:
        InputError: the files are missing or contradict one another.
    """
    names = _class_names(folder / "labelmap.txt")
    frames = []
    for file in masks_in(folder / "SegmentationObject", "PASCAL VOC"):
        labels = read_labels(file)
        size = (labels.shape[0], labels.shape[1])
        class_file = folder / "SegmentationClass" / file.name
        classes = read_labels(class_file, size) if class_file.is_file() else labels
        masks = []
        for object_id in object_ids(labels):
            number = int(np.bincount(classes[labels == object_id]).argmax())
            masks.append(
                ImportedMask(
                    name=names.get(number, f"class {number}"),
                    read=partial(mask_of_value, file, object_id),
                    track=str(object_id),
                    object_id=object_id,
                )
            )
        frames.append(ImportedFrame(file.stem, tuple(masks), size_hw=size, void=void_of(file, labels)))
    return frames


def _boxes(name: str, clip: LabelledClip, labels: Labels) -> str:
    """The XML of an image: its size, and name and box of each object, with ends that count from 1."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "filename").text = f"{name}.jpg"
    size = ElementTree.SubElement(root, "size")
    for tag, value in (("width", labels.shape[1]), ("height", labels.shape[0]), ("depth", 3)):
        ElementTree.SubElement(size, tag).text = str(value)
    ElementTree.SubElement(root, "segmented").text = "1"
    for object_id in object_ids(labels):
        entry = ElementTree.SubElement(root, "object")
        ElementTree.SubElement(entry, "name").text = clip.objects[object_id].category
        for tag, text in (("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
            ElementTree.SubElement(entry, tag).text = text
        box = ElementTree.SubElement(entry, "bndbox")
        x, y, width, height = cv2.boundingRect((labels == object_id).astype(np.uint8))
        ends = (("xmin", x + 1), ("ymin", y + 1), ("xmax", x + width), ("ymax", y + height))
        for tag, value in ends:
            ElementTree.SubElement(box, tag).text = str(value)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _labelmap(names: Sequence[str]) -> str:
    """`name:r,g,b:parts:actions`, as CVAT and datumaro have it."""
    lines = ["# label:color_rgb:parts:actions"]
    for name, (red, green, blue) in zip(names, voc_palette()[: len(names)].tolist(), strict=True):
        lines.append(f"{name.replace(':', '_')}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"


def _class_names(path: Path) -> dict[int, str]:
    """Names of the classes by their value in masks, which the colours tell."""
    if not path.is_file():
        return {}
    colours = {tuple(colour): number for number, colour in enumerate(voc_palette().tolist())}
    names = {}
    with faults_of(path, "labelmap.txt"):
        for line in read_text(path).splitlines():
            if line.strip() and not line.startswith("#"):
                name, colour, *_ = line.split(":")
                names[colours[tuple(int(value) for value in colour.split(","))]] = name
    return names
