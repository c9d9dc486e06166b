"""PASCAL VOC (Everingham et al., IJCV 2010) with segmentation: indexed PNGs of classes and of objects."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.datasets.pascal import VOC_CATEGORIES
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
from dextr_vos.mask_file import read_stored
from dextr_vos.mask_values import colour_codes
from dextr_vos.masks import MAX_OBJECTS, VOID, Labels, object_ids, read_labels, voc_palette, write_labels

_BACKGROUND, _IGNORED = "background", "ignored"  # the latter are void pixels


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
    names, has_void = [], False
    for clip, index, labels in data.frames(on_frame):
        has_void = has_void or bool((labels == VOID).any())
        name = Path(data.image_name(clip, index)).with_suffix("").as_posix().replace("/", "_")
        names.append(name)
        of_object = np.arange(256, dtype=np.uint8)  # void stays void
        for entry in clip.objects.values():
            of_object[entry.id] = classes[entry.category]
        write_labels(folder / "SegmentationClass" / f"{name}.png", of_object[labels])
        write_labels(folder / "SegmentationObject" / f"{name}.png", labels)
        write_text(folder / "Annotations" / f"{name}.xml", _boxes(name, clip, labels))
        if options.images:
            clip.write_image(index, folder / "JPEGImages" / f"{name}.jpg")
    # one list: datumaro reads all that there are, and would have each frame several times
    write_text(folder / "ImageSets" / "Segmentation" / "train.txt", "\n".join(names) + "\n")
    numbers = {_BACKGROUND: 0, **classes, **({_IGNORED: VOID} if has_void else {})}
    write_text(folder / "labelmap.txt", _labelmap(numbers))


def read_voc(folder: Path) -> list[ImportedFrame]:
    """The masks of `SegmentationObject`, with classes of `SegmentationClass` and names of `labelmap.txt`.

    Without `labelmap.txt` the classes are those of PASCAL VOC. An object's value is taken for the same object
    in all images where its class is the same.

    Raises:
        InputError: the files are missing or contradict one another.
    """
    names = _class_names(folder / "labelmap.txt")
    palette = colour_codes(voc_palette()).tolist()
    frames = []
    files = masks_in(folder / "SegmentationObject", "PASCAL VOC")
    clips = {file: _clip_of(folder / "Annotations" / f"{file.stem}.xml") for file in files}
    has_several = len(set(clips.values()) - {""}) > 1
    for file in files:
        labels = read_labels(file)
        size = (labels.shape[0], labels.shape[1])
        class_file = folder / "SegmentationClass" / file.name
        with faults_of(class_file, "PASCAL VOC"):
            classes = _class_codes(class_file, labels)
        masks = []
        for object_id in object_ids(labels):
            codes, counts = np.unique(classes[labels == object_id], return_counts=True)
            code = int(codes[counts.argmax()])
            number = palette.index(code) if code in palette else f"of colour #{code:06x}"
            name = names.get(code, f"class {number}")
            masks.append(
                ImportedMask(
                    name=name,
                    read=partial(mask_of_value, file, object_id),
                    track=f"{object_id} {name}",
                    object_id=object_id,
                )
            )
        prefix = f"{clips[file]}_"
        video = clips[file] if has_several and file.stem.startswith(prefix) else None
        stem = file.stem if video is None else file.stem.removeprefix(prefix)
        frames.append(
            ImportedFrame(stem, tuple(masks), video, None, size, void=void_of(file, labels), source=str(file))
        )
    return frames


def _boxes(name: str, clip: LabelledClip, labels: Labels) -> str:
    """The XML of an image: its size, and name and box of each object, with ends that count from 1."""
    root = ElementTree.Element("annotation")
    ElementTree.SubElement(root, "folder").text = clip.name
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


def _clip_of(path: Path) -> str:
    """The folder that an image's XML names, in our files its clip; "" where there is none."""
    if not path.is_file():
        return ""
    with faults_of(path, "PASCAL VOC"):
        return ElementTree.parse(path).getroot().findtext("folder", "")


def _labelmap(numbers: Mapping[str, int]) -> str:
    """`name:r,g,b:parts:actions`, as CVAT and datumaro have it, which want all colours in it."""
    lines, palette = ["# label:color_rgb:parts:actions"], voc_palette().tolist()
    for name, number in numbers.items():
        red, green, blue = palette[number]
        lines.append(f"{name.replace(':', '_')}:{red},{green},{blue}::")
    return "\n".join(lines) + "\n"


def _class_names(path: Path) -> dict[int, str]:
    """Names of the classes by the colour that they have in masks."""
    if not path.is_file():
        colours = colour_codes(voc_palette()).tolist()
        return dict(zip(colours[1:], VOC_CATEGORIES, strict=False))
    names = {}
    with faults_of(path, "labelmap.txt"):
        lines = [line for line in read_text(path).splitlines() if line.strip() and not line.startswith("#")]
        for line, usual in zip(lines, voc_palette(), strict=False):
            name, colour, *_ = line.split(":")
            values = [int(value) for value in colour.split(",")] if colour else usual
            names[int(colour_codes(np.array(values)))] = name
    return names


def _class_codes(path: Path, labels: Labels) -> npt.NDArray[np.int64]:
    """The colours of a mask of classes, H×W, as 0xrrggbb; those of the objects where there is no such file.

    CVAT paints classes in colours of its own, which `labelmap.txt` lists. A file without colours, grey, holds
    numbers of classes.

    Raises:
        InputError: it is damaged, or of another size.
    """
    if not path.is_file():
        return colour_codes(voc_palette()[labels])
    stored = read_stored(path, (labels.shape[0], labels.shape[1]))
    if stored.palette is not None:
        return colour_codes(stored.palette[stored.values])
    if stored.values.ndim == 3 and stored.values.shape[2] >= 3:
        return colour_codes(stored.values)
    return colour_codes(voc_palette()[np.minimum(stored.values, VOID)])
