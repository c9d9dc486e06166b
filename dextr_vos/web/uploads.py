"""Files that the page sends, piece by piece, and their import as keyframes."""

import math
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dextr_vos.annotation.annotations import Annotations
from dextr_vos.clip import Clip
from dextr_vos.errors import InputError, counted, in_frames
from dextr_vos.export.formats.imported import ImportedFrame
from dextr_vos.export.formats.registry import FORMATS
from dextr_vos.export.importing import FrameMatch, read_import
from dextr_vos.export.packed import MAX_BYTES, frames_inside, unpack_zip
from dextr_vos.masks import VOID
from dextr_vos.web.object_edits import Edited
from dextr_vos.workspace import Workspace

if TYPE_CHECKING:
    from dextr_vos.web.schemas import Import
    from dextr_vos.web.store import AnnotationStore

_SECONDS_KEPT = 3600.0  # of an upload to which nothing is added and that is not used


class Uploads:
    """Uploads in progress, each a folder that is removed once it is used or the server ends."""

    def __init__(self) -> None:
        self._folders: dict[str, tempfile.TemporaryDirectory[str]] = {}
        self._bytes: dict[str, int] = {}
        self._used_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def append(self, upload: str, path: str, piece: bytes, offset: int) -> None:
        """Add the next piece of a file; one that is sent again takes the place of what follows its offset.

        Args:
            upload: its id, chosen by the page; a new one begins an upload.
            path: of the file in it, with slashes.
            piece: what comes next in the file.
            offset: place of the piece in the file, in bytes.

        Raises:
            InputError: the path leads out of the upload, a piece before this one is missing, or it is too
                large.
        """
        parts = PurePosixPath(path).parts
        if not parts or any(part in ("..", "/") or "\\" in part or "\0" in part for part in parts):
            raise InputError(f"expected the path of a file in the upload, got {path!r:.100}")
        with self._lock:
            self._remove_abandoned()
            if upload not in self._folders:
                self._folders[upload] = tempfile.TemporaryDirectory(prefix="dextr-vos-upload-")
            self._used_at[upload] = time.monotonic()
            file = Path(self._folders[upload].name, *parts)
            there = file.stat().st_size if file.exists() else 0
            if offset > there:
                raise InputError(f"a piece of {path!r:.100} is missing; choose the files again")
            self._bytes[upload] = self._bytes.get(upload, 0) + offset - there + len(piece)
            if self._bytes[upload] > MAX_BYTES:
                self._remove(upload)
                raise InputError(f"the upload is larger than {MAX_BYTES // 10**9} GB; use dextr-vos import")
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("ab") as out:
                out.truncate(offset)
                out.write(piece)

    @contextmanager
    def taken(self, upload: str) -> Iterator[Path]:
        """The folder of an upload, which is removed after the block.

        Raises:
            InputError: there is no such upload.
        """
        with self._lock:
            if upload not in self._folders:
                raise InputError("the uploaded files are gone; choose them again")
            folder = Path(self._folders[upload].name)
            self._used_at[upload] = math.inf  # however long it is read
        try:
            yield folder
        finally:
            with self._lock:
                self._remove(upload)

    def close(self) -> None:
        """Remove all uploads."""
        with self._lock:
            for upload in list(self._folders):
                self._remove(upload)

    def _remove_abandoned(self) -> None:
        limit = time.monotonic() - _SECONDS_KEPT
        for upload in [each for each, used_at in self._used_at.items() if used_at < limit]:
            self._remove(upload)

    def _remove(self, upload: str) -> None:
        folder = self._folders.pop(upload, None)
        if folder is not None:
            folder.cleanup()
        self._bytes.pop(upload, None)
        self._used_at.pop(upload, None)


@dataclass(frozen=True)
class ImportMasks:
    """Make keyframes of an uploaded file or folder, in one change.

    Attributes:
        source: what was uploaded.
        frames: what was read of it.
        clip: the clip.
        workspace: of the clip.
        match: which frame of the file is which of the clip.
        index: see `Edit`.
    """

    source: Path
    frames: list[ImportedFrame]
    clip: Clip
    workspace: Workspace
    match: FrameMatch
    index: int | None = None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit` and `read_import`."""
        plan = read_import(self.source, self.frames, self.clip, self.workspace, document, self.match)
        self.workspace.keyframes_as_png(plan.keyframes)
        after = plan.document
        for name, keyframe in plan.keyframes.items():
            document = store.with_layers(name, document)
            after = store.with_layers_from(after, name, keyframe.labels)
        names = ", ".join(entry.name for entry in plan.objects) or "no object"
        count = len(plan.keyframes)
        label = f"import of {counted(count, 'keyframe')} with {names}"
        warnings = plan.warnings
        void = [name for name, keyframe in plan.keyframes.items() if (keyframe.labels == VOID).any()]
        if void:
            warnings += (f"void pixels, which only dextr-vos import keeps, left out {in_frames(void)}",)
        return Edited(document, after, label, warnings=warnings)


def uploaded_masks(folder: Path, asked: "Import", clip: Clip, workspace: Workspace) -> ImportMasks:
    """The edit that imports an upload.

    Args:
        folder: of the upload.
        asked: the format, and how frames are found.
        clip: the clip.
        workspace: of the clip.

    Raises:
        InputError: the format is unknown, or the files are not of it.
    """
    if asked.format not in FORMATS:
        raise InputError(f"there is no format '{asked.format}' to read; expected one of {', '.join(FORMATS)}")
    _unpack_all(folder)
    source, frames = frames_inside(folder, asked.format)
    return ImportMasks(source, frames, clip, workspace, FrameMatch(asked.match, asked.first, asked.clip))


def _unpack_all(folder: Path) -> None:
    """Unpack the ZIP files of an upload in place.

    Raises:
        InputError: one is damaged, or holds too much.
    """
    for path in [each for each in sorted(folder.rglob("*")) if each.suffix.lower() == ".zip"]:
        unpack_zip(path, path.with_suffix(""))
        path.unlink()
