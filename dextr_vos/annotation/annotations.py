"""`annotations.json`: objects, keyframes and every click, the single source of truth of a workspace.

The format is described in docs/formats.md. Values are frozen; a change makes a new document.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from dextr_vos.annotation.prompts import Click, Prompt
from dextr_vos.errors import InputError
from dextr_vos.files import natural_key, read_json, write_text
from dextr_vos.geometry import IntArray, box_around
from dextr_vos.masks import MAX_OBJECTS, default_name

FORMAT: Final = "dextr-vos annotations"
VERSION: Final = 2

Origin = Literal["human", "file", "simulated"]
Kind = Literal["extreme", "positive", "negative", "box"]
ObjectId = Annotated[int, Field(ge=1, le=MAX_OBJECTS)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]

CORNERS = 2  # of a box that are clicked
BRUSH: Final = "brush"
PROPAGATION: Final = "propagation"

_FARTHEST_PX = 1_000_000  # no image is this large


def _checked_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    # fields that a file may omit: they are written only where they differ from their defaults
    optional: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_defaults(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = handler(self)
        fields = type(self).model_fields
        return {
            key: value
            for key, value in content.items()
            if key not in self.optional or getattr(self, key) != fields[key].default
        }


class Point(_Value):
    """One click.

    Attributes:
        x: column of its pixel.
        y: row of its pixel.
        time: when, ISO 8601 in UTC.
        origin: who made it.
        kind: what it says: an extreme point or a further point on the outline; "positive", the object is
            here; "negative", it is not; "box", one of two opposite corners of the object's box.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"kind"})
    x: Annotated[int, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
    y: Annotated[int, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
    time: Annotated[str, AfterValidator(_checked_time)]
    origin: Origin
    kind: Kind = "extreme"


Draft = Annotated[tuple[Point, ...], Field(strict=False)]
Seconds = Annotated[float, Field(ge=0, strict=False)]


class ObjectClicks(_Value):
    """One object in one keyframe: the clicks its mask was made of, and what made it.

    Attributes:
        points: see `Prompt` on which make a mask; none if the mask was painted or propagated.
        made_by: what made the mask: the name of a model, `brush` or `propagation`; None before there is one.
        painted: the mask was changed with the brush since.
        layer: digest of the object's own mask in the workspace's history, uncovered by other objects.
        base: digest of the mask that the clicks correct, where that was painted, imported or propagated.
        added: digest of the pixels that strokes of the brush put on the object, which clicks do not change.
        erased: digest of the pixels that strokes of the eraser took off it.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"painted", "layer", "base", "added", "erased"})
    points: tuple[Point, ...] = Field(strict=False)
    made_by: str | None = None
    painted: bool = False
    layer: str | None = None
    base: str | None = None
    added: str | None = None
    erased: str | None = None

    @property
    def without_clicks(self) -> bool:
        """Whether the mask was painted or propagated: it cannot be made again from clicks alone."""
        if self.base is not None:
            return True
        return not self.points and (self.painted or self.made_by in (BRUSH, PROPAGATION))

    @property
    def layers(self) -> tuple[str, ...]:
        """Digests of all masks in the workspace's history that it needs."""
        digests = (self.layer, self.base, self.added, self.erased)
        return tuple(digest for digest in digests if digest is not None)

    def points_xy(self) -> IntArray:
        """N×2 integers, all points of any kind, in the order they were given."""
        return points_xy(self.points)

    def prompt(self) -> Prompt:
        """What the points say of the object."""
        return prompt_of(self.points)


class KeyframeClicks(_Value):
    """An annotated frame; an object that is not listed is not in the frame.

    Attributes:
        objects: by id.
        locked: edits are refused.
        settled: a person made it a keyframe; it remains one when its last object is removed.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"locked", "settled"})
    objects: dict[ObjectId, ObjectClicks] = Field(strict=False)
    locked: bool = False
    settled: bool = False


class ObjectEntry(_Value):
    """An object of the clip."""

    optional: ClassVar[frozenset[str]] = frozenset({"colour", "visible"})
    id: ObjectId
    name: str
    colour: Colour | None = None
    visible: bool = True


class Annotations(_Value):
    """All of `annotations.json`.

    Attributes:
        objects: in drawing order, later ones on top.
        keyframes: by frame name.
        corrections: propagated masks that were corrected, by frame name: drafts until somebody makes them
            keyframes or propagates; nothing else uses them.
        drafts: clicks without a mask yet, by frame name and object id.
        seconds: time spent on each object without idle time, by frame name and object id.
    """

    optional: ClassVar[frozenset[str]] = frozenset({"corrections", "drafts", "seconds"})
    format: Literal["dextr-vos annotations"] = FORMAT
    version: Literal[2] = VERSION
    objects: tuple[ObjectEntry, ...] = Field(strict=False)
    keyframes: dict[str, KeyframeClicks]
    corrections: dict[str, KeyframeClicks] = {}
    drafts: dict[str, Annotated[dict[ObjectId, Draft], Field(strict=False)]] = {}
    seconds: dict[str, Annotated[dict[ObjectId, Seconds], Field(strict=False)]] = {}

    @model_validator(mode="after")
    def _every_object_is_listed(self) -> "Annotations":
        listed = [entry.id for entry in self.objects]
        if len(set(listed)) < len(listed):
            raise ValueError("two objects have the same id")
        twice = sorted(self.keyframes.keys() & self.corrections.keys())
        if twice:
            raise ValueError(f"frame '{twice[0]}' is both in 'keyframes' and in 'corrections'")
        frames = {**self.keyframes, **self.corrections}
        clicked = {name: set(frame.objects) for name, frame in frames.items()}
        for name, drafts in self.drafts.items():
            clicked[name] = clicked.get(name, set()) | set(drafts)
        for name, those in clicked.items():
            unlisted = sorted(those - set(listed))
            if unlisted:
                raise ValueError(
                    f"keyframe '{name}' clicks object {unlisted[0]}, which 'objects' does not list"
                )
        return self

    def frame(self, name: str) -> KeyframeClicks | None:
        """What is annotated in a frame, a keyframe or a correction."""
        return self.keyframes.get(name) or self.corrections.get(name)

    def clicks_in(self, name: str) -> dict[int, IntArray]:
        """Extreme points N×2 of every object in a frame whose mask was made from such, by object id."""
        prompts = {key: clicked.prompt() for key, clicked in self.keyframes[name].objects.items()}
        return {key: prompt.points_xy for key, prompt in prompts.items() if prompt.points_xy is not None}

    def clicks_only(self) -> "Annotations":
        """The part of this document from which masks can be made again: names and clicks.

        Keyframes whose masks are all painted or propagated are dropped; keyframes without objects stay.
        """
        keyframes = {}
        for name, keyframe in self.keyframes.items():
            objects = {
                object_id: ObjectClicks(points=clicked.points, made_by=clicked.made_by)
                for object_id, clicked in keyframe.objects.items()
                if not clicked.without_clicks
            }
            if objects or not keyframe.objects:
                keyframes[name] = KeyframeClicks(objects=objects)
        return Annotations(objects=self.objects, keyframes=keyframes)

    def is_clicked(self, name: str, object_id: int) -> bool:
        """Whether the mask of an object in a frame was made from clicks by a model, and not painted since."""
        clicked = self.keyframes[name].objects.get(object_id) if name in self.keyframes else None
        if clicked is None or not clicked.points or clicked.painted or clicked.without_clicks:
            return False
        return clicked.made_by not in (None, BRUSH)

    def with_model(self, model: str) -> "Annotations":
        """This document with the name of the model that made the masks of all its clicks."""
        keyframes = {
            name: keyframe.model_copy(
                update={
                    "objects": {
                        object_id: clicked.model_copy(update={"made_by": model})
                        if clicked.points and not clicked.without_clicks
                        else clicked
                        for object_id, clicked in keyframe.objects.items()
                    }
                }
            )
            for name, keyframe in self.keyframes.items()
        }
        return self.model_copy(update={"keyframes": keyframes})

    def merged_with(self, newer: "Annotations") -> "Annotations":
        """This document with the clicks of a newer one in place of its own.

        Objects without clicks in a keyframe of the newer document keep theirs; a keyframe without any object
        there is emptied. A correction of such a frame becomes a part of its keyframe. A name is never
        replaced by a default name.
        """
        entries = {entry.id: entry for entry in self.objects}
        for entry in sorted(newer.objects, key=lambda one: one.id):
            if entry.id not in entries:
                entries[entry.id] = entry
            elif entry.name != default_name(entry.id):
                entries[entry.id] = entries[entry.id].model_copy(update={"name": entry.name})
        keyframes, drafts = dict(self.keyframes), dict(self.drafts)
        for frame, keyframe in newer.keyframes.items():
            before = self.frame(frame) or KeyframeClicks(objects={})
            kept = before.objects if keyframe.objects else {}
            objects = dict(sorted({**kept, **keyframe.objects}.items()))
            keyframes[frame] = before.model_copy(update={"objects": objects})
            waiting = {n: points for n, points in drafts.pop(frame, {}).items() if n not in keyframe.objects}
            if waiting and keyframe.objects:
                drafts[frame] = waiting
        return Annotations(
            objects=tuple(entries.values()),
            keyframes={frame: keyframes[frame] for frame in sorted(keyframes, key=natural_key)},
            corrections={frame: each for frame, each in self.corrections.items() if frame not in keyframes},
            drafts=drafts,
            seconds=self.seconds,
        )


def points_xy(points: Sequence[Point]) -> IntArray:
    """N×2 integers of points, in their order."""
    return np.array([(point.x, point.y) for point in points], dtype=np.int64).reshape(-1, 2)


def prompt_of(points: Sequence[Point]) -> Prompt:
    """What points say of an object; a corner of a box without the other one says nothing."""
    extremes = [point for point in points if point.kind == "extreme"]
    corners = points_xy([point for point in points if point.kind == "box"])
    return Prompt(
        points_xy=points_xy(extremes) if extremes else None,
        clicks=tuple(
            Click(point.x, point.y, point.kind == "positive")
            for point in points
            if point.kind in ("positive", "negative")
        ),
        box_xyxy=box_around(corners) if len(corners) == CORNERS else None,
    )


def points_of(prompt: Prompt, origin: Origin, time: str) -> tuple[Point, ...]:
    """The points that say what a prompt says, its mask aside."""
    extremes = [] if prompt.points_xy is None else prompt.points_xy.tolist()
    corners = [] if prompt.box_xyxy is None else [prompt.box_xyxy[:2], prompt.box_xyxy[2:]]
    placed: list[tuple[int, int, Kind]] = [(x, y, "extreme") for x, y in extremes]
    placed += [(x, y, "box") for x, y in corners]
    placed += [(click.x, click.y, "positive" if click.positive else "negative") for click in prompt.clicks]
    return tuple(Point(x=x, y=y, time=time, origin=origin, kind=kind) for x, y, kind in placed)


def annotations_from(clicks: Mapping[str, Mapping[int, Prompt | IntArray]], origin: Origin) -> Annotations:
    """A document of points, all with the current time.

    Args:
        clicks: by frame name and object id; an array is of extreme points.
        origin: who made them.
    """
    now = timestamp()
    keyframes = {
        frame: KeyframeClicks(
            objects={
                object_id: ObjectClicks(
                    points=points_of(known if isinstance(known, Prompt) else Prompt(known), origin, now)
                )
                for object_id, known in objects.items()
            }
        )
        for frame, objects in clicks.items()
    }
    object_ids = sorted({object_id for objects in clicks.values() for object_id in objects})
    entries = tuple(ObjectEntry(id=object_id, name=default_name(object_id)) for object_id in object_ids)
    return Annotations(objects=entries, keyframes=keyframes)


def timestamp() -> str:
    """The current time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_annotations(content: Any, path: Path) -> Annotations:
    """The document in a decoded JSON object; one of version 1 is converted.

    Raises:
        InputError: another version, or the first error found, with its place in the file.
    """
    version = content.get("version")
    if version == 1:
        content, version = _from_version_1(content), VERSION
    if version != VERSION:
        raise InputError(
            f"{path} is of version {version!r}, expected {VERSION}; "
            "it was written by another version of dextr-vos, use that one or update"
        )
    try:
        # JSON mode: object ids are strings there
        return Annotations.model_validate_json(json.dumps(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = " → ".join(str(part) for part in first["loc"]) or "the whole"
        more = f" ({error.error_count() - 1} more errors)" if error.error_count() > 1 else ""
        raise InputError(
            f"{path}, at {place}: {first['msg']}{more}; docs/formats.md describes annotations.json"
        ) from None


def _from_version_1(content: dict[str, Any]) -> dict[str, Any]:
    """A document of version 1 under today's names: `engine` is `made_by`, the model dextr is paper."""
    content = json.loads(json.dumps(content)) | {"version": VERSION}
    keyframes = content.get("keyframes")
    for keyframe in keyframes.values() if isinstance(keyframes, dict) else ():
        objects = keyframe.get("objects") if isinstance(keyframe, dict) else None
        for clicked in objects.values() if isinstance(objects, dict) else ():
            if isinstance(clicked, dict) and "engine" in clicked:
                engine = clicked.pop("engine")
                clicked["made_by"] = "paper" if engine == "dextr" else engine
    return content


def load_annotations(path: Path) -> Annotations:
    """Read `annotations.json`.

    Raises:
        InputError: missing, not JSON, or not such a document.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f'{path} is not an annotations file: expected a JSON object with "format": "{FORMAT}"'
        )
    return parse_annotations(content, path)


def save_annotations(path: Path, annotations: Annotations) -> None:
    """Write `annotations.json` atomically."""
    write_text(path, as_text(annotations), durable=True)


def as_text(annotations: Annotations) -> str:
    """A document as `annotations.json` holds it."""
    return annotations.model_dump_json(indent=1) + "\n"
