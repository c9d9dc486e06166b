"""Changes of a document as plain functions: what was and what a person did in, what is out."""

from collections.abc import Mapping, Sequence

import numpy as np

from dextr_vos.annotation.annotations import (
    PROPAGATION,
    Annotations,
    KeyframeClicks,
    ObjectClicks,
    ObjectEntry,
    Point,
    default_name,
    timestamp,
)
from dextr_vos.errors import InputError
from dextr_vos.geometry import BoolArray
from dextr_vos.masks import MAX_OBJECTS

EMPTY = KeyframeClicks(objects={})
COLOURS = (
    "#ff463c",
    "#3caaff",
    "#ffc828",
    "#3cd278",
    "#be6eff",
    "#ff8c28",
    "#28d2d2",
    "#ff6eb4",
    "#a0d228",
    "#8c8cff",
)


def stamped(points: Sequence[tuple[int, int]], before: Sequence[Point]) -> tuple[Point, ...]:
    """Points with the time of their clicks; those that were there keep theirs."""
    now = timestamp()
    known = {(point.x, point.y): point for point in before}
    return tuple(known.get((x, y)) or Point(x=x, y=y, time=now, origin="human") for x, y in points)


def points_of(document: Annotations, name: str, number: int) -> tuple[Point, ...]:
    """The clicks on an object in a frame, whether they made a mask or not."""
    draft = document.drafts.get(name, {}).get(number)
    if draft is not None:
        return draft
    clicked = document.keyframes.get(name, EMPTY).objects.get(number)
    return () if clicked is None else clicked.points


def with_clicked(document: Annotations, name: str, number: int, clicked: ObjectClicks | None) -> Annotations:
    """An object's mask in a frame set, or with None taken out; a frame that is left empty is no keyframe.

    Args:
        document: before.
        name: of the frame.
        number: of the object.
        clicked: what there is of it.
    """
    keyframe = document.keyframes.get(name, EMPTY)
    # one that was empty before says so on purpose
    settled = keyframe.settled or (name in document.keyframes and not keyframe.objects)
    objects = {key: value for key, value in keyframe.objects.items() if key != number}
    if clicked is not None:
        objects[number] = clicked
    if not objects and not settled:
        return without_keyframe(document, name)
    changed = keyframe.model_copy(update={"objects": dict(sorted(objects.items())), "settled": settled})
    return with_keyframe(document, name, changed)


def with_keyframe(document: Annotations, name: str, keyframe: KeyframeClicks) -> Annotations:
    """A keyframe set."""
    keyframes = {**document.keyframes, name: keyframe}
    return document.model_copy(update={"keyframes": dict(sorted(keyframes.items()))})


def without_keyframe(document: Annotations, name: str) -> Annotations:
    """A keyframe taken out; its drafts stay."""
    keyframes = {key: value for key, value in document.keyframes.items() if key != name}
    return document.model_copy(update={"keyframes": keyframes})


def with_draft(document: Annotations, name: str, number: int, points: tuple[Point, ...]) -> Annotations:
    """Clicks on their way to a mask set; none takes them out."""
    of_frame = {key: value for key, value in document.drafts.get(name, {}).items() if key != number}
    if points:
        of_frame[number] = points
    drafts = {key: value for key, value in document.drafts.items() if key != name}
    if of_frame:
        drafts[name] = dict(sorted(of_frame.items()))
    return document.model_copy(update={"drafts": dict(sorted(drafts.items()))})


def without_drafts(document: Annotations, name: str) -> Annotations:
    """All drafts of a frame taken out."""
    drafts = {key: value for key, value in document.drafts.items() if key != name}
    return document.model_copy(update={"drafts": drafts})


def with_seconds(document: Annotations, name: str, number: int, spent: float) -> Annotations:
    """Time spent on an object in a frame added."""
    if spent <= 0:
        return document
    of_frame = dict(document.seconds.get(name, {}))
    of_frame[number] = round(of_frame.get(number, 0.0) + spent, 3)
    return document.model_copy(update={"seconds": {**document.seconds, name: of_frame}})


def taken_over(layers: Mapping[int, str], settled: bool = False) -> KeyframeClicks:
    """A keyframe of propagated masks, given by the digests of their layers."""
    objects = {
        number: ObjectClicks(points=(), made_by=PROPAGATION, layer=layer) for number, layer in layers.items()
    }
    return KeyframeClicks(objects=dict(sorted(objects.items())), settled=settled)


