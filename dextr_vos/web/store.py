"""The annotations on disk: changes are written in an order that a killed process cannot break.

Layers come first, then the journal, then masks, `annotations.json` last: with it, the change is made. All
content is on the disk before the first file is replaced. A change that was cut off is taken back.
"""

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from dextr_vos.annotation.annotations import (
    BRUSH,
    Annotations,
    ObjectClicks,
    Point,
    as_text,
    load_annotations,
)
from dextr_vos.errors import InputError
from dextr_vos.files import digest_or_empty, read_text, remove, staged, write_text
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels, object_ids, read_labels
from dextr_vos.web import edits
from dextr_vos.web.images import Images
from dextr_vos.web.journal import Change, History, Line, apply_diff, changed_frames, digest_of, extract_diff
from dextr_vos.web.layers import LayerStore, composite, labels_png
from dextr_vos.workspace import Workspace

log = logging.getLogger(__name__)

OnMask = Callable[[Annotations, Path, bytes], None]
NO_ANNOTATIONS = Annotations(objects=(), keyframes={})


class AnnotationStore:
    """A workspace's document, its keyframes' masks and its history, which change together.

    Not safe for threads; `Session` takes care of that.

    Args:
        workspace: its paths.
        images: what is annotated.
        writable: False only reads.
        on_mask: called with the document, the path and the content of every mask that is written.
    """

    def __init__(
        self,
        workspace: Workspace,
        images: Images,
        writable: bool = True,
        on_mask: OnMask = lambda document, path, png: None,
    ) -> None:
        if writable:
            workspace.check_links()
        self.workspace, self._images, self._on_mask = workspace, images, on_mask
        self.layers = LayerStore(workspace.layers)
        self._unsynced = self.layers.unsynced  # what a change writes is waited for together
        self.history = History(workspace.journal)
        self._verified: set[str] = set()  # keyframes whose mask is known to be what their layers make
        self.digests: dict[str, str] = {}
        self.document = self._load()
        self._text_digest = digest_of(self._text())
        self.history.confirm(self._text_digest)
        if writable:
            workspace.sweep()
            self.recover()
            self._adopt()
            self._sweep_corrections()
            self.history.tidy()
            self.layers.sweep({*self.history.layers(), *edits.layers_of(self.document)})
        self.digests = {name: digest_or_empty(workspace.keyframe(name)) for name in self.document.keyframes}

    def commit(
        self,
        after: Annotations,
        label: str,
        index: int | None,
        *,
        before: Annotations | None = None,
        seconds: tuple[str, int, float] | None = None,
        amends: bool = False,
        outline: str | None = None,
    ) -> None:
        """Save a change that can be undone.

        Args:
            after: the document after the change.
            label: what the change is called in the history.
            index: of the frame to show.
            before: the document with all layers known, where that is not the one that is saved.
            seconds: frame, object id and time spent on the object.
            amends: continues the last change; both are undone together.
            outline: see `Change`.
        """
        self.recover()
        before = self.document if before is None else before
        names, objects = changed_frames(before, after), before.objects != after.objects
        if edits.order_of(before) != edits.order_of(after):
            names = sorted({*names, *edits.overlapping(after)})
        last = self.history.to_undo() if amends else None
        parts = (names, objects, before.seconds != after.seconds)
        change = Change(label, index, extract_diff(before, *parts), extract_diff(after, *parts), outline)
        if last is not None:
            change = Change(last.label, index, last.before, change.after)
        if seconds is not None:
            after = edits.with_seconds(after, *seconds)
        self._write("do" if last is None else "amend", after, names, change, seconds)

    def move(self, kind: Literal["undo", "redo"]) -> Change | None:
        """Revert the last change, or make the one again that was reverted last; None where there is none."""
        self.recover()
        change = self.history.to_undo() if kind == "undo" else self.history.to_redo()
        if change is not None:
            diff = change.before if kind == "undo" else change.after
            self._write(kind, apply_diff(self.document, diff), list(diff["frames"]))
        return change

    def recover(self) -> None:
        """Take a change back that was cut off or refused; clear the history if it is of another document."""
        pending = self.history.pending
        if pending is None:
            return
        if self._text_digest != pending.documents[0]:
            log.info("%s was changed by somebody else; its history starts again", self.workspace.annotations)
            self.history.clear()
            return
        moved = {"undo": self.history.to_undo(), "redo": self.history.to_redo()}
        change = moved.get(pending.kind, pending.change)
        if change is not None:  # else a note; masks that it adopted are adopted again
            # only a change before which layers were cut out of masks knows more of them than the document
            before = apply_diff(self.document, change.before) if pending.kind == "do" else self.document
            self._put_masks(before, [name for name in change.before["frames"] if self._differs(before, name)])
        self.history.drop_pending()
        log.info("the last change in %s had been cut off and was taken back", self.workspace.path)

    def note(self, after: Annotations) -> None:
        """Save a change that cannot be undone."""
        self.recover()
        names = [name for name in changed_frames(self.document, after) if name in after.keyframes]
        self._write("note", after, names)

    def with_layers(self, name: str, document: Annotations | None = None) -> Annotations:
        """The document with a layer for each object of a keyframe; missing ones are cut out of its mask."""
        document = self.document if document is None else document
        keyframe = document.frame(name)
        unknown = self._images.index_of(name) is None
        if keyframe is None or not keyframe.objects or unknown or name in self._verified:
            return document
        labels = self.labels(name)
        composed = self._composed(document, name)
        if labels is None or (composed is not None and np.array_equal(composed, labels)):
            self._verified.add(name)
            return document
        return self.with_layers_from(document, name, labels)

    def flattened(self, name: str, document: Annotations) -> Annotations:
        """The document with each object's layer in a keyframe reduced to its visible part."""
        composed = self._composed(document, name)
        return document if composed is None else self.with_layers_from(document, name, composed)

    def labels(self, name: str, document: Annotations | None = None) -> Labels | None:
        """The mask of a keyframe or a correction as it is on disk, H×W uint8, or None."""
        document = self.document if document is None else document
        path = self.workspace.annotated_mask(name, name in document.corrections)
        return read_labels(path, self.size_hw(name)) if path.exists() else None

    def layer(self, name: str, object_id: int, document: Annotations | None = None) -> BoolArray:
        """An object's own mask in a keyframe, H×W bool; all False where it has none."""
        document = self.with_layers(name, document)
        clicks = edits.clicks_of(document, name, object_id)
        return self.layers.get_or_empty(None if clicks is None else clicks.layer, self.size_hw(name))

    def with_stroke(
        self, document: Annotations, name: str, object_id: int, stroke: BoolArray, erase: bool
    ) -> Annotations:
        """Paint on an object's mask in a frame, or erase from it.

        Args:
            document: with the layers of the frame known.
            name: of the frame.
            object_id: of the object.
            stroke: H×W bool.
            erase: erase; else the stroke is also removed from all objects above, so that it is visible.
        """
        clicks = edits.clicks_of(document, name, object_id) or ObjectClicks(points=(), made_by=BRUSH)
        painted = self.layers.with_stroke(clicks, stroke, erase)
        document = edits.with_clicks(document, name, object_id, painted)
        return document if erase else self.with_uncovered(document, name, object_id, stroke)

    def with_uncovered(
        self, document: Annotations, name: str, object_id: int, area: BoolArray
    ) -> Annotations:
        """Remove an area, H×W bool, from all objects above an object."""
        ids = [entry.id for entry in document.objects]
        for above in ids[ids.index(object_id) + 1 :]:
            covering = edits.clicks_of(document, name, above)
            if covering is not None and (self.layer(name, above, document) & area).any():
                cut = self.layers.with_stroke(covering, area, erase=True)
                document = edits.with_clicks(document, name, above, cut)
        return document

    def with_visible(self, document: Annotations, name: str, object_id: int, click: Point) -> Annotations:
        """Cut out of the objects above what covers the part of a mask around a positive click on it."""
        labels, mask = self._composed(document, name), self.layer(name, object_id, document)
        x, y = click.x, click.y
        if labels is None or click.kind != "positive" or not mask[y, x] or labels[y, x] == object_id:
            return document
        _, parts = cv2.connectedComponents((mask & (labels != object_id)).view(np.uint8))
        part = parts == parts[y, x]
        for above, clicks in (document.frame(name) or edits.EMPTY).objects.items():
            if above != object_id and (part & (labels == above)).any():
                cut = self.layers.with_mask(clicks, self.layer(name, above, document) & ~part)
                document = edits.with_clicks(document, name, above, cut)
        return document

    def taken_back(self, name: str, object_id: int, points: tuple[Point, ...]) -> Annotations | None:
        """The document before the last change, if that added a click to these points; else None."""
        last, line = self.history.to_undo(), self.history.last
        if last is None or set(last.before["frames"]) != {name} or "objects" in last.before:
            return None
        fewer = len(points) < len(edits.points_of(self.document, name, object_id))
        if line is None or line.kind == "note" or not fewer:  # after a note, the frame was changed since
            return None
        before = apply_diff(self.document, last.before)
        wanted = {entry.id: edits.points_of(self.document, name, entry.id) for entry in before.objects}
        wanted[object_id] = points  # other clicks changed in a swap
        same = all(edits.points_of(before, name, each) == clicks for each, clicks in wanted.items())
        return before if same else None

    def put_layers(self, labels: Labels, ids: Iterable[int]) -> dict[int, str]:
        """Store the masks of objects in labels as layers; their digests by object id."""
        return {object_id: self.layers.put(labels == object_id) for object_id in ids}

    def size_hw(self, name: str) -> tuple[int, int]:
        """Height and width of a frame."""
        index = self._images.index_of(name)
        if index is None:
            raise InputError(f"there is no image '{name}' any more; put it back, or undo what concerns it")
        return self._images.size_hw(index)

    def reset(self) -> None:
        """Forget all annotations; a copy of the document stays, and the layers until the next session."""
        text = self._text()
        if text is not None:
            write_text(self.workspace.path / "annotations-before-reset.json", text, durable=True)
        self.commit(NO_ANNOTATIONS, "reset", None)
        with suppress(OSError):  # then undo brings it all back
            self.history.clear()

    def _write(
        self,
        kind: str,
        after: Annotations,
        names: list[str],
        change: Change | None = None,
        seconds: tuple[str, int, float] | None = None,
    ) -> None:
        """Write a change: masks of the frames, a line of the journal, the document; all of it or nothing."""
        text = as_text(after)
        line = Line(kind, (self._text_digest, digest_of(text)), change, seconds)
        if edits.order_of(self.document) != edits.order_of(after):
            # the mask of any frame may change in which some overlap
            names = sorted({*names, *edits.overlapping(after)})
        try:
            with staged(self.workspace.annotations, text.encode(), self._unsynced):
                self._put_masks(after, names, line)
        except Exception:
            with suppress(OSError, InputError):  # else later, see `recover`
                self.recover()
            raise
        self.document, self._text_digest = after, digest_of(text)
        self.history.confirm(self._text_digest)
        with suppress(OSError):  # the change is made: nothing after it may be answered as an error
            self._unsynced.wait()
            self.history.tidy()

    def _put_masks(self, document: Annotations, names: Iterable[str], line: Line | None = None) -> None:
        """Make masks what the document says, after all that was written, the line too, is on the disk."""
        with ExitStack() as masks:
            for name in names:
                masks.enter_context(self._mask_written(document, name))
            if line is not None:
                self.history.append(line, self._unsynced)
            self._unsynced.wait()
        self._unsynced.wait()  # that they are in their places

    def _differs(self, document: Annotations, name: str) -> bool:
        """Whether the mask of a frame is not known to be what the document says."""
        labels, found = self._known_labels(document, name), self.labels(name, document)
        return labels is None or found is None or not np.array_equal(labels, found)

    @contextmanager
    def _mask_written(self, document: Annotations, name: str) -> Iterator[None]:
        """Make the mask of a keyframe or a correction what the document says, or remove it, see `staged`."""
        labels = self._known_labels(document, name)
        known = labels is not None
        content = self._moved_mask(document, name) if labels is None else labels_png(labels)
        del labels  # a change may concern a thousand frames
        if content is None:  # the mask stays as it is
            yield
        else:
            path = self.workspace.annotated_mask(name, name in document.corrections)
            with staged(path, content, self._unsynced):
                yield
            if known:
                self._on_mask(document, path, content)
                self._verified.add(name)
            if name in document.keyframes:
                self.digests[name] = hashlib.sha256(content).hexdigest()
        if name not in document.keyframes:
            remove(self.workspace.keyframe(name), self._unsynced)
            self.digests.pop(name, None)
        if name not in document.corrections:
            remove(self.workspace.correction(name), self._unsynced)

    def _moved_mask(self, document: Annotations, name: str) -> bytes | None:
        """The mask of a keyframe that becomes a correction, or the other way, whose layers are not known."""
        self._verified.discard(name)
        is_correction = name in document.corrections
        old = self.workspace.annotated_mask(name, not is_correction)
        missing = not self.workspace.annotated_mask(name, is_correction).exists()
        return old.read_bytes() if document.frame(name) is not None and missing and old.exists() else None

    def _known_labels(self, document: Annotations, name: str) -> Labels | None:
        """The labels of an annotated frame by its layers, H×W uint8; None where they are not known."""
        if document.frame(name) is None:
            return None
        return None if self._images.index_of(name) is None else self._composed(document, name)

    def _composed(self, document: Annotations, name: str) -> Labels | None:
        """The labels that the layers of a keyframe make, H×W uint8; None where a layer is missing."""
        keyframe, size_hw = document.frame(name) or edits.EMPTY, self.size_hw(name)
        layers = {}
        for entry in document.objects:
            clicks = keyframe.objects.get(entry.id)
            if clicks is not None:
                mask = None if clicks.layer is None else self.layers.get(clicks.layer, size_hw)
                if mask is None:
                    return None
                layers[entry.id] = mask
        return composite(layers, size_hw)

    def with_layers_from(self, document: Annotations, name: str, labels: Labels) -> Annotations:
        """The document with the layer of each object of a frame cut out of labels."""
        keyframe = document.frame(name) or edits.EMPTY
        objects = {
            object_id: self.layers.with_mask(clicks, labels == object_id)
            for object_id, clicks in keyframe.objects.items()
        }
        return edits.with_frame(document, name, keyframe.model_copy(update={"objects": objects}))

    def _text(self) -> str | None:
        """The text of the document's file as it is."""
        try:
            return read_text(self.workspace.annotations)
        except FileNotFoundError:
            return None

    def _load(self) -> Annotations:
        path = self.workspace.annotations
        return load_annotations(path) if path.exists() else NO_ANNOTATIONS

    def _adopt(self) -> None:
        """Make masks and document agree where somebody added or deleted masks among the keyframes."""
        after, files = self.document, self.workspace.keyframes_as_png(self._images.names)
        for name in sorted(files & set(self._images.names) - set(after.keyframes)):
            labels = read_labels(self.workspace.keyframe(name), self.size_hw(name))
            ids = object_ids(labels)
            after = edits.with_missing_objects(after, ids)
            keyframe = edits.imported_keyframe(self.put_layers(labels, ids), BRUSH)
            after = edits.with_keyframe(after, name, keyframe)
        for name in sorted(set(after.keyframes) - files):
            for object_id, clicks in after.keyframes[name].objects.items():
                if clicks.points and object_id not in after.drafts.get(name, {}):
                    after = edits.with_draft(after, name, object_id, clicks.points)
            after = edits.without_keyframe(after, name)
        for name in after.corrections:
            if not self.workspace.correction(name).exists():
                after = edits.without_keyframe(after, name)
        if after != self.document:
            self._write("note", after, [])

    def _sweep_corrections(self) -> None:
        """Delete masks of corrections that became keyframes by a command."""
        for path in self.workspace.corrections.glob("*.png"):
            if path.stem not in self.document.corrections and self._images.index_of(path.stem) is not None:
                path.unlink(missing_ok=True)
