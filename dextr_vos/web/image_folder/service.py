"""Separate images in the browser: each has masks of its own, is finished or skipped, and can be opened again.

```
DESTINATION/<stem><suffix>.png     masks of finished pictures, 8-bit grey (or .npy, uint8)
DESTINATION/.dextr-vos/            clicks, masks of half-done pictures, undo: laid out like a workspace
SOURCE/.anno_prog                  which pictures are done or skipped
```
"""

import logging
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from dextr_vos.clip import image_files
from dextr_vos.errors import InputError
from dextr_vos.masks import Labels
from dextr_vos.web import edits
from dextr_vos.web.image_folder.masks import WrittenMasks
from dextr_vos.web.image_folder.progress import ProgressFile, Status
from dextr_vos.web.image_folder.session import FolderSession
from dextr_vos.web.image_folder.settings import FolderSettings
from dextr_vos.web.images import ImageFiles
from dextr_vos.web.segmenter_process import Engine
from dextr_vos.web.service import only_for_clips
from dextr_vos.web.session import ReadOnlyError, Session
from dextr_vos.web.shown_masks import ShownMasks
from dextr_vos.web.state import annotated
from dextr_vos.web.store import SavedDocument
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

WORK = ".dextr-vos"


class FolderService:
    """See `Service`.

    Args:
        settings: of the session; folders are there or can be made.
        engine: makes masks of clicks.
        readonly: why nothing can be changed, or None.

    Raises:
        InputError: no pictures, or two whose masks would be one file.
    """

    def __init__(self, settings: FolderSettings, engine: Engine, readonly: str | None = None) -> None:
        self._settings = settings
        self._progress = ProgressFile(progress_path(settings))
        self._files = ImageFiles([])
        self._written = WrittenMasks(settings)
        self._changing = threading.Lock()  # taken within the lock of edits, never around it
        if readonly is None and self._progress.is_new:
            self._begin()
        self._look_for_new(readonly is None)
        workspace = Workspace(settings.required.destination / WORK)
        self._pictures = FolderSession(
            workspace, self._files, engine, self._finished, self._open_again, readonly
        )
        self.session: Session = self._pictures
        self.masks = ShownMasks(self.session)

    def state(self) -> dict[str, Any]:
        """See `Service`."""
        names = list(self._files.names)
        statuses = [self._progress.status(name) for name in names]
        return {
            **annotated(self.session),
            "mode": "folder",
            "title": self._settings.required.source.resolve().name,
            "fps": None,
            "size": None,
            "masks": {"done": False, "stale": False},
            "confidence": None,
            "suggested": next((index for index, status in enumerate(statuses) if status == "open"), None),
            "job": None,
            "last_job": None,
            "status": statuses,
            "exports": {"masks": False, "video": False, "coco": False},
        }

    def set_status(self, index: int, status: str) -> None:
        """See `Service`; an image that is done has its mask written, one that is reopened gets it back."""
        self._writable()
        name = self._files.names[index]
        if status == "open":
            self._pictures.import_mask(index)

        def set_it(saved: SavedDocument) -> None:
            if status == "done":
                self._finish(saved, index)
            with self._changing:
                self._progress.set({name: _status(status)})

        self.session.exclusively(set_it)

    def reset(self) -> None:
        """See `Service`; masks that were written stay, clicks are kept aside."""
        self._writable()

        def begin_anew(saved: SavedDocument) -> None:
            saved.start_anew()
            with self._changing:
                self._progress.reset()

        self.session.exclusively(begin_anew)

    def poll(self) -> None:
        """See `Service`; pictures that were put into the folder are taken up."""
        writable = self.session.readonly is None
        self.session.refresh()
        with self._changing:
            before = self.state()["status"]
            if not writable:
                self._progress = ProgressFile(progress_path(self._settings))
            try:
                self._look_for_new(writable)
            except InputError as fault:
                log.warning("%s", fault)
            changed = self.state()["status"] != before
        if changed:
            self.session.changed()

    def propagate(self, budget_s: float | None) -> None:
        """See `Service`."""
        raise only_for_clips()

    def cancel(self) -> None:
        """See `Service`; nothing is ever under way."""

    def export(self, kind: str) -> None:
        """See `Service`."""
        raise only_for_clips()

    def exported(self, kind: str) -> Path:
        """See `Service`."""
        raise only_for_clips()

    def close(self) -> None:
        """See `Service`."""
        self.session.events.close()
        self.session.engine.close()

    def _finish(self, saved: SavedDocument, index: int) -> None:
        """Write the mask of a picture; one without annotations keeps the mask that is there."""
        name, document = self._files.names[index], saved.document
        waiting = document.drafts.get(name, {})
        if waiting:
            number = next(iter(waiting))
            raise InputError(
                f"object {number} of {name} has {len(waiting[number])} of at least four points; "
                "click the others, or take these back, before the picture is done"
            )
        keyframe = document.keyframes.get(name)
        if keyframe is None:
            if not self._written.exists(name):
                self._written.write(name, np.zeros(self._files.size_hw(index), dtype=np.uint8))
            return
        labels = self.masks.labels(index)
        if labels is None:
            raise InputError(
                f"the mask of {name} in {saved.workspace.keyframes} is gone or broken; start dextr-vos again"
            )
        self._written.write(name, labels)
        if not keyframe.settled:  # so that with all points taken back, its mask becomes an empty one
            settled = keyframe.model_copy(update={"settled": True})
            saved.note(edits.with_keyframe(document, name, settled))

    def _finished(self, index: int) -> Labels | None:
        """The written mask of a picture that is done or skipped, or None; see `FolderSession`."""
        name = self._files.names[index]
        if self._progress.status(name) == "open":
            return None
        return self._written.read(name, self._files.size_hw(index))

    def _open_again(self, names: set[str]) -> None:
        """Images whose annotations are not those of their written masks any more are not done."""
        with self._changing:
            opened: dict[str, Status] = {n: "open" for n in names if self._progress.status(n) == "done"}
            if opened:
                self._progress.set(opened)

    def _begin(self) -> None:
        """The first session: pictures whose masks are there already are done."""
        files = image_files(self._settings.required.source)
        done: Status = "done"
        fresh: Status = "open"
        self._progress.set({f.name: done if self._written.exists(f.name) else fresh for f in files})

    def _look_for_new(self, noting: bool) -> None:
        """The pictures of the folder; new ones come last, so that none changes its number."""
        settings = self._settings
        files = {file.name: file for file in image_files(settings.required.source)}
        masks = {self._written.path(name).name for name in files}
        if settings.required.destination.resolve() == settings.required.source.resolve():
            files = {name: file for name, file in files.items() if name not in masks}
        if not settings.optional.update:
            files = {name: file for name, file in files.items() if name in self._progress.known()}
        _refuse_same_masks(list(files), settings)
        new = [name for name in files if name not in self._files.names]
        self._files.add([files[name] for name in new])
        unknown = [name for name in new if name not in self._progress.known()]
        if noting and unknown:
            self._progress.set(dict.fromkeys(unknown, "open"))

    def _writable(self) -> None:
        if self.session.readonly is not None:
            raise ReadOnlyError(self.session.readonly)


def progress_path(settings: FolderSettings) -> Path:
    """Where progress is kept: in the source folder, unless the setting is an absolute path."""
    return settings.required.source / settings.admin.progress_file.expanduser()


def _refuse_same_masks(names: list[str], settings: FolderSettings) -> None:
    twice = [stem for stem, count in Counter(Path(name).stem for name in names).items() if count > 1]
    if twice:
        same = sorted(name for name in names if Path(name).stem == twice[0])
        raise InputError(
            f"{settings.required.source} has several pictures called '{twice[0]}' ({', '.join(same)}), and "
            "their masks would overwrite each other; rename all but one"
        )


def _status(text: str) -> Status:
    """The status of a name that was checked."""
    return "done" if text == "done" else "skipped" if text == "skipped" else "open"
