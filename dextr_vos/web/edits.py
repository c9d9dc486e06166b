"""Changes of an annotation document as pure functions: a document and an edit in, another document out."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dextr_vos.annotation.annotations import (
    Annotations,
    KeyframeClicks,
    Kind,
    ObjectClicks,
    ObjectEntry,
    Point,
    timestamp,
)
from dextr_vos.errors import InputError
from dextr_vos.masks import MAX_OBJECTS, default_name, display_colour

EMPTY = KeyframeClicks(objects={})
_SECONDS_WITHIN_ONE_DRAG = 1.0
_CLICKS = {"positive": "click to add", "negative": "click to remove"}


def stamped(points: Sequence[tuple[int, int, Kind]], before: Sequence[Point]) -> tuple[Point, ...]:
    """Points, x, y and kind, with the time of their clicks; earlier points keep theirs."""
    now = timestamp()
    known = {(point.x, point.y, point.kind): point for point in before}
    return tuple(
        known.get((x, y, kind)) or Point(x=x, y=y, time=now, origin="human", kind=kind)
        for x, y, kind in points
    )


def points_of(document: Annotations, name: str, object_id: int) -> tuple[Point, ...]:
    """The clicks on an object in a frame, whether they made a mask or not."""
    draft = document.drafts.get(name, {}).get(object_id)
    if draft is not None:
        return draft
    clicks = clicks_of(document, name, object_id)
    return () if clicks is None else clicks.points


def clicks_of(document: Annotations, name: str, object_id: int) -> ObjectClicks | None:
    """An object's mask in a frame and what it was made of, in a keyframe or a correction."""
    return (document.frame(name) or EMPTY).objects.get(object_id)


def annotated(document: Annotations) -> dict[str, KeyframeClicks]:
    """All keyframes and corrections, by frame name."""
    return {**document.keyframes, **document.corrections}


def order_of(document: Annotations) -> list[int]:
    """Ids of the objects in drawing order."""
    return [entry.id for entry in document.objects]


def overlapping(document: Annotations) -> list[str]:
    """Names of the frames in which objects may cover one another."""
    return [name for name, frame in annotated(document).items() if len(frame.objects) > 1]


def layers_of(document: Annotations) -> Iterator[str]:
    """Digests of all layers of a document."""
    for frame in annotated(document).values():
        for clicks in frame.objects.values():
            yield from clicks.layers


def with_clicks(document: Annotations, name: str, object_id: int, clicks: ObjectClicks | None) -> Annotations:
    """Set an object's mask in a frame, or remove it; a frame that is left empty stops being a keyframe.

    Args:
        document: before the change.
        name: of the frame.
        object_id: of the object.
        clicks: the mask and what it was made of; None removes the object from the frame.
    """
    keyframe = document.frame(name) or EMPTY
    # a keyframe that was empty before the change was made empty on purpose
    settled = keyframe.settled or (document.frame(name) is not None and not keyframe.objects)
    objects = {key: value for key, value in keyframe.objects.items() if key != object_id}
    if clicks is not None:
        objects[object_id] = clicks
    if not objects and not settled:
        return without_keyframe(document, name)
    changed = keyframe.model_copy(update={"objects": dict(sorted(objects.items())), "settled": settled})
    return with_frame(document, name, changed)


def with_keyframe(document: Annotations, name: str, keyframe: KeyframeClicks) -> Annotations:
    """Set a keyframe; a correction of the same frame is replaced by it."""
    document = without_keyframe(document, name)
    keyframes = {**document.keyframes, name: keyframe}
    return document.model_copy(update={"keyframes": dict(sorted(keyframes.items()))})


def with_correction(document: Annotations, name: str, frame: KeyframeClicks) -> Annotations:
    """Set a correction, which is no keyframe yet; a keyframe of the same frame is replaced by it."""
    document = without_keyframe(document, name)
    corrections = {**document.corrections, name: frame}
    return document.model_copy(update={"corrections": dict(sorted(corrections.items()))})


def with_frame(document: Annotations, name: str, frame: KeyframeClicks) -> Annotations:
    """Set what is annotated in a frame: a correction stays one, anything else is a keyframe."""
    put = with_correction if name in document.corrections else with_keyframe
    return put(document, name, frame)


def confirmed(document: Annotations, names: Iterable[str]) -> Annotations:
    """Make keyframes of the corrections of these frames."""
    for name in names:
        document = with_keyframe(document, name, document.corrections[name])
    return document


