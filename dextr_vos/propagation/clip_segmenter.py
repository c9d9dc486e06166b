"""The masks of a run: keyframes copied, what did not change kept, every other frame segmented."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from dextr_vos.clip import Clip
from dextr_vos.errors import Interrupted
from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.interrupt import StopAsked
from dextr_vos.masks import Labels
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.propagation.bidirectional import BidirectionalPropagator, FramePrediction, Span, spans_between
from dextr_vos.propagation.keyframes import Keyframe
from dextr_vos.propagation.models import LITE, Model, network_size, object_probs
from dextr_vos.propagation.own_masks import OwnMasks, companion
from dextr_vos.propagation.postprocess import confidence, finished_labels
from dextr_vos.propagation.run import UnfinishedMasks
from dextr_vos.propagation.tracker import MaskedFrame, Tracker, small_frame
from dextr_vos.propagation.trained_network import TrainedNetwork

OnFrame = Callable[[int, int], None]
PASSES = ".passes"


class ClipSegmenter:
    """Segments the frames of a clip with a trained network.

    Args:
        clip: its frames.
        keyframes: whose masks are known.
        trained: the network.
        model: its kind, in the precision that was asked for.
        device: where to compute.
        on_frame: called with frames done and in all; a frame that two passes go through counts as each,
            and once more where a network beside the one that follows says something of it.
        stop_asked: asked between frames.
    """

    def __init__(
        self,
        clip: Clip,
        keyframes: Sequence[Keyframe],
        trained: TrainedNetwork,
        model: Model,
        device: torch.device,
        on_frame: OnFrame | None,
        stop_asked: StopAsked,
    ) -> None:
        self._clip, self._trained, self._tier, self._device = clip, trained, model, device
        self._keyframes = {keyframe.index: keyframe for keyframe in keyframes}
        self._on_frame, self._stop_asked = on_frame, stop_asked
        self._done = 0
        trained.network.to(device).to(memory_format=torch.channels_last)

    def fill(self, masks: UnfinishedMasks, kept: Mapping[int, tuple[Path, dict[int, float]]]) -> None:
        """Make every mask that is not there.

        Args:
            masks: where they go.
            kept: masks of an earlier run that stay, with their confidences, by frame index.

        Raises:
            Interrupted: a stop was asked for; what is made stays.
            InputError: a frame cannot be read.
        """
        names = self._clip.names
        todo: list[tuple[Span, int]] = []
        for span in spans_between(self._keyframes, len(names)):
            missing = [index for index in range(span.first, span.last + 1) if names[index] not in masks]
            for index in missing:
                if index in kept:
                    masks.copy(names[index], *kept[index])
            if any(index not in kept for index in missing):
                todo.append((span, next(index for index in missing if index not in kept)))
        passes = 2 if self._trained.follows and self._trained.following.both_ways else 1
        total = sum(frames_to_segment(span, passes, begin) for span, begin in todo)
        if self._trained.accompanied:
            total += sum(span.last + 1 - begin for span, begin in todo)
        self._total = len(self._keyframes) + total
        for index, keyframe in self._keyframes.items():
            if names[index] not in masks:
                masks.copy(names[index], keyframe.path, dict.fromkeys(self._trained.numbers, 1.0))
            self._count()
        follower = self._follower(masks.folder / PASSES) if self._trained.follows and todo else None
        for span, begin in todo:
            frames = (
                self._alone(span, begin)
                if follower is None
                else follower.follow(span, begin, self._step, self._count)
            )
            for followed in frames:
                labels = finished_labels(
                    followed, self._trained.numbers, self._trained.record.min_component_share
                )
                scores = dict(zip(self._trained.numbers, confidence(followed), strict=True))
                masks.write(names[followed.index], labels, scores)

    def _count(self) -> None:
        self._done += 1
        if self._on_frame is not None:
            self._on_frame(self._done, self._total)

    def _step(self) -> None:
        self._count()
        if self._stop_asked():
            raise Interrupted(
                f"stopped after {self._done} of {self._total} frames, everything is kept; "
                "the same command goes on from there"
            )

    def _alone(self, span: Span, begin: int) -> Iterator[FramePrediction]:
        """Frames by themselves, for a network that follows nothing."""
        trained = self._trained
        sure = np.ones(len(trained.numbers), np.float32)
        for index in range(begin, span.last + 1):
            image = self._clip.read(index)
            probs = object_probs(
                trained.network, self._tier, trained.record.longest_side, image, self._device
            )
            yield FramePrediction(index, image, probs, sure)
            self._step()

    def _follower(self, folder: Path) -> BidirectionalPropagator:
        following = self._trained.following
        size_hw = network_size(self._clip.size_hw, following.longest_side)
        own = self._own(size_hw, folder) if self._trained.accompanied else None
        tracker = tracker_of(self._trained, self._device, self._tier.bf16)

        def read_keyframe(index: int) -> MaskedFrame:
            labels = self._keyframes[index].labels
            return masked_keyframe(self._clip.read(index), labels, self._trained.numbers, size_hw)

        keyframes = list(self._keyframes)
        return BidirectionalPropagator(
            self._clip, size_hw, tracker, following, keyframes, read_keyframe, folder, own
        )

    def _own(self, size_hw: tuple[int, int], folder: Path) -> OwnMasks:
        trained, share = self._trained, self._trained.following.own_share
        assert share is not None

        def segment(image_rgb: ImageRgb) -> FloatArray:
            side = trained.record.longest_side
            return object_probs(trained.network, self._tier, side, image_rgb, self._device)

        return OwnMasks(self._clip, size_hw, segment, share, folder / "own", len(trained.numbers))


def tracker_of(trained: TrainedNetwork, device: torch.device, bf16: bool) -> Tracker:
    """What follows objects with a trained network, or beside it.

    Args:
        trained: a network that follows, or is accompanied.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
    """
    zoom = trained.following.zoom
    if not isinstance(trained.network, LiteTracker):
        assert LITE.recipe.longest_side is not None
        return Tracker(companion(device), device, bf16, zoom, LITE.recipe.longest_side)
    longest_side = trained.record.longest_side
    assert longest_side is not None
    return Tracker(trained.network, device, bf16, zoom, longest_side)


def frames_to_segment(span: Span, passes: int, begin: int | None = None) -> int:
    """Frames of a span from `begin` on, each as often as there are passes through it."""
    both = passes == 2 and span.before is not None and span.after is not None
    return (span.last + 1 - (span.first if begin is None else begin)) * (2 if both else 1)


def masked_keyframe(
    image_rgb: ImageRgb, labels: Labels, numbers: Sequence[int], size_hw: tuple[int, int]
) -> MaskedFrame:
    """A keyframe at the size at which masks are carried along."""
    size = size_hw[1], size_hw[0]
    shares = [
        cv2.resize((labels == number).astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for number in numbers
    ]
    return MaskedFrame(small_frame(image_rgb, size_hw), np.stack(shares))
