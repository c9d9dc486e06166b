"""The stretches of a clip between its keyframes; what happens in one does not touch the others."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Span:
    """Neighbouring frames without a keyframe among them, at least one.

    Attributes:
        first: index of the first frame.
        last: of the last one.
        before: of the keyframe just before, None where the clip begins.
        after: of the keyframe just after, None where it ends.
    """

    first: int
    last: int
    before: int | None
    after: int | None

    def share_after(self, index: int) -> float:
        """How much the keyframe after counts at a frame, from 0 to 1, by the distance in time."""
        if self.before is None:
            return 1.0
        if self.after is None:
            return 0.0
        return (index - self.before) / (self.after - self.before)


def spans_between(keyframes: Iterable[int], count: int) -> list[Span]:
    """The spans of a clip of `count` frames, in order; every frame is a keyframe or in one of them."""
    fixed = sorted(keyframes)
    edges: list[int | None] = [None, *fixed, None]
    spans = []
    for before, after in pairwise(edges):
        first = 0 if before is None else before + 1
        last = count - 1 if after is None else after - 1
        if first <= last:
            spans.append(Span(first, last, before, after))
    return spans