def without_keyframe(document: Annotations, name: str) -> Annotations:
    """Remove a keyframe or a correction; clicks without a mask stay."""
    keyframes = {key: value for key, value in document.keyframes.items() if key != name}
    corrections = {key: value for key, value in document.corrections.items() if key != name}
    return document.model_copy(update={"keyframes": keyframes, "corrections": corrections})


def with_draft(document: Annotations, name: str, object_id: int, points: tuple[Point, ...]) -> Annotations:
    """Set clicks that do not make a mask yet; no points remove them."""
    in_frame = {key: value for key, value in document.drafts.get(name, {}).items() if key != object_id}
    if points:
        in_frame[object_id] = points
    drafts = {key: value for key, value in document.drafts.items() if key != name}
    if in_frame:
        drafts[name] = dict(sorted(in_frame.items()))
    return document.model_copy(update={"drafts": dict(sorted(drafts.items()))})


def without_drafts(document: Annotations, name: str) -> Annotations:
    """Remove all drafts of a frame."""
    drafts = {key: value for key, value in document.drafts.items() if key != name}
    return document.model_copy(update={"drafts": drafts})


def with_points(
    document: Annotations, name: str, object_id: int, points: tuple[Point, ...], made: ObjectClicks | None
) -> Annotations:
    """Set the clicks on an object in a frame, with the mask that they made, if any.

    Where they are too few to make a mask, the mask that earlier clicks made is removed; one that was painted
    stays.
    """
    if made is not None:
        return with_clicks(with_draft(document, name, object_id, ()), name, object_id, made)
    clicks = clicks_of(document, name, object_id)
    document = with_draft(document, name, object_id, points)
    if clicks is None:
        return document
    only_clicked = clicks.points and not clicks.painted
    kept = None if only_clicked else clicks.model_copy(update={"points": ()})
    return with_clicks(document, name, object_id, kept)


def with_seconds(document: Annotations, name: str, object_id: int, seconds: float) -> Annotations:
    """Add time spent on an object in a frame."""
    if seconds <= 0:
        return document
    in_frame = dict(document.seconds.get(name, {}))
    in_frame[object_id] = round(in_frame.get(object_id, 0.0) + seconds, 3)
    return document.model_copy(update={"seconds": {**document.seconds, name: in_frame}})


def with_moved_seconds(document: Annotations, name: str, others: Mapping[int, int]) -> Annotations:
    """The time spent on objects in a frame becomes that of others, by object id."""
    spent: dict[int, float] = {}
    for object_id, seconds in document.seconds.get(name, {}).items():
        other = others.get(object_id, object_id)
        spent[other] = round(spent.get(other, 0.0) + seconds, 3)
    return document.model_copy(update={"seconds": {**document.seconds, name: spent}}) if spent else document


def imported_keyframe(layers: Mapping[int, str], made_by: str) -> KeyframeClicks:
    """A keyframe of masks that nobody clicked.

    Args:
        layers: the digests of the masks' layers, by object id.
        made_by: what made them, `PROPAGATION` or `BRUSH`.
    """
    objects = {
        object_id: ObjectClicks(points=(), made_by=made_by, layer=layer)
        for object_id, layer in layers.items()
    }
    return KeyframeClicks(objects=dict(sorted(objects.items())), settled=True)


def new_object(
    document: Annotations, name: str | None, colour: str | None, in_masks: Collection[int] = ()
) -> tuple[Annotations, int]:
    """Add an object on top of the others, with the smallest free id.

    Args:
        document: to which it is added.
        name: of the object; None for the usual one.
        colour: of the object; None for the usual one.
        in_masks: ids that masks hold which are not in the document; they are taken last.

    Returns:
        The document and the object's id.

    Raises:
        InputError: there are as many objects as a mask can hold.
    """
    taken = {entry.id for entry in document.objects}
    free = [each for each in range(1, MAX_OBJECTS + 1) if each not in taken]
    object_id = min(free, key=lambda each: (each in in_masks, each), default=None)
    if object_id is None:
        raise InputError(f"there are {MAX_OBJECTS} objects already, as many as a mask can hold")
    entry = ObjectEntry(id=object_id, name=name or default_name(object_id), colour=colour)
    return document.model_copy(update={"objects": (*document.objects, entry)}), object_id


