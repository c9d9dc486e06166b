"""The stretches of a clip between its keyframes; what happens in one does not touch the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from dextr_vos.clip import Clip
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.propagation.own_masks import OwnMasks
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.soft_masks import SoftMasks
from dextr_vos.propagation.tracker import FrameFeatures, MaskedFrame, Memories, Tracker, small_frame


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


def soft_overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Soft intersection over union of each of K soft masks; 1 where both are empty.

    Args:
        one: K×H×W in [0, 1].
        other: likewise.
    """
    return _ratio(*(extreme(one, other).sum((1, 2)) for extreme in (np.minimum, np.maximum)))


def expected_overlap(probs: FloatArray) -> FloatArray:
    """The overlap with the truth that each soft mask expects of its own hard mask; 1 where it is empty.

    Args:
        probs: K×H×W in [0, 1].
    """
    hard = probs > 0.5
    both, either = np.where(hard, probs, 0).sum((1, 2)), np.maximum(probs, hard).sum((1, 2))
    return _ratio(both, either)


def _ratio(both: FloatArray, either: FloatArray) -> FloatArray:
    ratio: FloatArray = np.where(either < 1, 1, both / np.maximum(either, 1)).astype(np.float32)
    return ratio


_FRAMES_AT_ONCE = 32
_REMNANT = 0.1  # of the area that the other pass finds
_LEAST_SURE = 1e-6

OnStep = Callable[[], None]


@dataclass(frozen=True)
class FramePrediction:
    """A frame of a span.

    Attributes:
        index: its place in the clip.
        image_rgb: H×W×3 uint8, at full size.
        probs: K×h×w float32 in [0, 1], at the size at which masks are carried along.
        agreement: K float, in [0, 1]: soft overlap of the two passes; 1 where there is one alone.
    """

    index: int
    image_rgb: ImageRgb
    probs: FloatArray
    agreement: FloatArray


