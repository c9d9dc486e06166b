"""`annotations.json`: objects, keyframes and every click, the one source of truth of a workspace.

The format is described in docs/formats.md. Values are frozen; a change makes a new document.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from dextr_vos.errors import InputError
from dextr_vos.files import write_text
from dextr_vos.geometry import IntArray
from dextr_vos.masks import MAX_OBJECTS

FORMAT: Final = "dextr-vos annotations"
VERSION: Final = 1

Origin = Literal["human", "file", "simulated"]
ObjectId = Annotated[int, Field(ge=1, le=MAX_OBJECTS)]


_FARTHEST_PX = 1_000_000  # no picture reaches so far


def _checked_time(text: str) -> str:
    datetime.fromisoformat(text)
    return text


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Point(_Value):
    """One click: pixel, when it was made (ISO 8601, UTC), and by whom."""

    x: Annotated[int, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
    y: Annotated[int, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
    time: Annotated[str, AfterValidator(_checked_time)]
    origin: Origin


class ObjectClicks(_Value):
    """The clicks on one object in one keyframe, and the engine that made its mask of them."""

    points: tuple[Point, ...] = Field(strict=False)
    engine: str | None = None

    def points_xy(self) -> IntArray:
        """N×2 integers, in the order they were given."""
        return np.array([(point.x, point.y) for point in self.points], dtype=np.int64)


class Keyframe(_Value):
    """An annotated frame; an object that is not listed is not in the frame."""

    objects: dict[ObjectId, ObjectClicks] = Field(strict=False)


class ObjectEntry(_Value):
    """An object of the clip: its number in the masks and its name."""

    id: ObjectId
    name: str


class Annotations(_Value):
    """All of `annotations.json`."""

    format: Literal["dextr-vos annotations"] = FORMAT
    version: Literal[1] = VERSION
    objects: tuple[ObjectEntry, ...] = Field(strict=False)
    keyframes: dict[str, Keyframe]

    @model_validator(mode="after")
    def _every_object_is_listed(self) -> "Annotations":
        listed = [entry.id for entry in self.objects]
        if len(set(listed)) < len(listed):
            raise ValueError("two objects have the same id")
        for name, keyframe in self.keyframes.items():
            strangers = sorted(set(keyframe.objects) - set(listed))
            if strangers:
                raise ValueError(
                    f"keyframe '{name}' clicks object {strangers[0]}, which 'objects' does not list"
                )
        return self

    def clicks_in(self, name: str) -> dict[int, IntArray]:
        """Points N×2 of every object clicked in a frame, by object number."""
        return {number: clicked.points_xy() for number, clicked in self.keyframes[name].objects.items()}

    def is_clicked(self, name: str, number: int) -> bool:
        """Whether the mask of an object in a frame was made of clicks by an engine."""
        clicked = self.keyframes[name].objects.get(number) if name in self.keyframes else None
        return clicked is not None and clicked.engine is not None

    def made_by(self, engine: str) -> "Annotations":
        """This document with the name of the engine that made the masks of all its objects."""
        keyframes = {
            name: Keyframe(
                objects={
                    number: ObjectClicks(points=clicked.points, engine=engine)
                    for number, clicked in keyframe.objects.items()
                }
            )
            for name, keyframe in self.keyframes.items()
        }
        return Annotations(objects=self.objects, keyframes=keyframes)

    def merged_with(self, newer: "Annotations") -> "Annotations":
        """This document with the clicks of a newer one put over its own.

        Objects that the newer document does not click in a keyframe keep their clicks there; a keyframe that
        it gives with no object at all is emptied. A name that is not a mere default is never replaced by one.
        """
        names = {entry.id: entry.name for entry in self.objects}
        for entry in newer.objects:
            if entry.id not in names or entry.name != default_name(entry.id):
                names[entry.id] = entry.name
        keyframes = dict(self.keyframes)
        for frame, keyframe in newer.keyframes.items():
            kept = keyframes[frame].objects if frame in keyframes and keyframe.objects else {}
            keyframes[frame] = Keyframe(objects=dict(sorted({**kept, **keyframe.objects}.items())))
        return Annotations(
            objects=tuple(ObjectEntry(id=number, name=names[number]) for number in sorted(names)),
            keyframes=dict(sorted(keyframes.items())),
        )


def default_name(number: int) -> str:
    """What an object is called that nobody has named."""
    return f"object {number}"


def annotations_from(clicks: dict[str, dict[int, IntArray]], origin: Origin) -> Annotations:
    """A document of bare points, all stamped with the present time.

    Args:
        clicks: per frame name, per object number, N×2 points.
        origin: who made them.
    """
    now = timestamp()
    keyframes = {
        frame: Keyframe(
            objects={
                number: ObjectClicks(
                    points=tuple(Point(x=int(x), y=int(y), time=now, origin=origin) for x, y in points)
                )
                for number, points in objects.items()
            }
        )
        for frame, objects in clicks.items()
    }
    numbers = sorted({number for objects in clicks.values() for number in objects})
    entries = tuple(ObjectEntry(id=number, name=default_name(number)) for number in numbers)
    return Annotations(objects=entries, keyframes=keyframes)


def timestamp() -> str:
    """The present time as ISO 8601 in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_annotations(content: Any, path: Path) -> Annotations:
    """The document in a decoded JSON object.

    Raises:
        InputError: another version, or the first fault found, with its place in the file.
    """
    version = content.get("version")
    if version != VERSION:
        raise InputError(
            f"{path} is of version {version!r}, expected {VERSION}; "
            "it was written by another release of dextr-vos, use that one or update"
        )
    try:
        # JSON mode: object numbers are strings there
        return Annotations.model_validate_json(json.dumps(content))
    except ValidationError as faults:
        first = faults.errors()[0]
        place = " → ".join(str(part) for part in first["loc"]) or "the whole"
        more = f" ({faults.error_count() - 1} more faults)" if faults.error_count() > 1 else ""
        raise InputError(
            f"{path}, at {place}: {first['msg']}{more}; docs/formats.md describes annotations.json"
        ) from None


def load_annotations(path: Path) -> Annotations:
    """Read `annotations.json`.

    Raises:
        InputError: missing, not JSON, or not a document of version 1.
    """
    content = read_json(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(
            f'{path} is not an annotations file: expected a JSON object with "format": "{FORMAT}"'
        )
    return parse_annotations(content, path)


def save_annotations(path: Path, annotations: Annotations) -> None:
    """Write `annotations.json` atomically."""
    write_text(path, annotations.model_dump_json(indent=1) + "\n")


def read_json(path: Path) -> Any:
    """Decode a JSON file.

    Raises:
        InputError: missing or not JSON; the sentence gives line and column.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}") from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder; expected a JSON file") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file; expected JSON in UTF-8") from None
    except json.JSONDecodeError as fault:
        raise InputError(
            f"{path} is not valid JSON: {fault.msg} at line {fault.lineno}, column {fault.colno}"
        ) from None
    except (ValueError, RecursionError) as fault:
        raise InputError(f"{path} cannot be read as JSON: {fault}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that has a key twice, of which all but the last would be lost, is refused."""
    content = dict(pairs)
    if len(content) < len(pairs):
        repeated = next(key for i, (key, _) in enumerate(pairs) if key in dict(pairs[:i]))
        raise ValueError(f"the key {repeated!r} is there twice")
    return content
