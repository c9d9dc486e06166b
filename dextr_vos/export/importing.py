"""Masks of other programs as keyframes of a workspace."""

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
from dextr_vos.errors import InputError, counted, in_frames, on_one_line
from dextr_vos.export.formats.imported import ImportedFrame, Size
from dextr_vos.export.imported_objects import object_entries, object_keys
from dextr_vos.export.painted_frame import PackedArray, PaintedFrame, paint
from dextr_vos.mask_file import find_mask_file, plain_name
from dextr_vos.masks import VOID, Labels, read_labels, write_labels
from dextr_vos.workspace import Workspace

Match = Literal["name", "number"]


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
        warnings: what of the file was not, and what differs from it, as sentences without full stops.
    """

    frames: tuple[str, ...]
    objects: tuple[ObjectEntry, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class ImportedKeyframe:
    """A keyframe after an import.

    Attributes:
        packed_labels: `labels`, compressed.
        replaced: ids of objects whose masks the file replaces.
        there: those of them that are in the labels.
        covered: those of them that others of the file cover wholly.
    """

    packed_labels: PackedArray
    replaced: frozenset[int]
    there: frozenset[int]
    covered: frozenset[int]

    @property
    def labels(self) -> Labels:
        """H×W uint8, not to be written to."""
        return self.packed_labels.unpacked()


@dataclass(frozen=True)
class ImportPlan:
    """What an import changes.

    Attributes:
        keyframes: by the frame's name.
        objects: those of the file, by id.
        document: the annotations after it.
        warnings: see `Imported`.
    """

    keyframes: dict[str, ImportedKeyframe]
    objects: tuple[ObjectEntry, ...]
    document: Annotations
    warnings: tuple[str, ...]


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
    return Imported(tuple(plan.keyframes), plan.objects, plan.warnings)


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
    found = _placed(path, [frame for frame in frames if frame.says_something], clip, match)
    painted = {name: paint(path, frame, clip.size_hw) for name, frame in found.items()}
    empty = {name: each.empty for name, each in painted.items() if each.empty}
    placed = {name: each.frame for name, each in painted.items() if each.frame.says_something}
    if not placed:
        raise InputError(
            f"there is no mask in {path}{_found_instead(frames, empty)}; expected one of at least one frame "
            f"of {clip.path}"
        )
    for name in placed:
        if name in before.keyframes and before.keyframes[name].locked:
            raise InputError(f"the frame '{name}' is locked in {workspace.path}; unlock it on the page first")
    keys, warnings = object_keys(placed)
    entries = object_entries(keys, placed, before)
    made: dict[str, ImportedKeyframe] = {}
    in_file = frozenset(entry.id for entry in entries.values())
    for name in placed:
        folder = workspace.corrections if name in before.corrections else workspace.keyframes
        mask = find_mask_file(folder, name)
        ids = [entries[key].id for key in keys[name]]
        made[name] = _keyframe(clip, mask, painted.pop(name), ids, in_file)
    objects = {entry.id: entry for entry in sorted(entries.values(), key=lambda entry: entry.id)}
    document = _document(before, made, tuple(objects.values()))
    covered = {name: len(keyframe.covered) for name, keyframe in made.items() if keyframe.covered}
    warnings += _left_out(frames, empty, covered, len(found) - len(placed))
    return ImportPlan(made, tuple(objects.values()), document, tuple(map(on_one_line, warnings)))


def _left_out(
    frames: Sequence[ImportedFrame], empty: Mapping[str, int], covered: Mapping[str, int], empty_frames: int
) -> list[str]:
    """What of a file is in no keyframe, as sentences.

    Args:
        frames: what was read of it.
        empty: the numbers of shapes that cover no pixel, by the frame's name.
        covered: those of objects of which others cover all, by the frame's name.
        empty_frames: the number of frames that have only shapes that cover no pixel.
    """
    sentences = []
    kinds = _other_shapes(frames)
    if kinds:
        sentences.append(f"annotations without a mask left out: {kinds}")
    if empty:
        sentences.append(f"{_empty_shapes(empty)} left out {in_frames([*empty])}")
    if covered:
        objects = counted(sum(covered.values()), "object")
        sentences.append(f"{objects} behind others left out {in_frames([*covered])}")
    count = sum(not frame.says_something for frame in frames) + empty_frames
    if count:
        sentences.append(
            f"{counted(count, 'frame')} without masks left out, which may not have been annotated"
        )
    return sentences


def _found_instead(frames: Sequence[ImportedFrame], empty: Mapping[str, int]) -> str:
    """What a file has that is no mask, as a part of a sentence; "" where it has nothing."""
    kinds = _other_shapes(frames)
    found = [f"annotations without a mask, {kinds}"] if kinds else []
    found += [_empty_shapes(empty)] if empty else []
    return f"; it has {' and '.join(found)}" if found else ""


def _empty_shapes(empty: Mapping[str, int]) -> str:
    return f"{counted(sum(empty.values()), 'shape')} without a pixel inside the image"


def _other_shapes(frames: Sequence[ImportedFrame]) -> str:
    """How many annotations of which kinds are no masks; "" where all are."""
    others = Counter(kind for frame in frames for kind in frame.other_shapes)
    return ", ".join(f"{count} of the kind '{kind}'" for kind, count in sorted(others.items()))


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
    for frame in _of_one_size(frames, clip.size_hw):
        index = _index(path, frame, clip, match)
        if index in found:
            named = match.by == "number" and found[index].name != frame.name
            raise InputError(
                f"{path} has two frames for '{clip.names[index]}' of {clip.path}: "
                f"{found[index].source or found[index].title} and {frame.source or frame.title}; keep one"
                + (", or match them by their names, with --match name" if named else "")
            )
        if frame.size_hw is not None and frame.size_hw != clip.size_hw:
            raise InputError(
                f"the frame {frame.title} of {path} is {frame.size_hw[1]}×{frame.size_hw[0]} pixels, "
                f"those of {clip.path} are {clip.size_hw[1]}×{clip.size_hw[0]}; give the annotated clip"
            )
        found[index] = frame
    return {clip.names[index]: found[index] for index in sorted(found)}


def _of_one_size(frames: Sequence[ImportedFrame], size_hw: Size) -> list[ImportedFrame]:
    """The frames without those of other sizes that are there in the clip's size, too, as in full DAVIS."""
    fitting = {frame.name for frame in frames if frame.name and frame.size_hw == size_hw}
    return [frame for frame in frames if frame.size_hw == size_hw or frame.name not in fitting]


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


def _keyframe(
    clip: Clip, before: Path | None, painted: PaintedFrame, ids: Sequence[int], in_file: frozenset[int]
) -> ImportedKeyframe:
    """A frame's objects, by their ids, above the other objects of the mask `before`, if there is one.

    A frame that is annotated as empty is without all those of the file, `in_file`.
    """
    replaced = frozenset(ids) or (in_file if painted.frame.annotated else frozenset())
    labels: Labels = np.zeros(clip.size_hw, dtype=np.uint8)
    if before is not None:
        labels = read_labels(before, clip.size_hw)
        labels[np.isin(labels, list(replaced))] = 0
    top, there = painted.packed_top.unpacked(), set()
    for place, object_id in enumerate(ids, start=1):
        on_top = top == place
        labels[on_top] = object_id
        if on_top.any():
            there.add(object_id)
    labels[(top < 0) & (labels == 0)] = VOID
    covered = frozenset(ids[place - 1] for place in painted.drawn) - there
    return ImportedKeyframe(PackedArray.of(labels), replaced, frozenset(there), covered)


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
