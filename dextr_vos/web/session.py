"""An open workspace: what a person does to it, one change at a time, from whatever thread it comes.

Whoever looks takes values that never change, so that looking never waits for a mask that is being made.
"""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import numpy as np

from dextr_vos.annotation.annotations import BRUSH, FEWEST_POINTS, Annotations, ObjectClicks, points_xy
from dextr_vos.annotation.clicks import check_inside, check_points
from dextr_vos.annotation.segmenter import label_frame
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import object_ids
from dextr_vos.web import edits
from dextr_vos.web.edits import stroke_mask
from dextr_vos.web.events import Events
from dextr_vos.web.images import Images
from dextr_vos.web.journal import Move, moved, what_happened
from dextr_vos.web.run_results import RunMasks
from dextr_vos.web.segmenter_process import Engine
from dextr_vos.web.store import SavedDocument
from dextr_vos.workspace import Workspace

MOST_POINTS = 1000

T = TypeVar("T")


class ReadOnlyError(Exception):
    """The workspace cannot be changed by this server; the text is one sentence."""


class Session:
    """Annotations of a workspace that change.

    Args:
        workspace: its paths.
        pictures: what is annotated.
        engine: makes masks of clicks.
        run: masks that were propagated.
        readonly: why nothing can be changed, or None.
    """

    def __init__(
        self,
        workspace: Workspace,
        pictures: Images,
        engine: Engine,
        run: RunMasks,
        readonly: str | None = None,
    ) -> None:
        self.workspace, self.pictures, self.engine, self.run = workspace, pictures, engine, run
        self.readonly = readonly
        self.events = Events()
        self._editing = threading.RLock()
        self._saved = SavedDocument(workspace, pictures, readonly is None)
        self._seen = self._stamp()
        # later than that of any server before it, so that a page that was open then knows it is behind
        self._version = int(time.time() * 1000)
        self._move: Move | None = None

    @property
    def version(self) -> int:
        """Grows with every change."""
        return self._version

    @property
    def document(self) -> Annotations:
        """What is annotated now."""
        return self._saved.document

    @property
    def digests(self) -> dict[str, str]:
        """Of the keyframes' mask files, by frame."""
        return self._saved.digests

    def labels_of_history(self) -> tuple[str | None, str | None]:
        """What would be undone and redone."""
        return self._saved.history.undo_label, self._saved.history.redo_label

    def changed(self) -> None:
        """Tell every page that there is something new."""
        self._version += 1
        self.events.changed(self._version)

    def refresh(self) -> None:
        """When somebody else holds the workspace: look whether they have changed it."""
        if self.readonly is not None and self._stamp() != self._seen:
            with self._editing:
                self._seen = self._stamp()
                try:
                    self._saved = SavedDocument(self.workspace, self.pictures, writable=False)
                except InputError:
                    return  # between two files of one change; the next look finds both
            self.changed()

    def set_points(
        self, index: int, number: int, points: Sequence[tuple[int, int]], active_ms: float = 0
    ) -> None:
        """Replace the clicks on an object in a frame; four or more make its mask.

        Raises:
            InputError: unknown frame or object, a locked frame, or points that cannot be used.
        """
        arrived = time.monotonic()
        name, size_hw = self._name(index), self.pictures.size_hw(index)
        with self._editing:
            entry = edits.entry_of(self.document, number)
            where = f"frame '{name}', {entry.name}"
            if len(points) > MOST_POINTS:
                raise InputError(f"{where}: {len(points)} points, expected at most {MOST_POINTS}")
            array = np.array(points, dtype=np.int64).reshape(-1, 2)
            check_inside(array, size_hw, where)
            before = self._opened(index, taking_over=bool(points))
            earlier = edits.points_of(before, name, number)
            stamped = edits.stamped(points, earlier)
            clicked = before.keyframes.get(name, edits.EMPTY).objects.get(number)
            if len(points) >= FEWEST_POINTS:
                check_points(array, size_hw, where)
                segmenter = self.engine.get()
                mask = label_frame(segmenter, self.pictures.read(index), {number: array}) == number
                after = edits.with_draft(before, name, number, ())
                made = ObjectClicks(
                    points=stamped, made_by=segmenter.name, layer=self._saved.layers.put(mask)
                )
                after = edits.with_clicked(after, name, number, made)
            else:
                after = edits.with_draft(before, name, number, stamped)
                if clicked is not None and clicked.points and not clicked.painted:
                    after = edits.with_clicked(after, name, number, None)
                elif clicked is not None:
                    kept = clicked.model_copy(update={"points": ()})
                    after = edits.with_clicked(after, name, number, kept)
            label = f"{what_happened(earlier, stamped)} on {entry.name}, frame {name}"
            move = moved((index, number), points_xy(earlier).tolist(), array.tolist(), arrived)
            goes_on = move is not None and move.goes_on(self._move)
            self._commit(after, label, index, before, (name, number, active_ms), amends=goes_on)
            # from its end on, so that only the person's own pause counts, however long the mask took
            self._move = None if move is None else replace(move, at=time.monotonic())

    def stroke(
        self,
        index: int,
        number: int,
        path: Sequence[tuple[float, float]],
        radius: float,
        erase: bool,
        active_ms: float = 0,
    ) -> None:
        """Paint an object's mask in a frame, or erase of it; paint shows, whatever lay over it.

        Raises:
            InputError: unknown frame or object, or a locked frame.
        """
        name, size_hw = self._name(index), self.pictures.size_hw(index)
        with self._editing:
            entry = edits.entry_of(self.document, number)
            before = self._opened(index, taking_over=True)
            mask = self._saved.layer(name, number, before)
            stroke = stroke_mask(path, radius, size_hw)
            mask = mask & ~stroke if erase else mask | stroke
            clicked = before.keyframes.get(name, edits.EMPTY).objects.get(number)
            if clicked is None:
                clicked = ObjectClicks(points=(), made_by=BRUSH)
            painted: ObjectClicks | None = clicked.model_copy(
                update={"painted": True, "layer": self._saved.layers.put(mask)}
            )
            if not mask.any() and not clicked.points:
                painted = None
            after = edits.with_clicked(before, name, number, painted)
            if not erase:
                after = self._uncovered(after, name, number, stroke)
            label = f"{'eraser' if erase else 'brush'} on {entry.name}, frame {name}"
            self._commit(after, label, index, before, (name, number, active_ms))

    def clear(self, index: int, number: int, active_ms: float = 0) -> None:
        """An object is not in a frame, which is a keyframe even if it says no more than that.

        Raises:
            InputError: unknown frame or object, or a locked frame.
        """
        name = self._name(index)
        with self._editing:
            entry = edits.entry_of(self.document, number)
            before = self._opened(index, taking_over=True)
            after = edits.with_draft(before, name, number, ())
            after = edits.with_clicked(after, name, number, None)
            keyframe = after.keyframes.get(name, edits.EMPTY).model_copy(update={"settled": True})
            after = edits.with_keyframe(after, name, keyframe)
            label = f"{entry.name} not in frame {name}"
            self._commit(after, label, index, before, (name, number, active_ms))

    def set_keyframe(self, index: int, keyframe: bool) -> None:
        """A frame is good as it is and becomes a keyframe, or is none any more.

        Raises:
            InputError: unknown frame, or a locked one.
        """
        name = self._name(index)
        with self._editing:
            before = self._opened(index, taking_over=keyframe)
            if keyframe:
                kept = before.keyframes.get(name, edits.EMPTY).model_copy(update={"settled": True})
                after = edits.with_keyframe(before, name, kept)
                label = f"frame {name} a keyframe"
            else:
                after = edits.without_drafts(edits.without_keyframe(before, name), name)
                label = f"frame {name} no keyframe"
            self._commit(after, label, index, before)

    def set_locked(self, index: int, locked: bool) -> None:
        """A frame's masks stay as they are, whatever is done, until it is unlocked.

        Raises:
            InputError: unknown frame.
        """
        name = self._name(index)
        with self._editing:
            before = self._opened(index, taking_over=locked, locked_too=True)
            keyframe = before.keyframes.get(name, edits.EMPTY)
            after = before
            if locked or name in before.keyframes:
                changed = keyframe.model_copy(update={"locked": locked, "settled": True})
                after = edits.with_keyframe(before, name, changed)
            if locked:
                after = self._saved.flattened(name, after)  # a new order of objects shall not change it
            self._commit(after, f"frame {name} {'locked' if locked else 'unlocked'}", index, before)

    def add_object(self, name: str | None, colour: str | None) -> int:
        """Add an object; its number."""
        with self._editing:
            after, number = edits.new_object(self.document, name, colour)
            self._commit(after, f"new {edits.entry_of(after, number).name}", None)
            return number

    def change_object(self, number: int, changes: dict[str, object]) -> None:
        """Change an object's name, colour or visibility."""
        with self._editing:
            entry = edits.entry_of(self.document, number)
            after = edits.with_entry(self.document, entry.model_copy(update=changes))
            self._commit(after, f"{' and '.join(sorted(changes)) or 'nothing'} of {entry.name}", None)

    def delete_object(self, number: int) -> None:
        """Take an object out of everything."""
        with self._editing:
            entry, before = edits.entry_of(self.document, number), self.document
            for name, keyframe in before.keyframes.items():
                if number in keyframe.objects:
                    before = self._saved.with_layers(name, before)
            self._commit(edits.without_object(before, number), f"{entry.name} deleted", None, before)

    def order_objects(self, numbers: Sequence[int]) -> None:
        """Draw the objects in another order, the last one on top."""
        with self._editing:
            before = self.document
            after = edits.reordered(before, numbers)
            for name, keyframe in before.keyframes.items():
                if len(keyframe.objects) > 1:
                    before = self._saved.with_layers(name, before)
            after = before.model_copy(update={"objects": after.objects})
            self._commit(after, "order of objects", None, before)

    def undo(self) -> int | None:
        """Take the last change back; the frame to look at."""
        return self._moved_through_history(lambda: self._saved.undo(), "undo")

    def redo(self) -> int | None:
        """Make the last change again that was taken back; the frame to look at."""
        return self._moved_through_history(lambda: self._saved.redo(), "redo")

    def exclusively(self, act: Callable[[SavedDocument], T]) -> T:
        """Do something with the document while nobody edits."""
        self._writable()
        with self._editing:
            result = act(self._saved)
            self.changed()
            return result

    def _moved_through_history(self, move: Callable[[], object], what: str) -> int | None:
        self._writable()
        with self._editing:
            change = self._on_disk(move)
            self._move = None
            if change is None:
                raise InputError(f"there is nothing to {what}")
            self.changed()
            index: int | None = getattr(change, "index", None)
            return index

    def _uncovered(self, document: Annotations, name: str, number: int, stroke: BoolArray) -> Annotations:
        """The document without what objects above another one have under a stroke."""
        numbers = [entry.id for entry in document.objects]
        for above in numbers[numbers.index(number) + 1 :]:
            clicked = document.keyframes[name].objects.get(above)
            if clicked is None:
                continue
            mask = self._saved.layer(name, above, document)
            if (mask & stroke).any():
                changes = {"painted": True, "layer": self._saved.layers.put(mask & ~stroke)}
                document = edits.with_clicked(document, name, above, clicked.model_copy(update=changes))
        return document

    def _opened(self, index: int, taking_over: bool, locked_too: bool = False) -> Annotations:
        """The document ready for a change of a frame: unlocked, layers known, propagated masks taken over."""
        self._writable()
        name = self._name(index)
        keyframe = self.document.keyframes.get(name)
        if keyframe is not None:
            if keyframe.locked and not locked_too:
                raise InputError(f"frame '{name}' is locked; unlock it to change it")
            return self._saved.with_layers(name)
        labels = self.run.labels(name, self.pictures.size_hw(index)) if taking_over else None
        if labels is None:
            return self.document
        listed = {entry.id for entry in self.document.objects}
        layers = {n: self._saved.layers.put(labels == n) for n in object_ids(labels) if n in listed}
        return edits.with_keyframe(self.document, name, edits.taken_over(layers, settled=True))

    def _commit(
        self,
        after: Annotations,
        label: str,
        index: int | None,
        before: Annotations | None = None,
        spent: tuple[str, int, float] | None = None,
        amends: bool = False,
    ) -> None:
        self._writable()
        saved = self._saved.document
        if index is not None and self._name(index) not in saved.keyframes:
            before = saved  # what was taken over goes away with an undo
        if after == (saved if before is None else before):
            return
        seconds = None if spent is None or spent[2] <= 0 else (spent[0], spent[1], spent[2] / 1000)
        self._move = None
        self._on_disk(
            lambda: self._saved.commit(after, label, index, before=before, seconds=seconds, amends=amends)
        )
        self.changed()

    def _on_disk(self, change: Callable[[], T]) -> T:
        """Make a change; where the disk refuses a part of it, what is there counts from then on."""
        try:
            return change()
        except OSError:
            with suppress(OSError, InputError):
                self._saved = SavedDocument(self.workspace, self.pictures)
            self.changed()
            raise

    def _name(self, index: int) -> str:
        names = self.pictures.names
        if not 0 <= index < len(names):
            raise InputError(f"there is no frame {index}; expected 0 to {len(names) - 1}")
        return names[index]

    def _writable(self) -> None:
        if self.readonly is not None:
            raise ReadOnlyError(self.readonly)

    def _stamp(self) -> tuple[int, int] | None:
        try:
            told = self.workspace.annotations.stat()
        except OSError:
            return None
        return told.st_mtime_ns, told.st_size
