"""Masks from points and strokes: each further click corrects the mask that is there.

Extreme points or a box make the first mask; without them it is one that was painted, imported or propagated.
Each positive or negative click then corrects the mask before it (RITM, Sofiiuk et al., ICIP 2022), in which
the pixels of all strokes are as the strokes set them, before and after.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dextr_vos.annotation.annotations import Annotations, ObjectClicks, Point, points_xy, prompt_of
from dextr_vos.annotation.prompts import check_inside, check_prompt
from dextr_vos.annotation.segmenter import label_frame
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.web import edits
from dextr_vos.web.images import BoundedCache, Images
from dextr_vos.web.journal import digest_of
from dextr_vos.web.layers import LayerStore
from dextr_vos.web.segmenter_process import SegmenterLoader

MAX_POINTS = 1000
_KNOWN_BYTES = 2_000_000
_MAX_REPEATED = 20  # clicks that are corrected one after the other again; more are taken at once
_CORRECTIONS = ("positive", "negative")


class ClickMasks:
    """Makes masks of what is known of objects, and remembers them, so that a click costs one correction.

    Args:
        images: what is annotated.
        loader: loads the segmenter.
        layers: where the masks are stored.
    """

    def __init__(self, images: Images, loader: SegmenterLoader, layers: LayerStore) -> None:
        self._images, self._loader, self._layers = images, loader, layers
        self._known: BoundedCache[str] = BoundedCache(_KNOWN_BYTES, len)

    def clicked(
        self, document: Annotations, index: int, object_id: int, points: tuple[Point, ...]
    ) -> Annotations:
        """A document with other points of an object in a frame, and with the mask that they make.

        Args:
            document: with the layers of the frame known.
            index: of the frame.
            object_id: of the object.
            points: all points that it has now.
        """
        name = self._images.names[index]
        made = self._corrected(index, edits.clicks_of(document, name, object_id), points)
        return edits.with_points(document, name, object_id, points, made)

    def preview(
        self, document: Annotations, index: int, object_id: int | None, click: Point, shown: BoolArray
    ) -> BoolArray | None:
        """The mask that one more click would make, H×W bool; nothing is stored, and nothing changes.

        Args:
            document: of which the frame's layers need not be known.
            index: of the frame.
            object_id: of the object; None for a new one.
            click: on it, or on what does not belong to it.
            shown: H×W bool, the object's mask as it is shown.

        Returns:
            None where the click would make no mask.
        """
        name = self._images.names[index]
        known = None if object_id is None else edits.clicks_of(document, name, object_id)
        points = () if object_id is None else edits.points_of(document, name, object_id)
        clicks = known or ObjectClicks(points=())
        own = None if clicks.layer is None else self._layers.get(clicks.layer, shown.shape)
        mask = self._segmented(index, (*points, click), shown if own is None else own)
        return None if mask is None else self._with_strokes(mask, clicks)

    def _corrected(
        self, index: int, before: ObjectClicks | None, points: tuple[Point, ...]
    ) -> ObjectClicks | None:
        """An object whose points were changed, with its mask; its strokes stay.

        None where the points make no mask, as fewer than four extreme points.
        """
        before = before or ObjectClicks(points=())
        if before.layer is not None:
            self._known.put(_key(index, before), before.layer)
        outline, _ = _in_order(points)
        outlined = prompt_of(outline).makes_mask
        if outline and not outlined:
            return None
        base = before.base if before.points else before.layer
        if base is not None and self._layers.get(base, self._images.size_hw(index)) is None:
            base = before.layer  # the history was deleted
        changed = before.model_copy(update={"points": points, "base": None if outlined else base})
        layer = self._layer(index, changed)
        if layer is None:
            return None
        made: dict[str, object] = {"layer": layer}
        if changed.base is None:
            made["made_by"] = self._loader.name
        elif not points:
            made["base"] = None  # its layer is the mask again
        return changed.model_copy(update=made)

    def _layer(self, index: int, clicks: ObjectClicks) -> str | None:
        """Digest of the mask of an object, made from the latest mask that is known of its points."""
        steps = _steps(clicks)
        first = next((place for place, step in enumerate(steps) if self._of(index, step)), len(steps) - 1)
        layer = None
        for step in reversed(steps[: first + 1]):
            layer = self._of(index, step) or self._make(index, step, layer)
            if layer is not None:
                self._known.put(_key(index, step), layer)
        return layer

    def _of(self, index: int, clicks: ObjectClicks) -> str | None:
        layer = self._known.get(_key(index, clicks))
        known = layer is not None and self._layers.get(layer, self._images.size_hw(index)) is not None
        return layer if known else None

    def _make(self, index: int, clicks: ObjectClicks, layer: str | None) -> str | None:
        """The mask of an object, corrected from the one before its last click, if there is one."""
        before = layer or clicks.base
        so_far = self._layers.get_or_empty(before, self._images.size_hw(index))
        mask = self._segmented(index, clicks.points, so_far)
        if mask is None and before is None:
            return None
        return self._layers.put(self._with_strokes(so_far if mask is None else mask, clicks))

    def _segmented(self, index: int, points: Sequence[Point], so_far: BoolArray) -> BoolArray | None:
        """What the segmenter makes of all points, of which clicks correct the mask before; None: nothing."""
        prompt = prompt_of(points)
        if prompt.clicks and so_far.any():
            prompt = replace(prompt, mask=so_far.astype(np.float32))
        if not prompt.makes_mask:
            return None
        return np.asarray(label_frame(self._loader.get(), self._images.read(index), {1: prompt}) == 1)

    def _with_strokes(self, mask: BoolArray, clicks: ObjectClicks) -> BoolArray:
        added, erased = (
            self._layers.get_or_empty(each, mask.shape) for each in (clicks.added, clicks.erased)
        )
        return (mask | added) & ~erased


def _steps(clicks: ObjectClicks) -> list[ObjectClicks]:
    """An object with all of its clicks, without the last one, and so on to its first mask."""
    outline, corrections = _in_order(clicks.points)
    fewest = max(0, len(corrections) - _MAX_REPEATED)
    counts = range(len(corrections), fewest - 1, -1)
    return [clicks.model_copy(update={"points": (*outline, *corrections[:count])}) for count in counts]


def _in_order(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """Points that make a mask, and clicks that correct it."""
    corrections = [point for point in points if point.kind in _CORRECTIONS]
    return [point for point in points if point.kind not in _CORRECTIONS], corrections


def _key(index: int, clicks: ObjectClicks) -> str:
    """A digest of what the mask of an object depends on: there may be a thousand points."""
    outline, corrections = _in_order(clicks.points)
    points = tuple((point.x, point.y, point.kind) for point in (*outline, *corrections))
    base = clicks.layer if clicks.base is None and not points else clicks.base
    return digest_of(repr((index, points, base, clicks.added, clicks.erased)))


def check_points(points: Sequence[Point], size_hw: tuple[int, int], where: str) -> None:
    """Refuse points that cannot be used.

    Raises:
        InputError: too many, one outside the image, or extreme points that cannot be such.
    """
    if len(points) > MAX_POINTS:
        raise InputError(f"{where}: {len(points)} points, expected at most {MAX_POINTS}")
    check_inside(points_xy(points), size_hw, where)
    prompt = prompt_of(points)
    if prompt.makes_mask:
        check_prompt(prompt, size_hw, where)
