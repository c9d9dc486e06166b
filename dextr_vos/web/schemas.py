"""The contract between page and server: requests, checked before anything else happens, and the state.

The state is everything that the page shows, except images, masks and the names of the frames, which are
fetched once.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict

from dextr_vos.annotation.annotations import Annotations, Kind, Point
from dextr_vos.annotation.label_set import LabelSet, Name
from dextr_vos.masks import DRAW_S, MAX_OBJECTS
from dextr_vos.web import edits, mask_edits

_MAX_PX = 100_000.0
_MAX_EDIT_MS = 3_600_000.0


def _with_kind(point: object) -> object:
    return [*point, "extreme"] if isinstance(point, list) and len(point) == 2 else point


Pixel = Annotated[float, Field(ge=-_MAX_PX, le=_MAX_PX)]
# in JSON, tuples are lists: these alone are converted
Position = Annotated[tuple[Pixel, Pixel], Strict(False)]
Click = Annotated[
    tuple[Pixel, Pixel, Kind],
    BeforeValidator(_with_kind),
    Field(strict=False, json_schema_extra={"minItems": 2}),
]
"""x, y and kind of a point; an extreme point may leave its kind out."""
ObjectId = Annotated[int, Field(ge=1, le=MAX_OBJECTS)]
Index = Annotated[int, Field(ge=0)]
UploadId = Annotated[str, Field(pattern=r"^[0-9a-z]{8,40}$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


def _one_of(value: str, known: Iterable[str]) -> str:
    if value not in known:
        raise ValueError(f"expected one of {', '.join(known)}")
    return value


class _Body(BaseModel):
    """Values have the types that the description says: no text or number for true or false, say."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, strict=True)


class _Edit(_Body):
    active_ms: Annotated[float, Field(ge=0)] = 0.0

    def bounded_ms(self) -> float:
        """Time spent; bounded, since the clock of the browser may have been changed."""
        return min(self.active_ms, _MAX_EDIT_MS)


class Points(_Edit):
    """All points of an object in a frame."""

    points: Annotated[list[Click], Field(max_length=10_000)]

    def rounded(self) -> list[tuple[int, int, Kind]]:
        """The points in whole pixels, with their kinds."""
        return [(round(x), round(y), kind) for x, y, kind in self.points]


class PreviewedClick(_Body):
    """A click that is not made; `object`: on which, none for a new one."""

    model_config = ConfigDict(strict=False)  # in an address, all values are text

    x: Index
    y: Index
    kind: Literal["positive", "negative"] = "positive"
    object: ObjectId | None = None


class Stroke(_Edit):
    """A stroke of the brush, or of the eraser; `filled`: the path is an outline, whose area counts.

    `outline` identifies an outline; with `moved`, it takes the place of what it has painted until now.
    """

    path: Annotated[list[Position], Field(min_length=1, max_length=20_000)]
    radius: Annotated[float, Field(gt=0, le=2000)]
    erase: bool = False
    filled: bool = False
    outline: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    moved: bool = False


class Reshape(_Edit):
    """Do something to a mask as a whole."""

    operation: Annotated[
        str,
        AfterValidator(lambda each: _one_of(each, mask_edits.OPERATIONS)),
        Field(json_schema_extra={"enum": list(mask_edits.OPERATIONS)}),
    ]
    pixels: Annotated[int, Field(ge=1, le=100)] = 1


class Copy(_Edit):
    """Copy a mask to another frame."""

    to: Annotated[int, Field(ge=0)]


class Split(_Edit):
    """Give a part of a mask to a new object: what is within an outline, or all parts except the largest."""

    outline: Annotated[list[Position], Field(min_length=3, max_length=20_000)] | None = None


class OtherObject(_Edit):
    """Another object."""

    other: ObjectId


class Merge(OtherObject):
    """Another object whose mask an object gets; `onwards`: in all later annotated frames, too."""

    onwards: bool = False