def new_object(document: Annotations, name: str | None, colour: str | None) -> tuple[Annotations, int]:
    """An object added on top of the others, with the smallest number that is free.

    Raises:
        InputError: there are as many as there can be.
    """
    taken = {entry.id for entry in document.objects}
    number = next((each for each in range(1, MAX_OBJECTS + 1) if each not in taken), None)
    if number is None:
        raise InputError(f"there are {MAX_OBJECTS} objects already, as many as a mask can hold")
    entry = ObjectEntry(id=number, name=name or default_name(number), colour=colour)
    return document.model_copy(update={"objects": (*document.objects, entry)}), number


def entry_of(document: Annotations, number: int) -> ObjectEntry:
    """The entry of an object.

    Raises:
        InputError: there is none.
    """
    for entry in document.objects:
        if entry.id == number:
            return entry
    known = ", ".join(str(entry.id) for entry in document.objects) or "none yet"
    raise InputError(f"there is no object {number}; there are {known}")


def with_entry(document: Annotations, changed: ObjectEntry) -> Annotations:
    """An object's name or looks changed."""
    objects = tuple(changed if entry.id == changed.id else entry for entry in document.objects)
    return document.model_copy(update={"objects": objects})


def without_object(document: Annotations, number: int) -> Annotations:
    """An object taken out of the list and of every frame.

    Raises:
        InputError: there is none, or it is in a locked frame.
    """
    name = entry_of(document, number).name
    for frame, keyframe in document.keyframes.items():
        if keyframe.locked and number in keyframe.objects:
            raise InputError(f"{name} is in the locked frame '{frame}'; unlock that frame first")
    for frame in list(document.keyframes):
        if number in document.keyframes[frame].objects:
            document = with_clicked(document, frame, number, None)
    for frame in list(document.drafts):
        document = with_draft(document, frame, number, ())
    objects = tuple(entry for entry in document.objects if entry.id != number)
    return document.model_copy(update={"objects": objects})


def reordered(document: Annotations, numbers: Sequence[int]) -> Annotations:
    """The objects in another order.

    Raises:
        InputError: `numbers` are not those of all objects.
    """
    if sorted(numbers) != sorted(entry.id for entry in document.objects):
        known = [entry.id for entry in document.objects]
        raise InputError(f"expected the numbers of all objects, {known}, in a new order, got {list(numbers)}")
    entries = {entry.id: entry for entry in document.objects}
    return document.model_copy(update={"objects": tuple(entries[number] for number in numbers)})


def colour_of(entry: ObjectEntry) -> str:
    """The colour an object is shown in."""
    return entry.colour or COLOURS[(entry.id - 1) % len(COLOURS)]


_MOST_WORK = 200_000_000  # pixels looked at, over all parts of a stroke; a few seconds


def stroke_mask(path: Sequence[tuple[float, float]], radius: float, size_hw: tuple[int, int]) -> BoolArray:
    """The pixels whose middles lie within a radius of a path.

    Args:
        path: x, y of the tip's middle, one or more, joined by straight lines; may leave the picture.
        radius: of the tip, in pixels.
        size_hw: of the picture.

    Returns:
        H×W bool.

    Raises:
        InputError: the stroke is too long and wide to be painted at once.
    """
    mask = np.zeros(size_hw, dtype=bool)
    points = np.asarray(path, dtype=np.float64).reshape(-1, 2) - 0.5  # whole numbers are middles of pixels
    starts, ends = np.concatenate([points[:1], points[:-1]]), points
    lows = np.floor(np.minimum(starts, ends) - radius).astype(int).clip(0)
    highs = np.ceil(np.maximum(starts, ends) + radius).astype(int).clip(-1, np.array(size_hw[::-1]) - 1)
    if np.prod((highs - lows + 1).clip(0), axis=1).sum() > _MOST_WORK:
        raise InputError("the stroke is too long and wide to be painted at once; paint it in parts")
    for start, end, low, high in zip(starts, ends, lows, highs, strict=True):
        if (high < low).any():
            continue
        x, y = np.arange(low[0], high[0] + 1) - start[0], np.arange(low[1], high[1] + 1)[:, None] - start[1]
        (dx, dy), length = end - start, float(((end - start) ** 2).sum())
        along = np.clip((x * dx + y * dy) / length, 0, 1) if length else 0.0
        near = (x - along * dx) ** 2 + (y - along * dy) ** 2 <= radius * radius
        mask[low[1] : high[1] + 1, low[0] : high[0] + 1] |= near
    return mask
