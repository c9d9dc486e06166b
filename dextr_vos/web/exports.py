"""Exports of a workspace: what can be written, under which name, and whether a file is up to date."""

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip, open_clip
from dextr_vos.errors import InputError
from dextr_vos.export.film import FILM_FORMATS, FilmOptions, write_film
from dextr_vos.export.formats.labelled import (
    FormatOptions,
    LabelledClip,
    file_stem,
    labelled_clip,
    labelled_clips,
    rgb_of,
)
from dextr_vos.export.formats.registry import FORMATS, MaskFormat, write_format
from dextr_vos.export.overlay import OverlayOptions, write_contact_sheet, write_overlay_video
from dextr_vos.export.page import write_page
from dextr_vos.export.video_file import consecutive
from dextr_vos.files import atomic_path
from dextr_vos.folder_lock import scratch_beside
from dextr_vos.mask_file import find_mask_file
from dextr_vos.masks import Labels, read_labels
from dextr_vos.web.edits import colour_of
from dextr_vos.workspace import ResultMasks, Workspace

if TYPE_CHECKING:
    from dextr_vos.web.schemas import Export

OnFrame = Callable[[int, int], None]

# pictures of the masks: title, suffix
PICTURES = {
    "overlay": ("Overlay video", ".mp4"),
    "sheet": ("Contact sheet", ".jpg"),
    "page": ("Page with video and sheet", ".html"),
}
_WITH_IMAGES = {"yolo", "davis", "youtube-vos", "voc", "labelme", "label-studio"}
_WITHOUT_CATEGORIES = {"masks", "objects", "davis"}
_NAMED_OBJECTS = 3  # in the name of a file; of more, their number
_PART_BYTES = 60  # of a name, which has up to four parts and may be 255 bytes long


def export_formats() -> list[dict[str, Any]]:
    """The formats for the page: name, title, suffix of the file, group, options, suffixes that are read."""
    found = []
    for name, each in FORMATS.items():
        options = {
            "keyframes_only": True,
            "shapes": each.has_shapes,
            "images": name in _WITH_IMAGES,
            "labels": name not in _WITHOUT_CATEGORIES,
        }
        found.append((name, each.title, each.suffix, "Other programs", options))
    for name, film in FILM_FORMATS.items():
        found.append((name, film.title, film.suffix, "Film", {"feather": True, "fps": bool(film.suffix)}))
    for name, (title, suffix) in PICTURES.items():
        video = name != "sheet"
        options = {"opacity": True, "captions": video, "fps": video}
        found.append((name, title, suffix, "To look at", options))
    return [
        {
            "name": name,
            "title": title[0].upper() + title[1:],
            "suffix": suffix or ".zip",
            "folder": not suffix,
            "group": group,
            "options": [option for option, has in options.items() if has],
            "read": [] if name not in FORMATS else _read_suffixes(FORMATS[name]),
        }
        for name, title, suffix, group, options in found
    ]


def _read_suffixes(chosen: MaskFormat) -> list[str]:
    """Of the files that an import takes; a ZIP file holds that file or folder."""
    return [*filter(None, [chosen.suffix or chosen.one_file]), ".zip"]


def check_format(name: str) -> None:
    """Refuse a format that is not there.

    Raises:
        InputError: there is none of this name.
    """
    known = [each["name"] for each in export_formats()]
    if name not in known:
        raise InputError(f"there is no format '{name}'; expected one of {', '.join(known)}")


def exported_files(workspace: Workspace) -> list[dict[str, Any]]:
    """The files that exports have left, the latest first: name, size, whether they are up to date."""
    found = []
    sources = [_modified(path) for path in (workspace.annotations, workspace.run.record)]
    try:
        files = [file for file in os.scandir(workspace.exports) if not file.name.startswith(".")]
    except OSError:
        return []
    for file in files:
        if file.is_file():
            state = file.stat()
            entry = {"name": file.name, "bytes": state.st_size, "current": state.st_mtime_ns >= max(sources)}
            found.append((state.st_mtime_ns, entry))
    return [entry for _, entry in sorted(found, key=lambda each: (-each[0], each[1]["name"]))]


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass(frozen=True)
class WorkspaceMasks(ResultMasks):
    """The best mask of each frame: that of the keyframe, else of the run, else none."""

    @staticmethod
    def of(workspace: Workspace, document: Annotations) -> "WorkspaceMasks":
        """The masks of a workspace, without those of objects that were deleted."""
        return WorkspaceMasks(
            path=workspace.path,
            folders=(workspace.keyframes, workspace.run.masks),
            keyframes=frozenset(document.keyframes),
            object_names={entry.id: entry.name for entry in document.objects},
            only=frozenset(entry.id for entry in document.objects),
        )

    def find_mask(self, name: str) -> Path | None:
        """See `ResultMasks`; the mask file of a frame that is not a keyframe any more does not count."""
        folders = self.folders if name in (self.keyframes or ()) else self.folders[1:]
        files = (find_mask_file(folder, name) for folder in folders)
        return next((file for file in files if file is not None), None)

    def read(self, clip: Clip, index: int) -> Labels:
        """See `ResultMasks`; a frame without a mask is empty."""
        path = self.find_mask(clip.names[index])
        if path is None:
            return np.zeros(clip.size_hw, dtype=np.uint8)
        return self._selected(read_labels(path, clip.size_hw))