class Clear(_Edit):
    """Remove an object from a frame."""


class KeyframeOrNot(_Edit):
    """Make a frame a keyframe, or an ordinary frame again."""

    keyframe: bool


class Lock(_Edit):
    """Protect a frame from changes, or allow them again."""

    locked: bool


class NewObject(_Edit):
    """An object to add."""

    name: Name | None = None
    colour: Colour | None = None


class ChangedObject(_Edit):
    """What to change of an object; what is left out stays. Colour null: the object's own one again."""

    name: Name | None = None
    colour: Colour | None = None
    visible: bool | None = None

    def changes(self) -> dict[str, Any]:
        """The values that are given."""
        given = {"name": self.name, "visible": self.visible}
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if "colour" in self.model_fields_set:
            changes["colour"] = self.colour and self.colour.lower()
        return changes


class Order(_Edit):
    """All objects in a new order."""

    ids: Annotated[list[ObjectId], Field(max_length=MAX_OBJECTS)]


class Empty(_Edit):
    """A request without content: its address says everything."""


class Propagate(_Body):
    """How long propagation may take, in seconds; its direction; the first and the last frame to make."""

    budget: Annotated[float, Field(gt=0, le=1e6)] | None = None
    direction: Literal["both", "forward", "backward"] = "both"
    frames: Annotated[tuple[Index, Index], Strict(False)] | None = None


class Clips(_Body):
    """Clips of a project, by name."""

    names: Annotated[list[Annotated[str, Field(max_length=1000)]], Field(min_length=1, max_length=10_000)]


class ClipName(_Body):
    """A clip of a project."""

    name: Annotated[str, Field(max_length=1000)]


Label = Annotated[str, Field(min_length=1, max_length=200)]


class Export(_Body):
    """What to export, of which objects and frames, and how; see `web.exports`.

    Attributes:
        format: its name.
        objects: ids; None for all.
        frames: the first and the last; None for all.
        keyframes_only: of these, only the keyframes.
        shapes: see `FormatOptions`.
        images: see `FormatOptions`.
        labels: see `labelled_clips`.
        feather: see `FilmOptions`.
        fps: of videos of a folder of frames, per second; None for the usual.
        opacity: see `OverlayOptions`.
        captions: see `OverlayOptions`.
    """

    format: Annotated[str, Field(max_length=40)]
    objects: Annotated[list[ObjectId], Field(min_length=1, max_length=MAX_OBJECTS)] | None = None
    frames: Annotated[tuple[Index, Index], Strict(False)] | None = None
    keyframes_only: bool = False
    shapes: Literal["mask", "polygon"] = "mask"
    images: bool = False
    labels: Annotated[list[Label], Field(min_length=1, max_length=1000)] | None = None
    feather: Annotated[float, Field(ge=0, le=100)] = 2.0
    fps: Annotated[float, Field(ge=0.01, le=1000)] | None = None
    opacity: Annotated[float, Field(ge=0, le=1)] = 0.45
    captions: bool = False


class Import(_Body):
    """Which uploaded file or folder to import, and how its frames are found; see `FrameMatch`."""

    upload: UploadId
    format: Annotated[str, Field(max_length=40)]
    match: Literal["name", "number"] = "name"
    first: int = 0
    clip: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class ImportAnswer(BaseModel):
    """What an import has changed; `warnings`: what of the file was left out or differs, a sentence each."""

    session: str
    base: int
    version: int
    changes: dict[str, Any]
    warnings: list[str]


class Status(_Body):
    """The progress of an image, in folder mode."""

    status: Literal["open", "done", "skipped"]


class Reset(_Body):
    """Forget all progress, if it is confirmed."""

    confirm: bool = False


IndexOf = Callable[[str], int | None]


def objects_state(document: Annotations) -> list[dict[str, Any]]:
    """The objects, in drawing order."""
    return [
        {"id": each.id, "name": each.name, "colour": edits.colour_of(each), "visible": each.visible}
        for each in document.objects
    ]


