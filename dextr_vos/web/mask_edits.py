"""Edits of masks without clicks: paint, reshape, copy; swap, merge, split. See `object_edits.Edit`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from scipy import ndimage

from dextr_vos.annotation.annotations import BRUSH, Annotations, ObjectClicks
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import Labels
from dextr_vos.web import edits
from dextr_vos.web.layers import area_mask, stroke_mask
from dextr_vos.web.object_edits import AddObject, Edited, with_layers_of

if TYPE_CHECKING:
    from dextr_vos.web.store import AnnotationStore


def filled(mask: BoolArray, pixels: int = 0) -> BoolArray:
    """A mask, H×W bool, with its holes filled; what the image's border opens is no hole."""
    return np.asarray(ndimage.binary_fill_holes(mask), dtype=bool)


def largest_part(mask: BoolArray, pixels: int = 0) -> BoolArray:
    """The largest connected part of a mask, H×W bool; parts that touch at corners are connected."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    return mask if len(areas) < 2 else parts == 1 + int(areas.argmax())


def grown(mask: BoolArray, pixels: int) -> BoolArray:
    """A mask, H×W bool, with everything within a distance of it."""
    return np.asarray(cv2.dilate(mask.view(np.uint8), _disc(pixels)), dtype=bool)


def shrunk(mask: BoolArray, pixels: int) -> BoolArray:
    """A mask, H×W bool, without what is within a distance of its outside; the image's border is none."""
    return np.asarray(cv2.erode(mask.view(np.uint8), _disc(pixels)), dtype=bool)


OPERATIONS: dict[str, tuple[str, Callable[[BoolArray, int], BoolArray]]] = {
    "fill": ("fill holes", filled),
    "largest": ("keep the largest part", largest_part),
    "grow": ("grow", grown),
    "shrink": ("shrink", shrunk),
}
"""What can be done to a mask: its name in the history, and the function."""


@dataclass(frozen=True)
class PaintStroke:
    """Paint on an object's mask, or erase from it; paint is visible above all other objects.

    Attributes:
        index: of the frame.
        name: of the frame.
        object_id: of the object.
        path: see `stroke_mask`.
        radius: of the brush, in pixels.
        erase: erase in place of painting.
        filled: the path is the outline of an area, see `area_mask`; the radius does not count.
    """

    index: int
    name: str
    object_id: int
    path: Sequence[tuple[float, float]]
    radius: float
    erase: bool
    filled: bool

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry, size_hw = edits.entry_of(document, self.object_id), store.size_hw(self.name)
        stroke = (
            area_mask(self.path, size_hw) if self.filled else stroke_mask(self.path, self.radius, size_hw)
        )
        tool = "lasso" if self.filled else "eraser" if self.erase else "brush"
        if not stroke.any():
            raise InputError(
                f"the {tool} has drawn on no pixel of the image; draw a larger area, within the image"
            )
        after = store.with_stroke(document, self.name, self.object_id, stroke, self.erase)
        return Edited(document, after, f"{tool} on {entry.name}, frame {self.name}")


@dataclass(frozen=True)
class ReshapeMask:
    """Do one of OPERATIONS to an object's mask; pixels of other objects stay theirs."""

    index: int
    name: str
    object_id: int
    operation: str
    pixels: int

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry = edits.entry_of(document, self.object_id)
        frame = document.frame(self.name) or edits.EMPTY
        clicks = frame.objects.get(self.object_id)
        if clicks is None:
            raise InputError(f"{entry.name} has no mask in frame '{self.name}'; click on it first")
        done, function = OPERATIONS[self.operation]
        old = store.layer(self.name, self.object_id, document)
        new = function(old, self.pixels)
        others = np.zeros_like(old)
        for other in frame.objects.keys() - {self.object_id}:
            others |= store.layer(self.name, other, document)
        after = document
        for pixels, erase in ((new & ~old & ~others, False), (old & ~new, True)):
            if clicks is not None and pixels.any():  # as strokes, so that later clicks do not undo it
                clicks = store.layers.with_stroke(clicks, pixels, erase)
                after = edits.with_clicks(after, self.name, self.object_id, clicks)
        return Edited(document, after, f"{done}, {entry.name}, frame {self.name}")


@dataclass(frozen=True)
class PutMask:
    """Give an object a mask in a frame that was made in another one."""

    index: int
    name: str
    object_id: int
    mask: BoolArray
    source: str

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry = edits.entry_of(document, self.object_id)
        if not self.mask.any():
            raise InputError(f"{entry.name} has no mask in frame '{self.source}' to copy; click on it first")
        if self.mask.shape != store.size_hw(self.name):
            raise InputError(
                f"'{self.name}' has another size than '{self.source}'; its mask cannot be copied"
            )
        copied = ObjectClicks(points=(), made_by=BRUSH, painted=True, layer=store.layers.put(self.mask))
        after = edits.with_draft(document, self.name, self.object_id, ())
        after = edits.with_clicks(after, self.name, self.object_id, copied)
        after = store.with_uncovered(after, self.name, self.object_id, self.mask)
        return Edited(document, after, f"{entry.name} copied to frame {self.name}")


