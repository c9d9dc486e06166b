"""How far the work on a clip is, from the files of its workspace, without opening the clip."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

from dextr_vos.annotation.annotations import load_annotations
from dextr_vos.errors import InputError
from dextr_vos.files import digest_or_empty
from dextr_vos.images import frames_among
from dextr_vos.run_files import frame_confidence, frame_state, read_confidence
from dextr_vos.web.masks import FinishedRun
from dextr_vos.workspace import Workspace


class ClipProgress:
    """The progress of a clip, read again only where a file of the workspace or of the clip has changed.

    Args:
        path: the clip, a folder or a file.
        workspace: of the clip; it need not exist.
    """

    def __init__(self, path: Path, workspace: Workspace) -> None:
        self._path, self._workspace = path, workspace
        self._run = FinishedRun(workspace.run, ())
        self._stamp: tuple[int, ...] | None = None
        self._known: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """Numbers of frames, keyframes, drafts, masks, uncertain and lost frames; whether masks are stale.

        `frames` is None for a video that nobody has opened.
        """
        workspace, run = self._workspace, self._workspace.run
        places = (self._path, workspace.settings, workspace.keyframes, workspace.corrections)
        files = (workspace.annotations, run.masks, run.record, run.confidence)
        stamp = tuple(map(_changed_at, (*places, *files)))
        if stamp != self._stamp:
            self._known, self._stamp = self._read(), stamp
        return self._known

    def _read(self) -> dict[str, Any]:
        workspace, run = self._workspace, self._workspace.run
        keyframes = workspace.keyframe_files()
        states = self._states()
        return {
            "frames": self._frames(),
            "keyframes": len(keyframes),
            "drafts": len(workspace.corrected_frames()),
            "masks": len(list(run.masks.glob("[!.]*.png"))) if run.record.exists() else 0,
            "uncertain": states["uncertain"],
            "lost": states["lost"],
            "stale": self._run.is_stale({file.stem: digest_or_empty(file) for file in keyframes}),
        }

    def _frames(self) -> int | None:
        if self._path.is_dir():
            with os.scandir(self._path) as entries:
                count = len(frames_among(entry.name for entry in entries if entry.is_file()))
            if count > 1:
                return count
        settings = self._workspace.read_settings_or_none()
        return None if settings is None else settings.frames

    def _states(self) -> Counter[str]:
        try:
            scores = read_confidence(self._workspace.run.confidence).values()
        except (OSError, InputError):
            return Counter()
        listed = self._listed()
        counted = ({k: v for k, v in each.items() if listed is None or k in listed} for each in scores)
        return Counter(frame_state(frame_confidence(each)) for each in counted)

    def _listed(self) -> set[int] | None:
        """Ids of the objects that are not deleted; None where the document does not know all objects."""
        if not self._workspace.annotations.exists():
            return None
        try:
            document = load_annotations(self._workspace.annotations)
        except InputError:
            return None
        if {file.stem for file in self._workspace.keyframe_files()} - set(document.keyframes):
            return None  # added beside the page, with objects that it has yet to list
        return {entry.id for entry in document.objects}


def _changed_at(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
