"""Separate images in the browser: each has its own masks, is finished or skipped, and can be reopened.

```
DESTINATION/<stem><suffix>.png     masks of finished images, 8-bit grey (or .npy, uint8)
DESTINATION/.dextr-vos/            clicks, masks of unfinished images, undo: laid out like a workspace
SOURCE/.anno_prog                  which images are done or skipped
```
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np

from dextr_vos.annotation.annotations import BRUSH, Annotations
from dextr_vos.errors import InputError
from dextr_vos.images import image_files
from dextr_vos.masks import Labels, object_ids
from dextr_vos.web import edits, schemas
from dextr_vos.web.image_folder.files import FinishedMasks, FolderSettings, ProgressFile, Status
from dextr_vos.web.images import ImageFiles, Images
from dextr_vos.web.masks import RunMasks
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.service import session_state
from dextr_vos.web.session import Session
from dextr_vos.web.store import AnnotationStore
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

WORK = ".dextr-vos"


class FolderSession(Session):
    """See `Session`.

    Args:
        workspace: its paths.
        images: what is annotated.
        loader: loads the segmenter that makes masks of clicks.
        finished_mask: the finished mask of an image, by index, from which an edit starts, or None.
        on_changed: called with the names of images whose annotations have changed, before the pages are.
        readonly: why nothing can be changed, or None.
    """

    def __init__(
        self,
        workspace: Workspace,
        images: Images,
        loader: SegmenterLoader,
        finished_mask: Callable[[int], Labels | None],
        on_changed: Callable[[set[str]], None],
        readonly: str | None = None,
    ) -> None:
        super().__init__(workspace, images, loader, RunMasks(None, ()), readonly)
        self._finished_mask, self._on_changed = finished_mask, on_changed
        self._reported, self._reported_digests = self.document, dict(self.digests)

    def changed(self) -> None:
        """See `Session`; the images that have changed are reported first."""
        with self.editing:
            names = _images_with_other_clicks(self._reported, self.document)
            old, new = self._reported_digests, self.digests
            names |= {name for name in {*old, *new} if old.get(name) != new.get(name)}
            self._reported, self._reported_digests = self.document, dict(new)
            if names and self.readonly is None:
                self._on_changed(names)
        super().changed()

    def import_mask(self, index: int) -> None:
        """Make the finished mask of an image its annotation, if it has no other; undo removes it again.

        Raises:
            InputError: the mask cannot be used.
        """
        self.check_writable()
        name = self._name(index)
        with self.editing:
            if name not in self.document.keyframes:
                self._commit(self._prepared(index, import_mask=True), f"mask of {name} imported", index)

    def _prepared(
        self,
        index: int,
        import_mask: bool,
        even_if_locked: bool = False,
        document: Annotations | None = None,
    ) -> Annotations:
        """See `Session`; with the objects of a finished mask."""
        before = super()._prepared(index, import_mask, even_if_locked, document)
        name = self._name(index)
        labels = self._finished_mask(index) if import_mask and name not in before.keyframes else None
        if labels is None:
            return before
        ids = object_ids(labels)
        keyframe = edits.imported_keyframe(self._store.put_layers(labels, ids), BRUSH)
        return edits.with_keyframe(edits.with_missing_objects(before, ids), name, keyframe)


def _images_with_other_clicks(before: Annotations, after: Annotations) -> set[str]:
    """Images whose clicks differ; whether masks do is seen from their digests."""
    if before is after:
        return set()
    return {
        name
        for name in {*before.keyframes, *after.keyframes, *before.drafts, *after.drafts}
        if _clicks(before, name) != _clicks(after, name)
    }


def _clicks(document: Annotations, name: str) -> object:
    objects = document.keyframes.get(name, edits.EMPTY).objects
    return document.drafts.get(name), {object_id: clicks.points for object_id, clicks in objects.items()}


class FolderService:
    """The service of separate images; see `Service`.

    Args:
        settings: of the session; its folders exist or can be made.
        loader: loads the segmenter that makes masks of clicks.
        readonly: why nothing can be changed, or None.

    Raises:
        InputError: there are no images, or two whose masks would be one file.
    """

    def __init__(
        self, settings: FolderSettings, loader: SegmenterLoader, readonly: str | None = None
    ) -> None:
        self._settings = settings
        self._progress = ProgressFile(progress_path(settings))
        self._images = ImageFiles([])
        self._finished = FinishedMasks(settings)
        self._changing = threading.Lock()  # taken within the lock of edits, never around it
        if readonly is None and self._progress.is_new:
            self._start_progress()
        self._add_new_images(readonly is None)
        workspace = Workspace(settings.required.destination / WORK)
        self._session = FolderSession(
            workspace, self._images, loader, self._finished_mask, self._reopen, readonly
        )
        self.session: Session = self._session

    def state(self) -> dict[str, Any]:
        """See `Service`; `status` holds the images that are not open."""
        statuses = self._statuses()
        return {
            **session_state(self.session),
            "mode": "folder",
            "project": None,
            "title": self._settings.required.source.resolve().name,
            "fps": None,
            "timed": False,
            "size": None,
            "masks": {"done": False, "stale": False},
            "confidence": None,
            "object_confidence": None,
            "cuts": [],
            "flashes": [],
            "poor": [],
            "replaced": None,
            "suggested": next((index for index, status in enumerate(statuses) if status == "open"), None),
            "job": None,
            "last_job": None,
            "status": {str(index): status for index, status in enumerate(statuses) if status != "open"},
            "exports": [],
        }

    def set_status(self, index: int, status: str) -> None:
        """See `Service`; the mask of an image that is done is written, a reopened one gets it back."""
        self.session.check_writable()
        name = self._images.names[index]
        if status == "open":
            self._session.import_mask(index)

        def act(store: AnnotationStore) -> None:
            if status == "done":
                self._finish(store, index)
            with self._changing:
                self._progress.set({name: cast(Status, status)})

        self.session.exclusively(act)

    def reset(self) -> None:
        """See `Service`; finished masks stay, and a copy of the clicks."""

        def act(store: AnnotationStore) -> None:
            store.reset()
            with self._changing:
                self._progress.reset()

        self.session.exclusively(act)

    def poll(self) -> None:
        """See `Service`; images that were put into the folder are added."""
        self.session.refresh()
        if self.session.access.is_lost():
            return
        writable = self.session.readonly is None
        with self._changing:
            before = self._statuses()
            if not writable:
                self._progress = ProgressFile(progress_path(self._settings))
            try:
                self._add_new_images(writable)
            except InputError as error:
                log.warning("%s", error)
            changed = self._statuses() != before
        if changed:
            self.session.changed()

    def propagate(self, how: schemas.Propagate) -> int:
        """See `Service`."""
        raise _only_for_clips()

    def cancel(self) -> None:
        """See `Service`; there is never a job."""

    def export(self, asked: schemas.Export) -> None:
        """See `Service`."""
        raise _only_for_clips()

    def exported(self, name: str) -> Path:
        """See `Service`."""
        raise _only_for_clips()

    def upload(self, upload: str, path: str, piece: bytes, offset: int) -> None:
        """See `Service`."""
        raise _only_for_clips()

    def import_masks(self, asked: schemas.Import) -> tuple[str, ...]:
        """See `Service`."""
        raise _only_for_clips()

    def close(self) -> None:
        """See `Service`."""
        self.session.close()
        self.session.loader.close()

    def _statuses(self) -> list[Status]:
        return [self._progress.status(name) for name in self._images.names]

    def _finish(self, store: AnnotationStore, index: int) -> None:
        """Write the mask of an image; one without annotations keeps the mask that it has."""
        name, document = self._images.names[index], store.document
        drafts = document.drafts.get(name, {})
        if drafts:
            object_id = next(iter(drafts))
            raise InputError(
                f"object {object_id} of {name} has {len(drafts[object_id])} of at least four points; "
                "click the others, or remove these, before the image is done"
            )
        keyframe = document.keyframes.get(name)
        if keyframe is None:
            if not self._finished.exists(name):
                self._finished.write(name, np.zeros(self._images.size_hw(index), dtype=np.uint8))
            return
        labels = self.session.masks.labels(document, index)
        if labels is None:
            raise InputError(
                f"the mask of {name} in {store.workspace.keyframes} is missing or damaged; "
                "start dextr-vos annotate again"
            )
        self._finished.write(name, labels)
        if not keyframe.settled:  # so that its mask becomes an empty one when all points are removed
            settled = keyframe.model_copy(update={"settled": True})
            store.note(edits.with_keyframe(document, name, settled))

    def _finished_mask(self, index: int) -> Labels | None:
        """The finished mask of an image that is done or skipped, or None; see `FolderSession`."""
        name = self._images.names[index]
        if self._progress.status(name) == "open":
            return None
        return self._finished.read(name, self._images.size_hw(index))

    def _reopen(self, names: set[str]) -> None:
        """Images whose annotations differ from their finished masks are not done any more."""
        with self._changing:
            reopened: dict[str, Status] = {n: "open" for n in names if self._progress.status(n) == "done"}
            if reopened:
                self._progress.set(reopened)

    def _start_progress(self) -> None:
        """The first session: images that have masks already are done."""
        done: Status = "done"
        fresh: Status = "open"
        files = image_files(self._settings.required.source)
        self._progress.set({f.name: done if self._finished.exists(f.name) else fresh for f in files})

    def _add_new_images(self, save: bool) -> None:
        """Add the images of the folder that are not known yet, at the end, so that no index changes."""
        settings = self._settings
        files = {file.name: file for file in image_files(settings.required.source)}
        masks = {self._finished.path(name).name for name in files}
        if settings.required.destination.resolve() == settings.required.source.resolve():
            files = {name: file for name, file in files.items() if name not in masks}
        if not settings.optional.update:
            files = {name: file for name, file in files.items() if name in self._progress.known()}
        _refuse_same_masks(list(files), settings)
        new = [name for name in files if self._images.index_of(name) is None]
        self._images.add([files[name] for name in new])
        unknown = [name for name in new if name not in self._progress.known()]
        if save and unknown:
            self._progress.set(dict.fromkeys(unknown, "open"))


def progress_path(settings: FolderSettings) -> Path:
    """Where progress is kept: in the source folder, unless the setting is an absolute path."""
    return settings.required.source / settings.admin.progress_file.expanduser()


def _only_for_clips() -> InputError:
    return InputError("separate images are not propagated or exported; finish each to have its mask saved")


def _refuse_same_masks(names: list[str], settings: FolderSettings) -> None:
    twice = [stem for stem, count in Counter(Path(name).stem for name in names).items() if count > 1]
    if twice:
        same = sorted(name for name in names if Path(name).stem == twice[0])
        raise InputError(
            f"{settings.required.source} has several images named '{twice[0]}' ({', '.join(same)}), and "
            "their masks would overwrite each other; rename all but one"
        )
