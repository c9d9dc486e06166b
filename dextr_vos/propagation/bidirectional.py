"""Soft masks of the frames between keyframes: a pass from the keyframe on each side, blended.

What happens between two keyframes does not depend on the frames beyond them. In a shot without a keyframe,
and in flashes, nothing is found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from dextr_vos.files import atomic_path
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels
from dextr_vos.networks.lite_tracker import Memory, join_memories
from dextr_vos.propagation.confidence import explained_share, mask_areas, possible_areas, soft_iou
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, OnFrameDone, Span, SpanPart
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.tracker import (
    FrameFeatures,
    MaskedFrame,
    Memories,
    SoftMasks,
    Tracker,
    resized_frame,
)

_FRAMES_AT_ONCE = 32
_REMNANT = 0.1  # of the area that the other pass finds
_LEAST_ESTIMATE = 1e-6


@dataclass(frozen=True)
class PassMasks(SoftMasks):
    """What a pass found in a frame.

    Attributes:
        areas: K float32, in pixels, see `possible_areas`.
    """

    areas: FloatArray

    @property
    def explained(self) -> FloatArray:
        """See `explained_share`."""
        return explained_share(self.areas, self.probs)


class MaskFiles:
    """What a pass found in frames, by their index, one grey PNG a frame.

    The soft masks are one below the other; below them are the estimated IoUs and the bytes of the areas.

    Args:
        folder: made when the first one is written.
        count: objects K.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self._folder, self._count = folder, count

    def __contains__(self, index: int) -> bool:
        return self._path(index).exists()

    def read(self, index: int) -> PassMasks:
        """What was written, soft masks and IoUs in 256 levels."""
        levels = cv2.imread(str(self._path(index)), cv2.IMREAD_GRAYSCALE)
        assert levels is not None, f"{self._path(index)} was there a moment ago"
        return self._decoded(levels)

    def write(self, index: int, masks: PassMasks) -> PassMasks:
        """Write what was found, atomically; gives back what will be read."""
        width = masks.probs.shape[2]
        shares = np.concatenate([masks.probs.ravel(), masks.iou_estimate])
        areas = masks.areas.astype("<f4").view(np.uint8)
        values = np.concatenate([np.rint(shares * 255).astype(np.uint8), areas])
        # narrow frames of many objects need more than one row
        levels = np.pad(values, (0, -len(values) % width)).reshape(-1, width)
        with atomic_path(self._path(index)) as temporary:
            coded = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            temporary.write_bytes(coded.tobytes())
        return self._decoded(levels)

    def _decoded(self, levels: npt.NDArray[np.uint8]) -> PassMasks:
        count, (rows, width) = self._count, levels.shape
        end = (rows - -(-5 * count // width)) * width  # of the masks; a byte an IoU and four an area follow
        values = levels.ravel()
        shares = np.divide(values[: end + count], 255, dtype=np.float32)
        areas = values[end + count : end + 5 * count].view("<f4").astype(np.float32)
        return PassMasks(shares[:end].reshape(count, -1, width), shares[end:], areas)

    def _path(self, index: int) -> Path:
        return self._folder / f"{index:08d}.png"


class BidirectionalPropagator:
    """Propagates the masks of keyframes through the spans of a clip.

    Args:
        annotated: the clip and its keyframes.
        size_hw: size at which masks are propagated.
        tracker: goes from one frame to the next.
        tracking: what is memorized.
        folder: for soft masks in progress.
    """

    def __init__(
        self,
        annotated: AnnotatedClip,
        size_hw: tuple[int, int],
        tracker: Tracker,
        tracking: TrackingSettings,
        folder: Path,
    ) -> None:
        self._annotated, self._size_hw, self._tracker = annotated, size_hw, tracker
        self._tracking, self._folder = tracking, folder
        self._count = len(annotated.object_ids)
        # a clip may have more keyframes than fit into memory
        self._keyframe = lru_cache(2 * tracking.max_keyframes)(self._read_keyframe)
        self._memory = lru_cache(2 * tracking.max_keyframes)(self._memorize_keyframe)

    def steps(self, part: SpanPart) -> int:
        """How many frames are segmented for a part of a span, from the keyframes on its sides on."""
        forward = 0 if part.span.before is None else part.end + 1 - part.span.first
        backward = part.span.last + 1 - part.begin if self._goes_backward(part.span) else 0
        return forward + backward

    def propagate(
        self, part: SpanPart, on_step: OnFrameDone, on_known: OnFrameDone = lambda: None
    ) -> Iterator[FramePrediction]:
        """The frames of a part in order; what an earlier call has found is used.

        Args:
            part: which.
            on_step: called after every frame of every pass; may raise to stop.
            on_known: called in its place for frames before them that an earlier call has found.
        """
        span, begin, end = part.span, part.begin, part.end
        backward, forward = self._soft_masks(span, "backward"), self._soft_masks(span, "forward")
        both_ways = self._goes_backward(span)
        if span.after is not None and both_ways:
            start = self._pass(span.after)
            for index, image in self._in_reverse(span.last, begin):
                known = index in backward
                self._advance(start, span, image, index, backward)
                (on_known if known else on_step)()
        here = None if span.before is None else self._pass(span.before)
        if here is not None:
            for index in range(span.first, begin):
                known = index in forward
                self._advance(here, span, self._resized(self._annotated.read(index)), index, forward)
                (on_known if known else on_step)()
        for index in range(begin, end + 1):
            image = self._annotated.read(index)
            found: SoftMasks
            if here is None:
                found = backward.read(index) if both_ways else self._lost()
                yield FramePrediction(index, image, found.probs, found.explained, found.iou_estimate)
                continue  # reported by the backward pass
            self._advance(here, span, self._resized(image), index, forward)
            found, agreement = here.found, here.found.explained
            if both_ways:
                other = backward.read(index)
                found, agreement = _blended(
                    here.found, other, span.share_after(index), self._tracking.confidence_power
                )
            yield FramePrediction(index, image, found.probs, agreement, found.iou_estimate)
            on_step()

    def repeat(self, index: int) -> FramePrediction:
        """A keyframe segmented from its memory alone, as the network would find it in another frame nearby.

        The crop is around the objects: in a whole frame a small object is not found, and yet tracked well.
        """
        memory, frame = self._memory(index), self._keyframe(index)
        found = self._tracker.segment(self._tracker.encode_unguided(frame), [memory])
        certain = np.ones(self._count, np.float32)
        return FramePrediction(index, self._annotated.read(index), found.probs, certain, found.iou_estimate)

    def memory(self) -> Memory:
        """What the network knows of some keyframes, on the CPU, so that it can be applied to other clips."""
        indices = [each.index for each in self._annotated.some_keyframes(self._tracking.max_keyframes)]
        joined = join_memories([crop for index in indices for crop in self._memory(index)])
        return joined.to("cpu")

    def forget(self) -> None:
        """Drop the memory of keyframes, once the network has changed."""
        self._tracker.forget()
        self._memory.cache_clear()

    def segment_once(self, index: int) -> None:
        """Segment a frame from the keyframe `index` and as many memories as in use; for timing."""
        frame = self._keyframe(index)
        features = self._tracker.encode_next(frame, frame.image_rgb, self._count)
        self._tracker.segment(features, [self._memory(index)] * (1 + self._tracking.max_recent))

    def _goes_backward(self, span: Span) -> bool:
        return span.after is not None and (self._tracking.bidirectional or span.before is None)

    def _pass(self, keyframe: int) -> "_Pass":
        return _Pass(self._keyframe(keyframe))

    def _lost(self) -> PassMasks:
        nothing = np.zeros((self._count, *self._size_hw), np.float32)
        return PassMasks(nothing, *np.zeros((2, self._count), np.float32))

    def _advance(
        self, state: "_Pass", span: Span, image: ImageRgb, index: int, soft_masks: MaskFiles
    ) -> None:
        """Go on by one frame; one that was found before is not segmented again."""
        tracking = self._tracking
        if not tracking.across_cuts and self._annotated.shots.is_outside_shot(index):
            state.found = self._lost()
            if index not in soft_masks:
                soft_masks.write(index, state.found)
            return
        memorized = tracking.max_recent > 0 and state.steps % tracking.mem_every == tracking.mem_every - 1
        known = index in soft_masks
        features = self._features(state.frame, image) if memorized or not known else None
        if known or features is None:
            masks = soft_masks.read(index)
        else:
            found = self._tracker.segment(features, [*self._nearest(span), *state.recent])
            areas = possible_areas(state.areas, state.frame.probs, features.guides, found.probs)
            masks = soft_masks.write(index, PassMasks(found.probs, found.iou_estimate, areas))
        if memorized and features:
            state.recent = [*state.recent, self._tracker.memorize(features, masks.probs)][
                -tracking.max_recent :
            ]
        state.frame, state.found, state.areas = MaskedFrame(image, masks.probs), masks, masks.areas
        state.steps += 1

    def _features(self, before: MaskedFrame, image: ImageRgb) -> FrameFeatures:
        return self._tracker.encode_next(before, image, self._count)

    def _read_keyframe(self, index: int) -> MaskedFrame:
        labels = self._annotated.keyframes[index].labels
        return masked_frame(self._annotated.read(index), labels, self._annotated.object_ids, self._size_hw)

    def _memorize_keyframe(self, index: int) -> Memories:
        frame = self._keyframe(index)
        return self._tracker.memorize(self._tracker.encode_known(frame), frame.probs)

    def _nearest(self, span: Span) -> Sequence[Memories]:
        """Memories of the keyframes nearest to a span."""
        middle = (span.first + span.last) / 2
        nearest = sorted(sorted(self._annotated.keyframes), key=lambda index: abs(index - middle))
        return [self._memory(index) for index in sorted(nearest[: self._tracking.max_keyframes])]

    def _soft_masks(self, span: Span, direction: str) -> MaskFiles:
        return MaskFiles(self._folder / f"{span.first:08d}-{direction}", self._count)

    def _in_reverse(self, last: int, first: int) -> Iterator[tuple[int, ImageRgb]]:
        """Resized frames from last to first; a video is still read forward, piece by piece."""
        for end in range(last, first - 1, -_FRAMES_AT_ONCE):
            start = max(first, end - _FRAMES_AT_ONCE + 1)
            piece = [self._resized(self._annotated.read(index)) for index in range(start, end + 1)]
            yield from zip(range(end, start - 1, -1), reversed(piece), strict=True)

    def _resized(self, image_rgb: ImageRgb) -> ImageRgb:
        return resized_frame(image_rgb, self._size_hw)


@dataclass
class _Pass:
    """The state of a pass.

    Attributes:
        frame: the last one, flashes left out, from which the next is tracked.
        recent: what is memorized of frames before.
        steps: frames done.
        found: in the last frame, flashes not left out; the keyframe's masks at first.
        areas: how large the objects can be, see `possible_areas`.
    """

    frame: MaskedFrame
    recent: list[Memories] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.areas = mask_areas(self.frame.probs)
        self.found = PassMasks(self.frame.probs, np.ones(len(self.areas), np.float32), self.areas)


def masked_frame(
    image_rgb: ImageRgb, labels: Labels, object_ids: Sequence[int], size_hw: tuple[int, int]
) -> MaskedFrame:
    """A frame with known labels, resized.

    Args:
        image_rgb: H×W×3 uint8.
        labels: H×W uint8.
        object_ids: K of them, a soft mask each.
        size_hw: h and w of the result.
    """
    size = size_hw[1], size_hw[0]
    shares = [
        cv2.resize((labels == object_id).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for object_id in object_ids
    ]
    return MaskedFrame(resized_frame(image_rgb, size_hw), np.stack(shares))


def _blended(
    forward: PassMasks, backward: PassMasks, share: float, power: float
) -> tuple[SoftMasks, FloatArray]:
    """The weighted mean of two passes, and how far they agree with it.

    Args:
        forward: masks of one pass.
        backward: of the other.
        share: weight of `backward` where both are as confident.
        power: how strongly the more confident one is preferred, see `TrackingSettings`.

    Returns:
        The masks, and for each of K objects the soft IoU of the passes with them, times the share that is
        explained, weighted as the passes are.
    """
    for one, other in ((forward, backward), (backward, forward)):
        if not one.is_known:
            return other, other.explained
    estimates = np.stack([masks.iou_estimate for masks in (forward, backward)])
    # a pass that has lost the object, or all but a remnant of it, cannot say whether it is gone: time decides
    area = np.stack([(masks.probs > 0.5).sum((1, 2)) for masks in (forward, backward)])
    present = np.minimum(1, area / np.maximum(_REMNANT * area.max(0), 1))
    estimates = np.maximum(present * estimates + (1 - present) * estimates[::-1], _LEAST_ESTIMATE)
    weights = (estimates / estimates.max(0)) ** power * np.array([[1 - share], [share]])
    weights = (weights / weights.sum(0)).astype(np.float32)

    def mean(one: FloatArray, other: FloatArray) -> FloatArray:
        each = weights.reshape(2, -1, *[1] * (one.ndim - 1))
        result: FloatArray = each[0] * one + each[1] * other
        return result

    masks = SoftMasks(mean(forward.probs, backward.probs), mean(forward.iou_estimate, backward.iou_estimate))
    return masks, mean(*(soft_iou(each.probs, masks.probs) * each.explained for each in (forward, backward)))
