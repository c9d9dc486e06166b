"""Exports of a workspace: where their files are, whether they are up to date, and how they are written."""

import os
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dextr_vos.annotation.annotations import Annotations, load_annotations
from dextr_vos.clip import Clip, open_clip
from dextr_vos.errors import InputError
from dextr_vos.export.film import FILM_FORMATS, FilmOptions, write_film
from dextr_vos.export.formats.labelled import FormatOptions, labelled_clip, labelled_clips, rgb_of
from dextr_vos.export.formats.registry import FORMATS, write_format
from dextr_vos.export.overlay import OverlayOptions, write_overlay_video
from dextr_vos.files import atomic_path
from dextr_vos.mask_file import find_mask_file
from dextr_vos.masks import Labels, read_labels
from dextr_vos.web.edits import colour_of
from dextr_vos.web.layers import labels_png
from dextr_vos.workspace import ResultMasks, Workspace


def is_ready(workspace: Workspace, kind: str) -> bool:
    """Whether an export exists and nothing has changed since."""
    sources = (workspace.annotations, workspace.run.record)
    try:
        made = workspace.export(kind).stat().st_mtime_ns
        return all(made >= source.stat().st_mtime_ns for source in sources if source.exists())
    except OSError:
        return False


@dataclass(frozen=True)
class WorkspaceMasks(ResultMasks):
    """The best mask of each frame: that of the keyframe, else of the run, else none.

    Attributes:
        object_ids: ids of the objects; others, deleted since, are left out of the masks.
    """

    object_ids: frozenset[int] = field(default_factory=frozenset)

    @staticmethod
    def of(workspace: Workspace, document: Annotations) -> "WorkspaceMasks":
        """The masks of a workspace."""
        return WorkspaceMasks(
            path=workspace.path,
            folders=(workspace.keyframes, workspace.run.masks),
            keyframes=frozenset(document.keyframes),
            object_names={entry.id: entry.name for entry in document.objects},
            object_ids=frozenset(entry.id for entry in document.objects),
        )

    def find_mask(self, name: str) -> Path | None:
        """See `ResultMasks`; the mask file of a frame that is not a keyframe any more does not count."""
        folders = self.folders if name in (self.keyframes or ()) else self.folders[1:]
        files = (find_mask_file(folder, name) for folder in folders)
        return next((file for file in files if file is not None), None)

    def read(self, clip: Clip, index: int) -> Labels:
        """See `ResultMasks`."""
        path = self.find_mask(clip.names[index])
        if path is None:
            return np.zeros(clip.size_hw, dtype=np.uint8)
        labels = read_labels(path, clip.size_hw)
        labels[~np.isin(labels, list(self.object_ids))] = 0
        return labels


def write_export(
    kind: str, clip_path: Path, workspace_path: Path, on_frame: Callable[[int, int], None]
) -> None:
    """Write one export.

    Args:
        kind: one of `EXPORTS`.
        clip_path: the frames.
        workspace_path: their masks.
        on_frame: called with the number of frames done and in all; what it raises ends the work without a
            trace.

    Raises:
        InputError: there is no mask yet.
    """
    clip, workspace = open_clip(clip_path), Workspace(workspace_path)
    document = load_annotations(workspace.annotations)
    masks = WorkspaceMasks.of(workspace, document)
    if not any(masks.find_mask(name) for name in clip.names):
        raise InputError("there is no mask yet; click on an object first")
    target = workspace.export(kind)
    modified_ns = workspace.annotations.stat().st_mtime_ns
    if kind == "masks":
        write_mask_zip(target, clip, masks, on_frame)
    elif kind == "video":
        colours = {entry.id: rgb_of(colour_of(entry)) for entry in document.objects}
        write_overlay_video(target, clip, masks, OverlayOptions(colours=colours), on_frame)
    else:
        _write_format(kind, target, clip, masks, on_frame)
    if workspace.annotations.stat().st_mtime_ns != modified_ns:  # changed meanwhile: the export is outdated
        os.utime(target, ns=(modified_ns, modified_ns))


def write_mask_zip(
    path: Path, clip: Clip, masks: WorkspaceMasks, on_frame: Callable[[int, int], None]
) -> None:
    """Write the masks as indexed PNGs, `<frame>.png`, into one ZIP file, atomically."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for index, name in enumerate(clip.names):
            if masks.find_mask(name) is not None:
                archive.writestr(f"{name}.png", labels_png(masks.read(clip, index)))
            on_frame(index + 1, len(clip))


def _write_format(
    kind: str, target: Path, clip: Clip, masks: WorkspaceMasks, on_frame: Callable[[int, int], None]
) -> None:
    """Write a format of other programs, without the frames, or film; what is a folder becomes a ZIP file."""
    name, polygons = kind.removesuffix("-polygons"), kind.endswith("-polygons")
    is_film = name in FILM_FORMATS
    suffix = FILM_FORMATS[name].suffix if is_film else FORMATS[name].suffix

    def write(path: Path) -> None:
        if is_film:
            write_film(name, path, labelled_clip(clip, masks), FilmOptions(), on_frame)
            return
        frames = [index for index, frame in enumerate(clip.names) if masks.find_mask(frame) is not None]
        options = FormatOptions("polygon" if polygons else "mask", images=False)
        write_format(name, path, labelled_clips([labelled_clip(clip, masks, frames)]), options, on_frame)

    if suffix:
        write(target)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=target.parent) as scratch:
        folder = Path(scratch) / name
        write(folder)
        with atomic_path(target) as temporary, zipfile.ZipFile(temporary, "w") as archive:
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder), zipfile.ZIP_DEFLATED)