def write_export(asked: "Export", clip_path: Path, workspace_path: Path, on_frame: OnFrame) -> Path:
    """Write one export.

    Args:
        asked: what, of which objects and frames, and how.
        clip_path: the frames.
        workspace_path: their masks.
        on_frame: called with the number of frames done and in all; what it raises ends the work without a
            trace.

    Returns:
        The file, whose name says clip, objects, frames and format.

    Raises:
        InputError: there is no mask of what is asked for.
    """
    clip, workspace = open_clip(clip_path), Workspace(workspace_path)
    document = load_annotations(workspace.annotations)
    masks = WorkspaceMasks.of(workspace, document)
    if asked.objects is not None:
        masks = replace(masks, only=frozenset(asked.objects) & (masks.only or frozenset()))
    frames = _frames(asked, clip, masks)
    target = workspace.exports / _file_name(asked, clip, masks, frames)
    target.parent.mkdir(parents=True, exist_ok=True)
    modified_ns = workspace.annotations.stat().st_mtime_ns
    if asked.format in PICTURES:
        colours = {entry.id: rgb_of(colour_of(entry)) for entry in document.objects}
        _write_picture(asked, target, clip, masks, OverlayOptions(
            asked.opacity, colours, asked.captions, asked.fps, consecutive(frames)), on_frame)  # fmt: skip
    else:
        _write_labelled(asked, target, labelled_clip(clip, masks, frames), on_frame)
    if workspace.annotations.stat().st_mtime_ns != modified_ns:  # changed meanwhile: the export is outdated
        os.utime(target, ns=(modified_ns, modified_ns))
    return target


def _frames(asked: "Export", clip: Clip, masks: WorkspaceMasks) -> list[int]:
    """Indices of the frames to write: all that are asked for; of a format of masks, those with a mask.

    Raises:
        InputError: none of them has a mask.
    """
    first, last = asked.frames or (0, len(clip) - 1)
    if not 0 <= first <= last < len(clip):
        raise InputError(
            f"expected a first and a last frame from 0 to {len(clip) - 1}, got {first} and {last}"
        )
    names = clip.names
    masked = [index for index in range(first, last + 1) if masks.find_mask(names[index]) is not None]
    if asked.keyframes_only:
        masked = [index for index in masked if names[index] in (masks.keyframes or ())]
    if not masked or not masks.only:
        where = f" from frame {names[first]} to {names[last]}" if asked.frames else ""
        what = "keyframe" if asked.keyframes_only else "mask"
        raise InputError(f"there is no {what}{where} to export yet; click on an object first, or propagate")
    return masked if asked.format in FORMATS else list(range(first, last + 1))


def _file_name(asked: "Export", clip: Clip, masks: WorkspaceMasks, frames: list[int]) -> str:
    """The clip, its objects, the frames where these are not all, and the format."""
    path = clip.path.resolve()
    ids = sorted(masks.only or ())
    objects = "+".join(masks.object_names[each] for each in ids)
    if len(ids) > _NAMED_OBJECTS:
        objects = f"{len(ids)} objects"
    elif len(objects.encode()) > _PART_BYTES:
        objects = f"objects {'+'.join(map(str, ids))}"
    parts = [path.stem if path.is_file() else path.name, objects]
    if asked.keyframes_only:
        parts.append("keyframes")
    if asked.frames is not None:
        parts.append("-".join(clip.names[index] for index in asked.frames))
    parts.append(asked.format + ("-polygons" if asked.shapes == "polygon" else ""))
    suffix = next(str(each["suffix"]) for each in export_formats() if each["name"] == asked.format)
    return "_".join(_bounded(file_stem(part).replace(" ", "-")) for part in parts) + suffix


def _bounded(part: str) -> str:
    """A part of a file's name; what is cut ends in a digest, so that it is still told apart."""
    content = part.encode()
    if len(content) <= _PART_BYTES:
        return part
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{content[: _PART_BYTES - 9].decode(errors='ignore')}-{digest}"


def _write_picture(
    asked: "Export", target: Path, clip: Clip, masks: ResultMasks, how: OverlayOptions, on_frame: OnFrame
) -> None:
    """Write an overlay video, a contact sheet, or the page of both."""
    assert how.frames is not None
    part = clip[how.frames.start : how.frames.stop]
    if asked.format == "overlay":
        write_overlay_video(target, clip, masks, how, on_frame)
    elif asked.format == "sheet":
        write_contact_sheet(target, part, masks, how.opacity)
        on_frame(1, 1)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            video, sheet = Path(scratch) / "overlay.mp4", Path(scratch) / "sheet.jpg"
            write_overlay_video(video, clip, masks, how, on_frame)
            write_contact_sheet(sheet, part, masks, how.opacity)
            write_page(target, part, masks, video, sheet, None)


def _write_labelled(asked: "Export", target: Path, clip: LabelledClip, on_frame: OnFrame) -> None:
    """Write a format of other programs, or film; what is a folder becomes a ZIP file."""
    is_film = asked.format in FILM_FORMATS
    suffix = FILM_FORMATS[asked.format].suffix if is_film else FORMATS[asked.format].suffix

    def write(path: Path) -> None:
        if is_film:
            write_film(asked.format, path, clip, FilmOptions(asked.feather, asked.fps), on_frame)
            return
        options = FormatOptions(asked.shapes, asked.images)
        write_format(asked.format, path, labelled_clips([clip], asked.labels), options, on_frame)

    if suffix:
        write(target)
        return
    with scratch_beside(target) as scratch:
        folder = scratch / asked.format
        write(folder)
        with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder), zipfile.ZIP_DEFLATED)
