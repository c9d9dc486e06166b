"""An open workspace: the edits of a person, one at a time, whichever thread they come from.

Readers get values that never change, so that they never wait for a mask that is being made.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar

from dextr_vos.annotation.annotations import PROPAGATION, Annotations, KeyframeClicks, Kind
from dextr_vos.annotation.label_set import LabelFile, LabelSet
from dextr_vos.errors import InputError
from dextr_vos.masks import object_ids
from dextr_vos.web import edits
from dextr_vos.web.click_masks import ClickMasks, check_points
from dextr_vos.web.edits import PointMove
from dextr_vos.web.events import Events
from dextr_vos.web.images import Images
from dextr_vos.web.masks import FrameMasks, RunMasks
from dextr_vos.web.object_edits import Edit, Edited
from dextr_vos.web.segmenter_process import SegmenterLoader
from dextr_vos.web.store import AnnotationStore
from dextr_vos.web.write_access import WriteAccess
from dextr_vos.workspace import Workspace

T = TypeVar("T")


class Session:
    """The annotations of a workspace, and the edits that change them.

    Args:
        workspace: its paths.
        images: what is annotated.
        loader: loads the segmenter that makes masks of clicks.
        run: masks that were propagated.
        readonly: why nothing can be changed, or None.
        shared_labels: label set for a workspace that has none, or None.

    Attributes:
        editing: held during each edit.
        labels: the label set.
        access: whether the workspace may be changed.
        click_masks: makes masks of clicks.
    """

    def __init__(
        self,
        workspace: Workspace,
        images: Images,
        loader: SegmenterLoader,
        run: RunMasks,
        readonly: str | None = None,
        shared_labels: Path | None = None,
    ) -> None:
        self.workspace, self.images, self.loader, self.run = workspace, images, loader, run
        self.access = WriteAccess(workspace.path, readonly, lambda: self.changed())
        self.events = Events()
        self.masks = FrameMasks(workspace, images, run)
        self.labels = LabelFile(workspace.labels, shared_labels)
        self.editing = threading.RLock()
        self._store = self._open_store()
        self._stamp = self._stamp_on_disk()
        self._version = 1
        self._last_move: PointMove | None = None

    @property
    def version(self) -> int:
        """Grows with every change; those of other sessions have another `events.session`."""
        return self._version

    @property
    def readonly(self) -> str | None:
        """Why nothing can be changed, or None."""
        return self.access.readonly

    @property
    def document(self) -> Annotations:
        """The present annotations."""
        return self._store.document

    @property
    def digests(self) -> dict[str, str]:
        """Digests of the keyframes' mask files, by frame."""
        return self._store.digests

    @property
    def history_labels(self) -> tuple[str | None, str | None]:
        """What undo and redo would do, None where they can do nothing."""
        return self._store.history.undo_label, self._store.history.redo_label

    def changed(self) -> None:
        """Tell every page that there is something new."""
        self._version += 1
        self.events.changed(self._version)

    def close(self) -> None:
        """Let the pages hear no more, and keep nothing large in memory."""
        self.events.close()
        for each in (self.images, self.masks, self._store.layers):
            each.clear()

    def refresh(self) -> None:
        """Read again what another server has changed; take back what the disk had refused half-way."""
        if self.access.is_lost():
            return
        if self.readonly is None and self._store.history.pending is not None:
            with self.editing, suppress(OSError, InputError):
                if self._store.history.pending is not None:  # else of an edit that was being made
                    self._store.recover()
                    self.changed()
        elif self.readonly is not None and self._stamp_on_disk() != self._stamp:
            with self.editing, suppress(InputError):  # between two files of a change: the next poll
                self._stamp = self._stamp_on_disk()
                self._store = self._open_store()
                self.changed()

    def set_points(
        self, index: int, object_id: int, points: Sequence[tuple[int, int, Kind]], active_ms: float = 0
    ) -> None:
        """Replace the clicks on an object in a frame.

        Four extreme points make its mask, positive and negative clicks correct the mask that it has; strokes
        stay. The correction of a propagated mask is no keyframe yet, see `Annotations.corrections`.

        Args:
            index: of the frame.
            object_id: of the object.
            points: all of its clicks, x, y and kind.
            active_ms: time spent on it since the last edit.

        Raises:
            InputError: unknown frame or object, a locked frame, or points that cannot be used.
        """
        arrived = time.monotonic()
        name, size_hw = self._name(index), self.images.size_hw(index)
        with self.editing:
            entry = edits.entry_of(self.document, object_id)
            before = self._prepared(index, import_mask=bool(points))
            earlier = edits.points_of(before, name, object_id)
            stamped = edits.stamped(points, earlier)
            check_points(stamped, size_hw, f"frame '{name}', {entry.name}")
            after = self._store.taken_back(name, object_id, stamped)
            if after is None:
                after = self.click_masks.clicked(before, index, object_id, stamped)
            if len(stamped) > len(earlier):
                after = self._store.with_visible(after, name, object_id, stamped[-1])
            after = self._without_unneeded_correction(after, index)
            label = f"{edits.describe_points(earlier, stamped)} on {entry.name}, frame {name}"
            move = edits.point_move(index, object_id, earlier, stamped, arrived)
            amends = move is not None and move.continues(self._last_move)
            self._commit(after, label, index, before, (name, object_id, active_ms), amends=amends)
            # timed from the end of the edit: the pause of the person counts, not how long the mask took
            self._last_move = None if move is None else replace(move, at=time.monotonic())

    def clear(self, index: int, object_id: int, active_ms: float = 0) -> None:
        """Remove an object from a frame, which becomes a keyframe even if it has no other object.

        Raises:
            InputError: unknown frame or object, or a locked frame.
        """
        name = self._name(index)
        with self.editing:
            entry = edits.entry_of(self.document, object_id)
            before = self._prepared(index, import_mask=True)
            after = edits.with_draft(before, name, object_id, ())
            after = edits.with_clicks(after, name, object_id, None)
            frame = (after.frame(name) or edits.EMPTY).model_copy(update={"settled": True})
            after = edits.with_frame(after, name, frame)
            label = f"{entry.name} cleared from frame {name}"
            self._commit(after, label, index, before, (name, object_id, active_ms))

    def set_keyframe(self, index: int, keyframe: bool) -> None:
        """Make a frame, with its present mask, a keyframe, or an ordinary frame again.

        Raises:
            InputError: unknown frame, or a locked one.
        """
        name = self._name(index)
        with self.editing:
            before = self._prepared(index, import_mask=keyframe)
            if keyframe:
                kept = (before.frame(name) or edits.EMPTY).model_copy(update={"settled": True})
                after = edits.with_keyframe(before, name, kept)
                label = f"frame {name} made a keyframe"
            else:
                after = edits.without_drafts(edits.without_keyframe(before, name), name)
                label = f"{'correction of' if name in before.corrections else 'keyframe'} {name} removed"
            self._commit(after, label, index, before)

    def set_locked(self, index: int, locked: bool) -> None:
        """Protect the masks of a frame from every change, or allow changes again.

        Raises:
            InputError: unknown frame.
        """
        name = self._name(index)
        with self.editing:
            before = self._prepared(index, import_mask=locked, even_if_locked=True)
            keyframe, after = before.frame(name) or edits.EMPTY, before
            if locked or name in before.keyframes:
                changed = keyframe.model_copy(update={"locked": locked, "settled": True})
                after = edits.with_keyframe(before, name, changed)
            if locked:
                after = self._store.flattened(name, after)  # another order of objects must not change it
            self._commit(after, f"frame {name} {'locked' if locked else 'unlocked'}", index, before)

    def confirm_corrections(self) -> int:
        """Make keyframes of all corrections, in one change; their number."""
        with self.editing:
            before, names = self.document, list(self.document.corrections)
            for name in names:
                before = self._store.with_layers(name, before)
            many = "1 correction" if len(names) == 1 else f"{len(names)} corrections"
            self._commit(edits.confirmed(before, names), f"{many} made keyframes", None, before)
            return len(names)

    def make(
        self,
        edit: Edit,
        object_id: int | None = None,
        active_ms: float = 0,
        outline: str | None = None,
        moved: bool = False,
    ) -> Edited:
        """Make an edit.

        Args:
            edit: what to do.
            object_id: of the object on which the time was spent in the edit's frame.
            active_ms: that time, since the last edit.
            outline: identifies the outline that the edit draws, whose corners may be moved afterwards.
            moved: they were: the edit takes the place of what this outline has made until now.

        Raises:
            InputError: it is not possible, or something else was changed since the outline was made.
        """
        if moved and outline is None:
            raise InputError("moved goes with outline, which says whose corners were moved")
        with self.editing:
            index = edit.index
            document = self.document if index is None else self._prepared(index, import_mask=True)
            if index is not None and outline is not None and moved:  # the present layers are verified now
                document = self._store.history.before_outline(self.document, outline)
                document = self._prepared(index, import_mask=True, document=document)
            made = edit.apply(self._store, document)
            active = None if index is None or object_id is None else (self._name(index), object_id, active_ms)
            before = self.document if moved else made.before
            self._commit(made.after, made.label, index, before, active, outline=outline)
            return made

    def set_labels(self, labels: LabelSet) -> None:
        """Replace the label set of the workspace; objects keep their names."""
        self.check_writable()
        self.labels.write(labels)
        self.changed()

    def undo(self) -> int | None:
        """Revert the last change; index of the frame to show, None where it concerns no single frame."""
        return self._move_in_history("undo")

    def redo(self) -> int | None:
        """Make the change again that was undone last; index of the frame to show, see `undo`."""
        return self._move_in_history("redo")

    def exclusively(self, act: Callable[[AnnotationStore], T]) -> T:
        """Do something with the store while nobody edits."""
        self.check_writable()
        with self.editing:
            result = act(self._store)
            self.changed()
            return result

    def check_writable(self) -> None:
        """Refuse to change a workspace that another server holds, or that is not there any more.

        Raises:
            ReadOnlyError: another server holds it, or it was removed or replaced.
        """
        self.access.check()

    def _open_store(self) -> AnnotationStore:
        # a mask that is written is sent to the page as it is, without reading it back
        writable = self.readonly is None
        store = AnnotationStore(self.workspace, self.images, writable, on_mask=self.masks.remember)
        self.click_masks = ClickMasks(self.images, self.loader, store.layers)
        return store

    def _move_in_history(self, kind: Literal["undo", "redo"]) -> int | None:
        self.check_writable()
        with self.editing:
            change = self._on_disk(lambda: self._store.move(kind))
            self._last_move = None
            if change is None:
                raise InputError(f"there is nothing to {kind}")
            self.changed()
            return change.index

    def _prepared(
        self,
        index: int,
        import_mask: bool,
        even_if_locked: bool = False,
        document: Annotations | None = None,
    ) -> Annotations:
        """The document ready for a change of a frame: not locked, its layers known.

        Args:
            index: of the frame.
            import_mask: make a propagated mask of the frame its correction, if it has no other annotation.
            even_if_locked: do not refuse a locked frame.
            document: in place of the present one.
        """
        self.check_writable()
        name = self._name(index)
        document = self.document if document is None else document
        frame = document.frame(name)
        if frame is not None:
            if frame.locked and not even_if_locked:
                raise InputError(f"frame '{name}' is locked; unlock it to change it")
            return self._store.with_layers(name, document)
        imported = self._imported(index) if import_mask else None
        return document if imported is None else edits.with_correction(document, name, imported)

    def _imported(self, index: int) -> KeyframeClicks | None:
        """The propagated masks of a frame as if somebody had annotated them; None where there are none."""
        labels = self.run.labels(self._name(index), self.images.size_hw(index))
        if labels is None:
            return None
        listed = {entry.id for entry in self.document.objects}
        layers = self._store.put_layers(labels, [each for each in object_ids(labels) if each in listed])
        return edits.imported_keyframe(layers, PROPAGATION)

    def _without_unneeded_correction(self, document: Annotations, index: int) -> Annotations:
        """A document without the correction of a frame whose masks are the propagated ones again."""
        name = self._name(index)
        frame = document.corrections.get(name)
        if frame is None or any(clicks.points or clicks.painted for clicks in frame.objects.values()):
            return document
        return edits.without_keyframe(document, name) if frame == self._imported(index) else document

    def _commit(
        self,
        after: Annotations,
        label: str,
        index: int | None,
        before: Annotations | None = None,
        active: tuple[str, int, float] | None = None,
        amends: bool = False,
        outline: str | None = None,
    ) -> None:
        """Save a change, unless it changes nothing; `active` is frame, object id and milliseconds spent."""
        self.check_writable()
        before = self.document if before is None else before
        if index is not None and self.document.frame(self._name(index)) is None:
            before = edits.without_keyframe(before, self._name(index))  # an undo removes an imported mask
        if after == before:
            return
        seconds = None if active is None or active[2] <= 0 else (active[0], active[1], active[2] / 1000)
        self._last_move = None
        self._on_disk(
            lambda: self._store.commit(
                after, label, index, before=before, seconds=seconds, amends=amends, outline=outline
            )
        )
        self.changed()

    def _on_disk(self, change: Callable[[], T]) -> T:
        """Make a change; where the disk refuses it, pages look at what is there."""
        try:
            return change()
        except OSError:
            self.changed()
            raise

    def _name(self, index: int) -> str:
        names = self.images.names
        if not 0 <= index < len(names):
            raise InputError(f"there is no frame {index}; expected 0 to {len(names) - 1}")
        return names[index]

    def _stamp_on_disk(self) -> tuple[int, int] | None:
        try:
            file = self.workspace.annotations.stat()
        except OSError:
            return None
        return file.st_mtime_ns, file.st_size