@dataclass(frozen=True)
class SwapObjects:
    """Exchange two objects in a frame and in all annotated frames after it.

    Attributes:
        index: of the first frame.
        names: of this frame and all later ones.
        object_ids: the two.
    """

    index: int
    names: tuple[str, ...]
    object_ids: tuple[int, int]

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        first, second = self.object_ids
        entries = [edits.entry_of(document, each) for each in self.object_ids]
        if first == second:
            raise InputError(f"expected two objects to swap, got {entries[0].name} twice")
        other = {first: second, second: first}
        before = with_layers_of(store, document, {first, second})
        after = before
        for name in self.names:
            frame = after.frame(name)
            if frame is not None and other.keys() & frame.objects.keys():
                _refuse_locked(after, name, entries[0].name)
                # only visible parts are swapped: which object is on top must not change the masks
                after = store.flattened(name, after)
                flat = (after.frame(name) or edits.EMPTY).objects
                objects = {other.get(each, each): clicks for each, clicks in flat.items()}
                changed = frame.model_copy(update={"objects": dict(sorted(objects.items())), "settled": True})
                after = edits.with_moved_seconds(edits.with_frame(after, name, changed), name, other)
            drafts = after.drafts.get(name, {})
            for each, points in {each: drafts.get(each, ()) for each in other}.items():
                if other.keys() & drafts.keys():
                    after = edits.with_draft(after, name, other[each], points)
        return Edited(
            before, after, f"{entries[0].name} and {entries[1].name} swapped from {self.names[0]} on"
        )


@dataclass(frozen=True)
class MergeObjects:
    """Give an object the visible mask of another one, which is removed, in a frame or several.

    The other object stays in the list, since other frames may have it.

    Attributes:
        index: of the first frame.
        names: of this frame, and of the later ones in which they are merged, too.
        object_id: of the object that gets the masks.
        other: id of the object that loses them.
    """

    index: int
    names: tuple[str, ...]
    object_id: int
    other: int

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry, other = edits.entry_of(document, self.object_id), edits.entry_of(document, self.other)
        if self.object_id == self.other:
            raise InputError(f"expected two objects to merge, got {entry.name} twice")
        before = with_layers_of(store, document, {self.other})
        after = before
        for name in self.names:
            if edits.clicks_of(after, name, self.other) is not None:
                _refuse_locked(after, name, other.name)
                after = self._merged(store, edits.with_draft(after, name, self.other, ()), name)
        if after == before:
            later = " or a later one" if len(self.names) > 1 else ""
            raise InputError(
                f"{other.name} has no mask in frame '{self.names[0]}'{later} to merge; click on it first"
            )
        where = f"from {self.names[0]} on" if len(self.names) > 1 else f"in frame {self.names[0]}"
        return Edited(before, after, f"{other.name} merged into {entry.name} {where}")

    def _merged(self, store: "AnnotationStore", document: Annotations, name: str) -> Annotations:
        """The document with the two merged in a frame; as a stroke, so that later clicks keep it."""
        visible = store.layer(name, self.other, store.flattened(name, document))
        document = edits.with_clicks(document, name, self.other, None)
        document = store.with_stroke(document, name, self.object_id, visible, erase=False)
        return edits.with_moved_seconds(document, name, {self.other: self.object_id})


@dataclass(frozen=True)
class SplitObject:
    """Give a part of an object in a frame to a new object; what other objects cover of it goes.

    Attributes:
        index: of the frame.
        name: of the frame.
        object_id: of the object.
        outline: around the part, see `area_mask`; None for all connected parts except the largest.
    """

    index: int
    name: str
    object_id: int
    outline: Sequence[tuple[float, float]] | None

    def apply(self, store: "AnnotationStore", document: Annotations) -> Edited:
        """See `Edit`."""
        entry = edits.entry_of(document, self.object_id)
        clicks = edits.clicks_of(document, self.name, self.object_id)
        if clicks is None:
            raise InputError(f"{entry.name} has no mask in frame '{self.name}'; click on it first")
        visible = store.layer(self.name, self.object_id, store.flattened(self.name, document))
        part = self._part(visible, entry.name)
        hidden_or_part = store.layer(self.name, self.object_id, document) & ~(visible & ~part)
        cut = store.layers.with_stroke(clicks, hidden_or_part, erase=True)
        after = edits.with_clicks(document, self.name, self.object_id, cut)
        added = AddObject(None, None).apply(store, after)
        assert added.object_id is not None
        put = ObjectClicks(points=(), made_by=BRUSH, painted=True, layer=store.layers.put(part))
        after = edits.with_clicks(added.after, self.name, added.object_id, put)
        new = edits.entry_of(after, added.object_id).name
        label = f"{new} split off from {entry.name}, frame {self.name}"
        return Edited(document, after, label, added.object_id)

    def _part(self, visible: BoolArray, what: str) -> BoolArray:
        """What goes to the new object, H×W bool."""
        if self.outline is None:
            part = visible & ~largest_part(visible)
            if not part.any():
                raise InputError(
                    f"{what} is in one part in frame '{self.name}'; draw around what to split off"
                )
            return part
        part = visible & area_mask(self.outline, visible.shape)
        if not part.any():
            raise InputError(f"there is nothing of {what} within the outline; draw around a part of it")
        if (part == visible).all():
            raise InputError(f"all of {what} is within the outline; draw around a part of it")
        return part


def _disc(radius: int) -> Labels:
    shape = (2 * radius + 1, 2 * radius + 1)
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, shape), dtype=np.uint8)


def _refuse_locked(document: Annotations, name: str, what: str) -> None:
    frame = document.frame(name)
    if frame is not None and frame.locked:
        raise InputError(f"{what} is in the locked frame '{name}'; unlock that frame first")