def with_missing_objects(document: Annotations, object_ids: Sequence[int]) -> Annotations:
    """Add objects of these ids to the list where it does not have them."""
    listed = {entry.id for entry in document.objects}
    added = [
        ObjectEntry(id=each, name=default_name(each)) for each in sorted(object_ids) if each not in listed
    ]
    return document.model_copy(update={"objects": (*document.objects, *added)}) if added else document


def entry_of(document: Annotations, object_id: int) -> ObjectEntry:
    """The entry of an object.

    Raises:
        InputError: there is no such object.
    """
    for entry in document.objects:
        if entry.id == object_id:
            return entry
    known = ", ".join(str(entry.id) for entry in document.objects) or "none yet"
    raise InputError(f"there is no object {object_id}; there are {known}")


def with_entry(document: Annotations, changed: ObjectEntry) -> Annotations:
    """Change an object's name or appearance."""
    objects = tuple(changed if entry.id == changed.id else entry for entry in document.objects)
    return document.model_copy(update={"objects": objects})


def without_object(document: Annotations, object_id: int) -> Annotations:
    """Remove an object from the list and from every frame.

    Raises:
        InputError: there is no such object, or it is in a locked frame.
    """
    name = entry_of(document, object_id).name
    for frame, keyframe in document.keyframes.items():
        if keyframe.locked and object_id in keyframe.objects:
            raise InputError(f"{name} is in the locked frame '{frame}'; unlock that frame first")
    for frame in [*document.keyframes, *document.corrections]:
        if clicks_of(document, frame, object_id) is not None:
            document = with_clicks(document, frame, object_id, None)
    for frame in list(document.drafts):
        document = with_draft(document, frame, object_id, ())
    objects = tuple(entry for entry in document.objects if entry.id != object_id)
    return document.model_copy(update={"objects": objects})


def reordered(document: Annotations, object_ids: Sequence[int]) -> Annotations:
    """The objects in another order.

    Raises:
        InputError: `object_ids` are not those of all objects.
    """
    known = [entry.id for entry in document.objects]
    if sorted(object_ids) != sorted(known):
        raise InputError(f"expected the ids of all objects, {known}, in a new order, got {list(object_ids)}")
    entries = {entry.id: entry for entry in document.objects}
    return document.model_copy(update={"objects": tuple(entries[each] for each in object_ids)})


def colour_of(entry: ObjectEntry) -> str:
    """The colour in which an object is displayed, `#rrggbb`."""
    return entry.colour or "#{:02x}{:02x}{:02x}".format(*display_colour(entry.id))


@dataclass(frozen=True)
class PointMove:
    """One point of an object was given another place.

    Attributes:
        frame: its index.
        object_id: of the object.
        point: index of the point.
        at: time of the change, in seconds.
    """

    frame: int
    object_id: int
    point: int
    at: float

    def continues(self, last: "PointMove | None") -> bool:
        """Whether it belongs to the same drag as the move before it."""
        if last is None:
            return False
        same = (self.frame, self.object_id, self.point) == (last.frame, last.object_id, last.point)
        return same and self.at - last.at < _SECONDS_WITHIN_ONE_DRAG


def point_move(
    frame: int, object_id: int, before: Sequence[Point], after: Sequence[Point], at: float
) -> PointMove | None:
    """The move of one point, or None where something else, or more, has changed."""
    moved = _changed(before, after)
    return PointMove(frame, object_id, moved[0], at) if len(moved) == 1 else None


def describe_points(before: Sequence[Point], after: Sequence[Point]) -> str:
    """What happened to the points of an object, for the history."""
    old, new = ([(point.x, point.y) for point in points if point.kind == "box"] for points in (before, after))
    if new and new != old and len(_changed(before, after)) != 1:
        return "box"
    if len(after) > len(before):
        return _CLICKS.get(after[-1].kind, "point")
    if len(after) < len(before):
        return "point removed" if after else "points removed"
    return "point moved"


def _changed(before: Sequence[Point], after: Sequence[Point]) -> list[int]:
    """Which points have another place or kind; none where there are more or fewer than before."""
    if len(before) != len(after):
        return []
    pairs = [
        ((old.x, old.y, old.kind), (new.x, new.y, new.kind)) for old, new in zip(before, after, strict=True)
    ]
    return [place for place, (old, new) in enumerate(pairs) if old != new]
