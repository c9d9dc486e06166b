"""Formats that are folders of PNGs: plain masks, DAVIS, YouTube-VOS, and one PNG an object."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import (
    ImportedFrame,
    ImportedMask,
    Size,
    faults_of,
    mask_of_value,
    masks_in,
    void_of,
)
from dextr_vos.export.formats.labelled import FormatOptions, LabelledClip, LabelledClips, OnFrame, file_stem
from dextr_vos.files import atomic_path, read_json, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import default_name, object_ids, read_labels, write_labels


def write_masks(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write indexed PNGs, `FRAME.png`, below CLIP where there are several."""
    for clip, index, labels in data.frames(on_frame):
        top = folder / clip.name if len(data.clips) > 1 else folder
        write_labels(top / f"{clip.clip.names[index]}.png", labels)


def write_davis(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write the layout of DAVIS 2017: `Annotations/480p/CLIP/*.png`, `JPEGImages`, `ImageSets/2017`.

    The level is called 480p whatever the resolution, since readers look there.
    """
    for clip, index, labels in data.frames(on_frame):
        name = clip.clip.names[index]
        write_labels(folder / "Annotations" / "480p" / clip.name / f"{name}.png", labels)
        if options.images:
            clip.write_image(index, folder / "JPEGImages" / "480p" / clip.name / f"{name}.jpg")
    names = "".join(f"{clip.name}\n" for clip in data.clips)
    for subset in ("train", "val"):
        write_text(folder / "ImageSets" / "2017" / f"{subset}.txt", names)


def write_youtube_vos(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write the layout of YouTube-VOS: `meta.json`, `Annotations` and `JPEGImages` in `train`."""
    seen: dict[str, dict[int, list[str]]] = {clip.name: {} for clip in data.clips}
    for clip, index, labels in data.frames(on_frame):
        name = clip.clip.names[index]
        write_labels(folder / "train" / "Annotations" / clip.name / f"{name}.png", labels)
        if options.images:
            clip.write_image(index, folder / "train" / "JPEGImages" / clip.name / f"{name}.jpg")
        for object_id in object_ids(labels):
            seen[clip.name].setdefault(object_id, []).append(name)
    videos = {clip.name: {"objects": _meta(clip, seen[clip.name])} for clip in data.clips}
    text = json.dumps({"videos": videos}, indent=1, ensure_ascii=False)
    write_text(folder / "train" / "meta.json", text + "\n")


def write_object_masks(folder: Path, data: LabelledClips, options: FormatOptions, on_frame: OnFrame) -> None:
    """Write `ID_NAME/FRAME.png`, 0 or 255: a PNG for each object and frame, below CLIP if there are several.

    Frames without the object get a black one, so that each folder is a sequence without gaps.
    """
    for clip, index, labels in data.frames(on_frame):
        top = folder / clip.name if len(data.clips) > 1 else folder
        for entry in clip.objects.values():
            path = top / f"{entry.id}_{file_stem(entry.name)}" / f"{clip.clip.names[index]}.png"
            with atomic_path(path) as temporary:
                Image.fromarray((labels == entry.id).astype(np.uint8) * 255).save(temporary)


def read_davis(folder: Path) -> list[ImportedFrame]:
    """The masks below `Annotations`, in any resolution's folder.

    Raises:
        InputError: there are none.
    """
    files = masks_in(folder / "Annotations", "DAVIS")
    return [_labelled(file, file.parent.name, {}) for file in files]


def read_youtube_vos(folder: Path) -> list[ImportedFrame]:
    """The masks of `Annotations`, with the categories of `meta.json` as names.

    Raises:
        InputError: there are none, or `meta.json` is damaged.
    """
    root = next((one for one in (folder / "train", folder / "valid", folder) if one.is_dir()), folder)
    meta: dict[str, Any] = {}
    if (root / "meta.json").is_file():
        meta = read_json(root / "meta.json")
    frames = []
    with faults_of(root / "meta.json", "YouTube-VOS"):
        for file in masks_in(root / "Annotations", "YouTube-VOS"):
            objects = meta["videos"][file.parent.name]["objects"] if meta else {}
            names = {int(key): _name(value) for key, value in objects.items()}
            frames.append(_labelled(file, file.parent.name, names))
    return frames


def read_object_masks(folder: Path) -> list[ImportedFrame]:
    """Folders of masks, each an object; a number before the name is its id.

    Raises:
        InputError: there are none.
    """
    frames: dict[tuple[str | None, str], list[ImportedMask]] = {}
    for file in masks_in(folder, "one PNG per object"):
        if file.parent == folder:
            raise InputError(
                f"{file} lies beside the folders of objects; expected {folder}/OBJECT/{file.name}, "
                "or a folder of indexed PNGs as format masks"
            )
        above = file.parent.parent
        found = re.fullmatch(r"(\d+)(?:[_ -](.+))?", file.parent.name)
        object_id = int(found[1]) if found else None
        name = file.parent.name if found is None or object_id is None else found[2] or default_name(object_id)
        mask = ImportedMask(name, partial(_binary, file), file.parent.name, object_id, may_be_empty=True)
        frames.setdefault((None if above == folder else above.name, file.stem), []).append(mask)
    return [ImportedFrame(name, tuple(masks), video) for (video, name), masks in frames.items()]


def read_masks(folder: Path) -> list[ImportedFrame]:
    """A folder of masks `FRAME.png`, in any form that `read_labels` takes, or such a folder for each clip.

    Raises:
        InputError: there are none.
    """
    files = masks_in(folder, "masks")
    return [_labelled(file, None if file.parent == folder else file.parent.name, {}) for file in files]


def _meta(clip: LabelledClip, seen: dict[int, list[str]]) -> dict[str, Any]:
    """The objects of a clip as `meta.json` has them; `name` is ours, where it is not the category."""
    return {
        str(entry.id): {"category": entry.category, "frames": seen[entry.id]}
        | ({} if entry.name == entry.category else {"name": entry.name})
        for entry in clip.objects.values()
        if entry.id in seen
    }


def _name(entry: dict[str, Any]) -> str:
    return str(entry.get("name", entry["category"]))


def _labelled(file: Path, video: str | None, names: dict[int, str]) -> ImportedFrame:
    """The frame of a file of labels, which is read now: only its values say which objects there are."""
    labels = read_labels(file)
    masks = tuple(
        ImportedMask(
            name=names.get(object_id, default_name(object_id)),
            read=partial(mask_of_value, file, object_id),
            track=str(object_id),
            object_id=object_id,
        )
        for object_id in object_ids(labels)
    )
    size, void = (labels.shape[0], labels.shape[1]), void_of(file, labels)
    return ImportedFrame(file.stem, masks, video, size_hw=size, void=void, source=str(file))


def _binary(file: Path, size_hw: Size) -> BoolArray:
    inside: BoolArray = read_labels(file, size_hw) > 0
    return inside
