"""What the page sends: shapes and bounds of requests, checked before anything else happens."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_FARTHEST_PX = 100_000.0
_LONGEST_EDIT_MS = 3_600_000.0

Pixel = Annotated[float, Field(ge=-_FARTHEST_PX, le=_FARTHEST_PX)]
Number = Annotated[int, Field(ge=1, le=254)]
Name = Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[^\x00-\x1f]*$")]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class _Edit(_Body):
    active_ms: Annotated[float, Field(ge=0)] = 0.0

    def spent_ms(self) -> float:
        """Time spent, bounded, for a clock that was set anew."""
        return min(self.active_ms, _LONGEST_EDIT_MS)


class Points(_Edit):
    """All points of an object in a frame."""

    points: Annotated[list[tuple[Pixel, Pixel]], Field(max_length=10_000)]

    def rounded(self) -> list[tuple[int, int]]:
        """The pixels."""
        return [(round(x), round(y)) for x, y in self.points]


class Stroke(_Edit):
    """A stroke of the brush."""

    path: Annotated[list[tuple[Pixel, Pixel]], Field(min_length=1, max_length=20_000)]
    radius: Annotated[float, Field(gt=0, le=2000)]
    erase: bool = False


class Clear(_Edit):
    """An object is not in a frame."""


class KeyframeOrNot(_Edit):
    """A frame is a keyframe, or is none any more."""

    keyframe: bool


class Lock(_Edit):
    """A frame stays as it is, or may change again."""

    locked: bool


class NewObject(_Edit):
    """An object to add."""

    name: Name | None = None
    colour: Colour | None = None


class ChangedObject(_Edit):
    """What to change of an object; what is left out or null stays."""

    name: Name | None = None
    colour: Colour | None = None
    visible: bool | None = None

    def changes(self) -> dict[str, Any]:
        """What is given."""
        given = {"name": self.name, "colour": self.colour and self.colour.lower(), "visible": self.visible}
        return {key: value for key, value in given.items() if value is not None}


class Order(_Edit):
    """All objects in a new order."""

    ids: Annotated[list[Number], Field(max_length=254)]


class Nothing(_Edit):
    """A request that says all by its address."""


class Propagate(_Body):
    """How long propagating may take, in seconds."""

    budget: Annotated[float, Field(ge=1, le=1e6)] | None = None


class Export(_Body):
    """What to export."""

    kind: Literal["masks", "video", "coco"]


class Status(_Body):
    """How far a picture is."""

    status: Literal["open", "done", "skipped"]


class Reset(_Body):
    """Forget all progress, if it is meant."""

    confirm: bool = False
