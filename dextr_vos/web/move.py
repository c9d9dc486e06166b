"""A point that is moved: a drag is one change, and not one for every place on its way."""

from collections.abc import Sequence
from dataclasses import dataclass

_SECONDS_OF_ONE_MOVE = 1.0


@dataclass(frozen=True)
class Move:
    """Another place for one point.

    Attributes:
        frame: its index.
        number: of the object.
        point: which one.
        at: when the request came, in seconds.
    """

    frame: int
    number: int
    point: int
    at: float

    def goes_on(self, last: "Move | None") -> bool:
        """Whether it continues the move before it; the person's pause counts, not the time a mask takes."""
        if last is None:
            return False
        same = (self.frame, self.number, self.point) == (last.frame, last.number, last.point)
        return same and self.at - last.at < _SECONDS_OF_ONE_MOVE


def moved(
    where: tuple[int, int], earlier: list[list[int]], now: list[list[int]], arrived: float
) -> Move | None:
    """The one point of a frame and object that another place was given to, if that is all that happened."""
    if len(earlier) != len(now):
        return None
    other = [place for place, pair in enumerate(zip(earlier, now, strict=True)) if pair[0] != pair[1]]
    return Move(*where, other[0], arrived) if len(other) == 1 else None


def what_happened(earlier: Sequence[object], now: Sequence[object]) -> str:
    """A change of points in words."""
    if len(now) > len(earlier):
        return "point"
    if len(now) < len(earlier):
        return "point taken back" if now else "points taken back"
    return "point moved"
