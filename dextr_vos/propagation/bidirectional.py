"""Soft masks of the frames between keyframes: a pass from the keyframe on each side, blended.

What happens between two keyframes does not depend on the frames beyond them. In a shot without a keyframe,
and in flashes, nothing is found.
"""

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.files import atomic_path
from dextr_vos.images import ImageRgb
from dextr_vos.masks import Labels
from dextr_vos.networks.lite_tracker import Memory, join_memories
from dextr_vos.propagation.confidence import explained_share, mask_areas, possible_areas, soft_iou
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, OnFrameDone, Span, SpanPart
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.tracker import (
    MaskedFrame,
    Memories,
    SoftMasks,
    Tracker,
    resized_frame,
)
from dextr_vos.runtime import HostCopy

_FRAMES_AT_ONCE = 32
_REMNANT = 0.1  # of the area that the other pass finds
_LEAST_ESTIMATE = 1e-6


@dataclass(frozen=True)
class PassMasks(SoftMasks):
    """What a pass found in a frame.

    Attributes:
        areas: K float32, in pixels, see `possible_areas`.
    """

    areas: Tensor

    @property
    def explained(self) -> Tensor:
        """See `explained_share`."""
        return explained_share(self.areas, self.probs)

    def quantized(self) -> "PassMasks":
        """The same in 256 levels, as `MaskFiles` reads it back."""
        levels = [torch.round(255 * each).nan_to_num() for each in (self.probs, self.iou_estimate)]
        # for a plain number, CUDA multiplies by 1 / 255, which is rounded otherwise than a division
        probs, estimate = (each / each.new_full((), 255.0) for each in levels)
        return PassMasks(probs, estimate, self.areas)

    def copied(self) -> HostCopy:
        """All of it on its way to the CPU."""
        return HostCopy([self.probs, self.iou_estimate, self.areas])

    def to(self, device: torch.device) -> "PassMasks":
        """The same on another device."""
        return PassMasks(self.probs.to(device), self.iou_estimate.to(device), self.areas.to(device))


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
        """What was written, soft masks and IoUs in 256 levels, on the CPU."""
        levels = cv2.imread(str(self._path(index)), cv2.IMREAD_GRAYSCALE)
        assert levels is not None, f"{self._path(index)} was there a moment ago"
        count, (rows, width) = self._count, levels.shape
        end = (rows - -(-5 * count // width)) * width  # of the masks; a byte an IoU and four an area follow
        values = levels.ravel()
        shares = torch.from_numpy(values[: end + count].astype(np.float32)) / 255
        areas = values[end + count : end + 5 * count].view("<f4").astype(np.float32)
        return PassMasks(shares[:end].view(count, -1, width), shares[end:], torch.from_numpy(areas))

    def write(self, index: int, masks: PassMasks) -> None:
        """Write what was found, which is on the CPU, atomically."""
        width = masks.probs.shape[2]
        shares = torch.cat([masks.probs.flatten(), masks.iou_estimate])
        areas = masks.areas.numpy().astype("<f4").view(np.uint8)
        values = np.concatenate([torch.round(255 * shares).byte().numpy(), areas])
        # narrow frames of many objects need more than one row
        levels = np.pad(values, (0, -len(values) % width)).reshape(-1, width)
        with atomic_path(self._path(index)) as temporary:
            coded = cv2.imencode(".png", levels, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            temporary.write_bytes(coded.tobytes())

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
            frames = self._in_reverse(span.last, begin)
            with closing(self._pass(span.after, span, frames, backward)) as found:
                for each in found:
                    (on_known if each.was_there else on_step)()
        if span.before is None:  # what there is was reported by the backward pass
            for index in range(begin, end + 1):
                masks = backward.read(index) if both_ways else self._lost()
                yield _prediction(index, self._annotated.read(index), masks, masks.explained)
            return
        frames = ((index, self._annotated.read(index)) for index in range(span.first, end + 1))
        with closing(self._pass(span.before, span, frames, forward)) as found:
            for each in found:
                if each.index < begin:
                    (on_known if each.was_there else on_step)()
                    continue
                yield self._blend(each, span, backward if both_ways else None)
                on_step()

    def _blend(self, found: "_Found", span: Span, backward: MaskFiles | None) -> FramePrediction:
        """A prediction of the forward pass, and of the backward one where there is such."""
        index, masks = found.index, found.masks
        if backward is None:
            return _prediction(index, found.image_rgb, masks, masks.explained)
        power, share = self._tracking.confidence_power, span.share_after(index)
        blended, agreement = _blended(masks, backward.read(index), share, power)
        return _prediction(index, found.image_rgb, blended, agreement)

    def repeat(self, index: int) -> FramePrediction:
        """A keyframe segmented from its memory alone, as the network would find it in another frame nearby.

        The crop is around the objects: in a whole frame a small object is not found, and yet tracked well.
        """
        memory, frame = self._memory(index), self._keyframe(index)
        found = self._tracker.segment(self._tracker.encode_unguided(frame), [memory])
        masks = SoftMasks(found.probs.cpu(), found.iou_estimate.cpu())
        return _prediction(index, self._annotated.read(index), masks, torch.ones(self._count))

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

    def _lost(self) -> PassMasks:
        nothing = torch.zeros((self._count, *self._size_hw))
        return PassMasks(nothing, *torch.zeros((2, self._count)))

    def _pass(
        self, keyframe: int, span: Span, frames: Iterable[tuple[int, ImageRgb]], files: MaskFiles
    ) -> Generator["_Found"]:
        """What is found from a keyframe on, written to files; on CUDA the next frame is begun by then."""
        state, waiting = _Pass(self._keyframe(keyframe)), deque[_Found]()
        failed: Exception | None = None
        try:
            try:
                for index, image in frames:
                    waiting.append(self._advance(state, span, image, index, files))
                    if len(waiting) > self._tracker.frames_ahead:
                        yield self._write(waiting.popleft(), files)
            except Exception as error:  # what was found before comes first
                failed = error
            while waiting:
                yield self._write(waiting.popleft(), files)
        finally:  # also where nobody asks for more
            for each in waiting:
                self._write(each, files)
        if failed is not None:
            raise failed

    def _advance(
        self, state: "_Pass", span: Span, image_rgb: ImageRgb, index: int, files: MaskFiles
    ) -> "_Found":
        """Go on by one frame; one that was found before is not segmented again."""
        tracking, device = self._tracking, self._tracker.device
        was_there = index in files
        if not tracking.across_cuts and self._annotated.shots.is_outside_shot(index):
            return _Found(index, image_rgb, self._lost().copied(), was_there)
        small = self._resized(image_rgb)
        memorized = tracking.max_recent > 0 and state.steps % tracking.mem_every == tracking.mem_every - 1
        if memorized or not was_there:
            features = self._tracker.encode_next(state.frame, small, self._count)
        if was_there:
            masks = files.read(index)
            copy, masks = masks.copied(), masks.to(device)
        else:
            found = self._tracker.segment(features, [*self._nearest(span), *state.recent])
            areas = possible_areas(state.areas, state.frame.probs, features.guides, found.probs)
            masks = PassMasks(found.probs, found.iou_estimate, areas).quantized()
            copy = masks.copied()
        if memorized:
            remembered = self._tracker.memorize(features, masks.probs)
            state.recent = [*state.recent, remembered][-tracking.max_recent :]
        state.frame, state.areas = MaskedFrame(small, masks.probs), masks.areas
        state.steps += 1
        return _Found(index, image_rgb, copy, was_there)

    def _write(self, found: "_Found", files: MaskFiles) -> "_Found":
        if not found.was_there:
            files.write(found.index, found.masks)
        return found

    def _read_keyframe(self, index: int) -> MaskedFrame:
        labels, ids = self._annotated.keyframes[index].labels, self._annotated.object_ids
        frame = masked_frame(self._annotated.read(index), labels, ids, self._size_hw)
        return MaskedFrame(frame.image_rgb, frame.probs.to(self._tracker.device))

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
        areas: how large the objects can be, see `possible_areas`.
    """

    frame: MaskedFrame
    recent: list[Memories] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.areas = mask_areas(self.frame.probs)


@dataclass(frozen=True)
class _Found:
    """What a pass found in a frame, on its way to the CPU; `was_there` if an earlier call did."""

    index: int
    image_rgb: ImageRgb
    copy: HostCopy
    was_there: bool

    @property
    def masks(self) -> PassMasks:
        """What arrived."""
        return PassMasks(*self.copy.read())


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
    return MaskedFrame(resized_frame(image_rgb, size_hw), torch.from_numpy(np.stack(shares)))


def _prediction(index: int, image_rgb: ImageRgb, masks: SoftMasks, agreement: Tensor) -> FramePrediction:
    """The prediction for a frame, of what is on the CPU."""
    arrays = (each.numpy() for each in (masks.probs, agreement, masks.iou_estimate))
    return FramePrediction(index, image_rgb, *arrays)


def _blended(forward: PassMasks, backward: PassMasks, share: float, power: float) -> tuple[SoftMasks, Tensor]:
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
        if not (one.iou_estimate.any() or one.probs.any()):  # nothing was looked for: it is beyond a cut
            return other, other.explained
    estimates = torch.stack([forward.iou_estimate, backward.iou_estimate]).double()
    # a pass that has lost the object, or all but a remnant of it, cannot say whether it is gone: time decides
    area = torch.stack([mask_areas(forward.probs), mask_areas(backward.probs)]).double()
    present = (area / (_REMNANT * area.amax(0)).clamp(min=1)).clamp(max=1)
    estimates = (present * estimates + (1 - present) * estimates.flip(0)).clamp(min=_LEAST_ESTIMATE)
    by_time = torch.tensor([[1 - share], [share]], dtype=torch.float64)
    weights = (estimates / estimates.amax(0)) ** power * by_time
    weights = (weights / weights.sum(0)).float()

    def mean(one: Tensor, other: Tensor) -> Tensor:
        each = weights.view(2, -1, *[1] * (one.ndim - 1))
        return each[0] * one + each[1] * other

    masks = SoftMasks(mean(forward.probs, backward.probs), mean(forward.iou_estimate, backward.iou_estimate))
    return masks, mean(*(soft_iou(each.probs, masks.probs) * each.explained for each in (forward, backward)))
