"""Masks of other programs as keyframes of a workspace."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dextr_vos.annotation.annotate import log_corrections
from dextr_vos.annotation.annotations import (
    BRUSH,
    Annotations,
    KeyframeClicks,
    ObjectClicks,
    ObjectEntry,
    load_annotations,
    save_annotations,
)
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError
from dextr_vos.export.formats.imported import ImportedFrame, ImportedMask, faults_of
from dextr_vos.mask_file import find_mask_file, plain_name
from dextr_vos.masks import MAX_OBJECTS, VOID, Labels, default_name, read_labels, write_labels
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

Match = Literal["name", "number"]

# an object: its track, or its name and its place among the masks of that name in a frame
_Key = tuple[str, str, int]


@dataclass(frozen=True)
class FrameMatch:
    """How frames of a file are found in a clip.

    Attributes:
        by: their name, or the last number in it.
        first: the number of the clip's first frame.
        video: the clip of the file that is meant, where it holds several.
    """

    by: Match = "name"
    first: int = 0
    video: str | None = None


@dataclass(frozen=True)
class Imported:
    """What was imported.

    Attributes:
        frames: names of the frames.
        objects: those in them.
        left_out: number of frames that the file lists without masks, and may not have annotated.
    """

    frames: tuple[str, ...]
    objects: tuple[ObjectEntry, ...]
    left_out: int


@dataclass(frozen=True)
class ImportedKeyframe:
    """The labels of a frame, the ids of objects that the file replaces, and which of those are there."""

    labels: Labels
    replaced: frozenset[int]
    there: frozenset[int]


@dataclass(frozen=True)
class ImportPlan:
    """What an import changes.

    Attributes:
        keyframes: by the frame's name.
        objects: those of the file, by id.
        document: the annotations after it.
        left_out: see `Imported`.
    """

    keyframes: dict[str, ImportedKeyframe]
    objects: tuple[ObjectEntry, ...]
    document: Annotations
    left_out: int


def import_masks(
    path: Path, frames: Sequence[ImportedFrame], clip: Clip, workspace: Workspace, match: FrameMatch
) -> Imported:
    """Make the annotated frames of a file keyframes of a workspace.

    Objects of the workspace keep their ids; one of the same name is the same object, without a name of its
    own one of the same id. What is imported lies above other objects of a keyframe, or of a correction, which
    becomes a keyframe. A frame that is annotated as empty holds none of the objects that the file names. Void
    pixels of the file are void in the keyframe where no object is.
    Nothing is written until all masks are read.

    Args:
        path: the file or folder, for messages.
        frames: what was read of it.
        clip: the clip.
        workspace: where to write; it is created if it does not exist.
        match: which frame of the file is which of the clip.

    Raises:
        InputError: a frame is not in the clip, is of another size or is locked, a mask is damaged, or there
            is none.
    """
    workspace.check_clip(clip)
    workspace.check_links()
    before = Annotations(objects=(), keyframes={})
    if workspace.annotations.exists():
        before = load_annotations(workspace.annotations)
    plan = read_import(path, frames, clip, workspace, before, match)
    workspace.write_settings(clip)
    workspace.keyframes_as_png(plan.keyframes)
    for name, keyframe in plan.keyframes.items():
        write_labels(workspace.keyframe(name), keyframe.labels, durable=True)
    save_annotations(workspace.annotations, plan.document)
    log_corrections(before, plan.keyframes)
    return Imported(tuple(plan.keyframes), plan.objects, plan.left_out)


def read_import(
    path: Path,
    frames: Sequence[ImportedFrame],
    clip: Clip,
    workspace: Workspace,
    before: Annotations,
    match: FrameMatch,
) -> ImportPlan:
    """Read all masks of an import, and find out what it changes, which is not written yet.

    Args:
        path: see `import_masks`.
        frames: see `import_masks`.
        clip: the clip.
        workspace: where the masks of its keyframes are.
        before: its annotations.
        match: which frame of the file is which of the clip.

    Raises:
        InputError: see `import_masks`.
    """
    frames = _of_video(path, frames, clip, match)
    placed = _placed(path, [frame for frame in frames if frame.annotated], clip, match)
    for name in placed:
        if name in before.keyframes and before.keyframes[name].locked:
            raise InputError(f"the frame '{name}' is locked in {workspace.path}; unlock it on the page first")
    keys = _keys(path, placed)
    entries = _entries(keys, placed, before)
    made: dict[str, ImportedKeyframe] = {}
    in_file = frozenset(entry.id for entry in entries.values())
    for name, frame in placed.items():
        folder = workspace.corrections if name in before.corrections else workspace.keyframes
        mask = find_mask_file(folder, name)
        ids = [entries[key].id for key in keys[name]]
        made[name] = _keyframe(path, clip, mask, frame, ids, in_file)
    objects = {entry.id: entry for entry in sorted(entries.values(), key=lambda entry: entry.id)}
    document = _document(before, made, tuple(objects.values()))
    left_out = sum(not frame.annotated for frame in frames)
    return ImportPlan(made, tuple(objects.values()), document, left_out)


def _of_video(
    path: Path, frames: Sequence[ImportedFrame], clip: Clip, match: FrameMatch
) -> list[ImportedFrame]:
    """The frames of one clip of the file."""
    videos = sorted({frame.video for frame in frames if frame.video is not None})
    wanted = match.video
    if wanted is None and len(videos) > 1:
        wanted = next((video for video in videos if video in (clip.path.stem, clip.path.name)), None)
        if wanted is None:
            shown = ", ".join(videos[:10]) + (" …" if len(videos) > 10 else "")
            raise InputError(
                f"{path} holds the clips {shown}, none called like {clip.path}; give --clip-name NAME"
            )
    if wanted is not None and wanted not in videos:
        raise InputError(
            f"{path} holds no clip '{wanted}'; it has {', '.join(videos) or 'no names of clips'}"
        )
    return [frame for frame in frames if wanted is None or frame.video == wanted]


def _placed(
    path: Path, frames: Sequence[ImportedFrame], clip: Clip, match: FrameMatch
) -> dict[str, ImportedFrame]:
    """The frames by their names in the clip, in its order."""
    found: dict[int, ImportedFrame] = {}
    for frame in frames:
        index = _index(path, frame, clip, match)
        if index in found:
            raise InputError(
                f"{path} has two frames for '{clip.names[index]}' of {clip.path}: {found[index].title} and "
                f"{frame.title}; keep one, or match them by --match name"
            )
        if frame.size_hw is not None and frame.size_hw != clip.size_hw:
            raise InputError(
                f"the frame {frame.title} of {path} is {frame.size_hw[1]}×{frame.size_hw[0]} pixels, "
                f"those of {clip.path} are {clip.size_hw[1]}×{clip.size_hw[0]}; give the annotated clip"
            )
        found[index] = frame
    if not found:
        raise InputError(f"there is no mask in {path}; expected one of at least one frame of {clip.path}")
    return {clip.names[index]: found[index] for index in sorted(found)}


def _index(path: Path, frame: ImportedFrame, clip: Clip, match: FrameMatch) -> int:
    """The frame of the clip: by its name or the number in it, else by the number that the file gives it."""
    name = plain_name(frame.name)
    if match.by == "name" and name in clip.names:
        return clip.index_of(name)
    digits = re.findall(r"\d+", frame.name) if match.by == "number" else []
    number = int(digits[-1]) - match.first if digits else frame.index
    if number is None or not 0 <= number < len(clip):
        raise InputError(
            f"the frame {frame.title} of {path} is none of {clip.path}, whose {len(clip)} frames are called "
            f"'{clip.names[0]}' to '{clip.names[-1]}'; rename it, or match frames by their numbers with "
            "--match number and --first N, the number of the first frame"
        )
    return number


def _keys(path: Path, placed: Mapping[str, ImportedFrame]) -> dict[str, list[_Key]]:
    """Which object each mask of each frame is of.

    Masks of one name without a track are one object, where frames leave open which is which; in a single
    frame each is an object.
    """
    named = {
        name: Counter(mask.name for mask in frame.masks if mask.track is None)
        for name, frame in placed.items()
    }
    frames_of = Counter(label for counts in named.values() for label in counts)
    keys: dict[str, list[_Key]] = {name: [] for name in placed}
    for name, frame in placed.items():
        seen: Counter[str] = Counter()
        for mask in frame.masks:
            if mask.track is not None:
                key = ("track", mask.track, 0)
            else:
                alone = frames_of[mask.name] == 1
                key = ("name", mask.name, seen[mask.name] if alone else 0)
                if not alone and seen[mask.name] == 1:
                    log.warning(
                        "%s: several '%s' in frame '%s' without track ids become one object",
                        path,
                        mask.name,
                        name,
                    )
                seen[mask.name] += 1
            keys[name].append(key)
    return keys


def _entries(
    keys: Mapping[str, list[_Key]], placed: Mapping[str, ImportedFrame], before: Annotations
) -> dict[_Key, ObjectEntry]:
    """The objects: those of the workspace by name, or by id where the file has only ids.

    Others get the id that they bring, or the next free one.
    """
    first: dict[_Key, ImportedMask] = {}
    for name, frame in placed.items():
        for key, mask in zip(keys[name], frame.masks, strict=True):
            first.setdefault(key, mask)
    known = {entry.name: entry for entry in before.objects}
    numbered = {entry.id: entry for entry in before.objects}
    taken = {entry.id for entry in before.objects}
    brought = Counter(mask.object_id for mask in first.values())
    entries: dict[_Key, ObjectEntry] = {}
    open_keys = []

    def is_free(object_id: int) -> bool:
        return 1 <= object_id <= MAX_OBJECTS and object_id not in taken and brought[object_id] == 1

    for key, mask in sorted(first.items(), key=lambda item: _has_id_only(item[1])):  # names come first
        same = numbered.get(mask.object_id or 0) if _has_id_only(mask) else None
        same = same or known.get(mask.name)
        if same is not None and same.id not in {each.id for each in entries.values()}:
            entries[key] = same
        elif mask.object_id is None or not is_free(mask.object_id):
            open_keys.append(key)
        else:
            entries[key] = _entry(mask.object_id, mask, key)
            taken.add(mask.object_id)
    for key in open_keys:
        free = next((number for number in range(1, MAX_OBJECTS + 1) if number not in taken), None)
        if free is None:
            raise InputError(f"there are more than {MAX_OBJECTS} objects, which is the most a mask can hold")
        taken.add(free)
        entries[key] = _entry(free, first[key], key)
    return entries


def _has_id_only(mask: ImportedMask) -> bool:
    """Whether the file gives the object an id, and no name of its own."""
    return mask.object_id is not None and mask.name == default_name(mask.object_id)


def _entry(object_id: int, mask: ImportedMask, key: _Key) -> ObjectEntry:
    colour = mask.colour.lower() if mask.colour else ""
    is_colour = re.fullmatch(r"#[0-9a-f]{6}", colour) is not None
    name = mask.name if key[2] == 0 else f"{mask.name} {key[2] + 1}"
    if re.fullmatch(r"object \d+", name):  # a default name goes with its id
        name = default_name(object_id)
    return ObjectEntry(id=object_id, name=name, colour=colour if is_colour else None)


def _keyframe(
    path: Path,
    clip: Clip,
    before: Path | None,
    frame: ImportedFrame,
    ids: Sequence[int],
    in_file: frozenset[int],
) -> ImportedKeyframe:
    """A frame's objects, by their ids, above the other objects of the mask `before`, if there is one.

    A frame without objects is without all those of the file, `in_file`.
    """
    replaced = frozenset(ids) or in_file
    labels: Labels = np.zeros(clip.size_hw, dtype=np.uint8)
    if before is not None:
        labels = read_labels(before, clip.size_hw)
        labels[np.isin(labels, list(replaced))] = 0
    there = set()
    for object_id, mask in zip(ids, frame.masks, strict=True):
        with faults_of(path, "mask"):
            inside = mask.read(clip.size_hw)
        labels[inside] = object_id
        if inside.any():
            there.add(object_id)
    if frame.void is not None:
        with faults_of(path, "mask"):
            labels[frame.void(clip.size_hw) & (labels == 0)] = VOID
    return ImportedKeyframe(labels, replaced, frozenset(there))


def _document(
    before: Annotations, made: Mapping[str, ImportedKeyframe], entries: tuple[ObjectEntry, ...]
) -> Annotations:
    """The workspace's document with the keyframes."""
    keyframes, older = {}, dict(before.keyframes)
    for name, keyframe in made.items():
        known = before.frame(name) or KeyframeClicks(objects={})
        kept = {n: clicks for n, clicks in known.objects.items() if n not in keyframe.replaced}
        older[name] = known.model_copy(update={"objects": kept})
        there = {n: ObjectClicks(points=(), made_by=BRUSH) for n in sorted(keyframe.there)}
        if there:  # merged_with empties a keyframe without objects
            keyframes[name] = KeyframeClicks(objects=there)
    corrections = {name: each for name, each in before.corrections.items() if name not in made}
    before = before.model_copy(update={"keyframes": older, "corrections": corrections})
    return before.merged_with(Annotations(objects=entries, keyframes=keyframes))