class BidirectionalPropagator:
    """Follows objects through the spans of a clip.

    Args:
        clip: its frames.
        size_hw: at which masks are carried along.
        tracker: goes from one frame to the next.
        following: what is remembered.
        keyframes: indices of the frames whose masks are known.
        read_keyframe: one of them at that size, by its index.
        folder: for soft masks under way.
        own: masks of a network that sees frames alone, a share of which is mixed into those of every pass.
    """

    def __init__(
        self,
        clip: Clip,
        size_hw: tuple[int, int],
        tracker: Tracker,
        following: TrackingSettings,
        keyframes: Sequence[int],
        read_keyframe: Callable[[int], MaskedFrame],
        folder: Path,
        own: OwnMasks | None = None,
    ) -> None:
        self._own = own
        self._clip, self._size_hw, self._tracker, self._folder = clip, size_hw, tracker, folder
        self._following, self._keyframes = following, sorted(keyframes)
        # a clip may have more keyframes than fit into memory
        self._keyframe = lru_cache(2 * following.memories)(read_keyframe)
        self._memory = lru_cache(2 * following.memories)(self._remember_keyframe)
        self._count = len(self._keyframe(self._keyframes[0]).probs)

    def follow(
        self, span: Span, begin: int, on_step: OnStep, on_known: OnStep = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a span in order, from `begin` on.

        Args:
            span: which.
            begin: index of the first frame that is asked for; what an earlier call has found is used.
            on_step: called after every frame of every pass, and of the own masks; may raise to stop.
            on_known: called in its place for own masks, and frames of the pass back, that an earlier call has
                found.
        """
        if self._own is not None:  # forward, as a video is read best, whichever way the passes go
            for index in range(begin, span.last + 1):
                known = index in self._own
                self._own.make(index)
                (on_known if known else on_step)()
        back, forth = self._kept(span, "back"), self._kept(span, "forth")
        both_ways = self._following.both_ways
        if span.after is not None and (both_ways or span.before is None):
            start = _Pass(self._keyframe(span.after))
            for index, image in self._backward(span.last, begin):
                known = index in back
                self._advance(start, span, image, index, back)
                (on_known if known else on_step)()
        here = None if span.before is None else _Pass(self._keyframe(span.before))
        if here is not None:
            for index in range(span.first, begin):
                self._advance(here, span, self._small(self._clip.read(index)), index, forth)
        sure = np.ones(self._count, np.float32)
        for index in range(begin, span.last + 1):
            image = self._clip.read(index)
            if here is None:
                probs, agreement = back.read(index), sure
            else:
                self._advance(here, span, self._small(image), index, forth)
                probs, agreement = here.seen.probs, sure
                if span.after is not None and both_ways:
                    other = back.read(index)
                    agreement = soft_overlap(probs, other)
                    probs = _blended(probs, other, span.share_after(index), self._following.trust)
            yield FramePrediction(index, image, probs, agreement)
            if here is not None:  # else it was told on the way back
                on_step()

    def _advance(self, state: "_Pass", span: Span, image: ImageRgb, index: int, kept: SoftMasks) -> None:
        """One frame on; a frame that was found before is not segmented again."""
        following = self._following
        remembered = following.recent > 0 and state.steps % following.every == following.every - 1
        view = None
        if index in kept:
            probs = kept.read(index)
        else:
            view = self._view(state.seen, image)
            probs = self._tracker.segment(view, [*self._near(span), *state.recent])
            if self._own is not None:
                probs = self._own.mixed(index, probs, view.crop_coverage)
            probs = kept.write(index, probs)
        if remembered:
            view = view or self._view(state.seen, image)
            state.recent = [*state.recent, self._tracker.remember(view, probs)][-following.recent :]
        state.seen = MaskedFrame(image, probs)
        state.steps += 1

    def _view(self, before: MaskedFrame, image: ImageRgb) -> FrameFeatures:
        return self._tracker.view(before, image, self._count)

    def _remember_keyframe(self, index: int) -> Memories:
        seen = self._keyframe(index)
        return self._tracker.remember(self._tracker.known_view(seen), seen.probs)

    def _near(self, span: Span) -> Sequence[Memories]:
        """What is remembered in a span: the keyframes nearest to it."""
        middle = (span.first + span.last) / 2
        nearest = sorted(self._keyframes, key=lambda index: abs(index - middle))
        return [self._memory(index) for index in sorted(nearest[: self._following.memories])]

    def _kept(self, span: Span, direction: str) -> SoftMasks:
        return SoftMasks(self._folder / f"{span.first:08d}-{direction}", self._count)

    def _backward(self, last: int, first: int) -> Iterator[tuple[int, ImageRgb]]:
        """Small frames from last to first; a video is still read forward, piece by piece."""
        for end in range(last, first - 1, -_FRAMES_AT_ONCE):
            start = max(first, end - _FRAMES_AT_ONCE + 1)
            piece = [self._small(self._clip.read(index)) for index in range(start, end + 1)]
            yield from zip(range(end, start - 1, -1), reversed(piece), strict=True)

    def _small(self, image_rgb: ImageRgb) -> ImageRgb:
        return small_frame(image_rgb, self._size_hw)


def _blended(forth: FloatArray, back: FloatArray, share: float, trust: float) -> FloatArray:
    """The mean of two passes; `share` belongs to the one back where both are as sure."""
    sure = np.stack([expected_overlap(probs) for probs in (forth, back)])
    # a pass that has lost the object, or all but a remnant of it, cannot say whether it is gone: time decides
    area = np.stack([(probs > 0.5).sum((1, 2)) for probs in (forth, back)])
    present = np.minimum(1, area / np.maximum(_REMNANT * area.max(0), 1))
    sure = np.maximum(present * sure + (1 - present) * sure[::-1], _LEAST_SURE)
    weights = (sure / sure.max(0)) ** trust * np.array([[1 - share], [share]])
    shares = (weights[1] / weights.sum(0))[:, None, None]
    blended: FloatArray = ((1 - shares) * forth + shares * back).astype(np.float32)
    return blended


class _Pass:
    """Where a pass is: the last frame, and what it remembers of those before."""

    def __init__(self, start: MaskedFrame) -> None:
        self.seen = start
        self.recent: list[Memories] = []
        self.steps = 0
