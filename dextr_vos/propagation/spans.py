"""The frames between keyframes: their spans, and what is predicted of each frame."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb

OnStep = Callable[[], None]


@dataclass(frozen=True)
class Span:
    """Consecutive frames without a keyframe among them, at least one.

    Attributes:
        first: index of the first frame.
        last: index of the last frame.
        before: index of the keyframe just before, None at the beginning of the clip.
        after: index of the keyframe just after, None at the end.
    """

    first: int
    last: int
    before: int | None
    after: int | None

    def share_after(self, index: int) -> float:
        """Weight of the keyframe after at a frame, from 0 to 1, by the distance in time."""
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


@dataclass(frozen=True)
class FramePrediction:
    """Soft masks of a frame.

    Attributes:
        index: of the frame in the clip.
        image_rgb: H×W×3 uint8, at full size.
        probs: K×h×w float32 in [0, 1], at the size at which masks are propagated.
        agreement: K float32 in [0, 1]: soft IoU of the two passes; 1 where there is only one.
    """

    index: int
    image_rgb: ImageRgb
    probs: FloatArray
    agreement: FloatArray