def labels_state(labels: LabelSet) -> list[dict[str, Any]]:
    """The label set; a label without a key of its own has the digit of its place, if no other has that."""
    taken = {label.key for label in labels.labels}
    digits = [str(place) if place < 10 else None for place in range(1, len(labels.labels) + 1)]
    return [
        {
            "name": label.name,
            "colour": label.colour and label.colour.lower(),
            "key": label.key or (None if digit in taken else digit),
        }
        for label, digit in zip(labels.labels, digits, strict=True)
    ]


def keyframes_state(document: Annotations, index_of: IndexOf) -> dict[str, Any]:
    """The annotated frames by index, drafts included; frames that no longer exist are left out.

    `draft` says that a frame is no keyframe: it has clicks without a mask, or it is `corrected`.
    """
    names = {*document.keyframes, *document.corrections, *document.drafts}
    found = {index_of(name): name for name in names}
    return {
        str(index): _frame_state(document, found[index])
        for index in sorted(each for each in found if each is not None)
    }


def _frame_state(document: Annotations, name: str) -> dict[str, Any]:
    frame = document.frame(name) or edits.EMPTY
    seconds = document.seconds.get(name, {})
    objects: dict[str, Any] = {}
    for object_id in sorted({*frame.objects, *document.drafts.get(name, {})}):
        clicks = frame.objects.get(object_id)
        objects[str(object_id)] = {
            "points": [_point_state(point) for point in edits.points_of(document, name, object_id)],
            "painted": clicks is not None and clicks.painted,
            "mask": clicks is not None,
            "seconds": round(seconds.get(object_id, 0.0), 1),
        }
    return {
        "locked": frame.locked,
        "draft": name not in document.keyframes,
        "corrected": name in document.corrections,
        "objects": objects,
    }


def _point_state(point: Point) -> list[object]:
    return [point.x, point.y] if point.kind == "extreme" else [point.x, point.y, point.kind]


def saved_at(annotations: Path) -> str | None:
    """When `annotations.json` was written, in UTC; None before the first change."""
    try:
        file = annotations.stat()
    except OSError:
        return None
    return datetime.fromtimestamp(file.st_mtime, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def state_diff(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What has changed between two states, for a page that has the first one.

    Returns:
        The values that differ. Of `keyframes` and `status`, which grow with the clip, only the entries that
        differ, null where there is none any more.
    """
    changes = {key: value for key, value in after.items() if before[key] != value}
    for key in ("keyframes", "status"):
        if key in changes and isinstance(before[key], dict):
            old, new = before[key], after[key]
            changes[key] = {each: new.get(each) for each in {**old, **new} if old.get(each) != new.get(each)}
    return changes


def time_summary(document: Annotations, index_of: IndexOf) -> dict[str, Any]:
    """Seconds spent on each object in each frame, and the means over those that have a mask.

    Args:
        document: the annotations.
        index_of: index of a frame; frames that no longer exist are left out.
    """
    seconds = {
        (index, object_id): spent
        for name, in_frame in document.seconds.items()
        if (index := index_of(name)) is not None
        for object_id, spent in in_frame.items()
    }
    annotated = {
        (index_of(name), each) for name, frame in document.keyframes.items() for each in frame.objects
    }
    finished = {key: spent for key, spent in seconds.items() if key in annotated}
    total, frames = sum(finished.values()), {index for index, _ in finished}
    return {
        "objects": [
            {"frame": index, "object": object_id, "seconds": round(spent, 3)}
            for (index, object_id), spent in sorted(seconds.items())
        ],
        "seconds_per_object": round(total / len(finished), 2) if finished else None,
        "seconds_per_keyframe": round(total / len(frames), 2) if frames else None,
        "seconds_per_drawn_object": DRAW_S,
        "total_seconds": round(sum(seconds.values()), 2),
    }
