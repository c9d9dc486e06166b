"""The lite network on a clip: from a frame to its neighbour, with the memory of other frames.

A frame enters it as crops of the objects and their surroundings, enlarged.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.lite_tracker import (
    LOST,
    EncodedFrames,
    LiteTracker,
    Memory,
    join_memories,
    lite_input,
)
from dextr_vos.networks.tiny_vit import fold_constants
from dextr_vos.networks.windows import Window
from dextr_vos.optical_flow import warp_masks
from dextr_vos.propagation.crops import ObjectCrop, input_pixels, object_crops, object_windows
from dextr_vos.propagation.settings import CropSettings
from dextr_vos.runtime import autocast, cast_weights


@dataclass(frozen=True)
class MaskedFrame:
    """A frame with its soft masks, from which the next one is tracked.

    Attributes:
        image_rgb: H×W×3 uint8.
        probs: K×H×W float32 in [0, 1].
    """

    image_rgb: ImageRgb
    probs: FloatArray


@dataclass(frozen=True)
class CropFeatures:
    """Features of one crop of a frame.

    Attributes:
        region: the part of the frame.
        features: of the encoder.
        guides: 1×K×h×w, see `LiteTracker.decode`.
        windows: see `object_windows`; None for the whole crop.
    """

    region: ObjectCrop
    features: EncodedFrames
    guides: Tensor
    windows: list[Window] | None


@dataclass(frozen=True)
class FrameFeatures:
    """Features of a frame: the objects and their surroundings, in a narrow and a wide crop.

    Attributes:
        crops: one for each margin, see `CropSettings`.
        guides: K×H×W float32 in [0, 1], soft masks that are believed; 0.5 where nothing is.
    """

    crops: tuple[CropFeatures, ...]
    guides: FloatArray


@dataclass(frozen=True)
class SoftMasks:
    """What the network says of a frame.

    Attributes:
        probs: K×H×W float32 in [0, 1].
        iou_estimate: K float32 in [0, 1], its estimate of the IoU of each mask with the truth.
    """

    probs: FloatArray
    iou_estimate: FloatArray

    @property
    def is_known(self) -> bool:
        """Whether the objects were found or looked for; not so beyond a cut."""
        return bool(self.iou_estimate.any() or self.probs.any())


Memories = tuple[Memory, ...]  # of one frame, for each of its crops


class Tracker:
    """Soft masks of one frame after the other.

    Args:
        network: in evaluation mode, on `device`.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
        crops: how the network's crops are cut out.
        longest_side: of a 16:9 frame with as many pixels as the network's input has.
    """

    def __init__(
        self, network: LiteTracker, device: torch.device, bf16: bool, crops: CropSettings, longest_side: int
    ) -> None:
        self._trained, self._device, self._bf16 = network, device, bf16
        self._crops, self._pixels = crops, input_pixels(longest_side)
        self._folded: LiteTracker | None = None

    @property
    def _network(self) -> LiteTracker:
        """A copy of the network that computes the same faster."""
        if self._folded is None:
            self._folded = copy.deepcopy(self._trained)
            fold_constants(self._folded.encoder)
            cast_weights(self._folded, self._device, self._bf16)
        return self._folded

    def forget(self) -> None:
        """See the network again, once it has changed."""
        self._folded = None

    def encode_next(self, before: MaskedFrame | None, image_rgb: ImageRgb, objects: int) -> FrameFeatures:
        """Features of a frame onto which its neighbour's masks are warped by optical flow.

        Args:
            before: the neighbour; None where none is known.
            image_rgb: H×W×3 uint8.
            objects: K.
        """
        if before is None:
            guides = np.full((objects, *image_rgb.shape[:2]), 0.5, np.float32)
        else:
            guides = warp_masks(before.probs, before.image_rgb, image_rgb)
            guides[(guides > 0.5).mean((1, 2)) < LOST] = 0.5
        is_any_lost = not (guides > 0.5).any((1, 2)).all()
        # it may come back anywhere
        return self._features(guides, image_rgb, np.zeros_like(guides) if is_any_lost else guides)

    def encode_known(self, frame: MaskedFrame) -> FrameFeatures:
        """Features of a frame whose masks are known."""
        return self._features(frame.probs, frame.image_rgb, frame.probs)

    def encode_unguided(self, frame: MaskedFrame) -> FrameFeatures:
        """As `encode_known`, the same crops, but nothing tells the network what is object in them."""
        return self._features(np.full_like(frame.probs, 0.5), frame.image_rgb, frame.probs)

    @torch.inference_mode()
    def memorize(self, frame: FrameFeatures, probs: FloatArray) -> Memories:
        """The memory of a frame, given its masks K×H×W."""
        made: dict[int, Memory] = {}
        for crop in frame.crops:
            if id(crop) not in made:
                made[id(crop)] = crop.features.memorize_thinned(self._tensor(crop.region.cut(probs)))
        return tuple(made[id(crop)] for crop in frame.crops)

    @torch.inference_mode()
    def segment(self, frame: FrameFeatures, memories: Sequence[Memories]) -> SoftMasks:
        """Soft masks of a frame: the mean of the crops', each 0 outside its crop.

        So nothing is found outside the narrowest crop.

        Args:
            frame: see `encode_next`.
            memories: frames whose masks are known, at least one.
        """
        found: dict[int, SoftMasks] = {}
        for crop, of_crop in zip(frame.crops, zip(*memories, strict=True), strict=True):
            if id(crop) not in found:
                found[id(crop)] = self._decode(crop, join_memories(of_crop), frame.guides.shape[1:])
        masks = [found[id(crop)] for crop in frame.crops]
        return SoftMasks(
            np.mean([each.probs for each in masks], axis=0, dtype=np.float32),
            np.mean([each.iou_estimate for each in masks], axis=0, dtype=np.float32),
        )

    def _decode(self, crop: CropFeatures, memory: Memory, size_hw: tuple[int, int]) -> SoftMasks:
        with autocast(self._device, self._bf16):
            logits, quality = self._network.decode(crop.features, memory, crop.guides, crop.windows)
        probs = crop.region.paste(_aggregate(logits[0].float()).cpu().numpy(), size_hw)
        return SoftMasks(probs, quality[0].float().clamp(0, 1).cpu().numpy())

    @torch.inference_mode()
    def _features(self, probs: FloatArray, image_rgb: ImageRgb, focus: FloatArray) -> FrameFeatures:
        crops: list[CropFeatures] = []
        for crop in object_crops(focus, self._crops, self._pixels):
            # crops of a large object, or of a lost one, are the same: the whole frame
            same = next((each for each in crops if each.region == crop), None)
            windows = object_windows(probs, crop, self._crops)
            crops.append(same or self._crop_features(crop, probs, image_rgb, windows))
        return FrameFeatures(tuple(crops), probs)

    def _crop_features(
        self, crop: ObjectCrop, probs: FloatArray, image_rgb: ImageRgb, windows: list[Window] | None
    ) -> CropFeatures:
        frames = lite_input(crop.cut_image(image_rgb)[None]).to(self._device)
        with autocast(self._device, self._bf16):
            features = self._network.encode(frames.contiguous(memory_format=torch.channels_last))
        return CropFeatures(crop, features, 2 * self._tensor(crop.cut(probs)) - 1, windows)

    def _tensor(self, probs: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(probs))[None].to(self._device)


class SequenceSegmenter:
    """Soft masks of frames in order; the first one is segmented from memory alone.

    Args:
        tracker: of the network.
        memories: of frames whose masks are known, perhaps of another clip.
        size_hw: size at which masks are propagated.
        num_objects: K.
    """

    def __init__(
        self, tracker: Tracker, memories: Memories, size_hw: tuple[int, int], num_objects: int
    ) -> None:
        self._tracker, self._memories, self._size_hw, self._count = tracker, memories, size_hw, num_objects
        self._before: MaskedFrame | None = None

    def segment(self, image_rgb: ImageRgb) -> FloatArray:
        """Soft masks of the next frame H×W×3 uint8, K×h×w float32 in [0, 1]."""
        small = resized_frame(image_rgb, self._size_hw)
        features = self._tracker.encode_next(self._before, small, self._count)
        probs = self._tracker.segment(features, [self._memories]).probs
        self._before = MaskedFrame(small, probs)
        return probs


def resized_frame(image_rgb: ImageRgb, size_hw: tuple[int, int]) -> ImageRgb:
    """A frame at another size, never a larger one.

    Args:
        image_rgb: H×W×3 uint8.
        size_hw: height and width of the result, in pixels.
    """
    if image_rgb.shape[:2] == size_hw:
        return image_rgb
    size = size_hw[1], size_hw[0]
    return np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _aggregate(logits: Tensor) -> Tensor:
    """Probabilities K×h×w of objects of which each pixel has at most one (Oh et al., ICCV 2019)."""
    if len(logits) == 1:
        return torch.sigmoid(logits)
    # no object at all: none of them by itself
    nothing = torch.nn.functional.logsigmoid(-logits).sum(0, keepdim=True)
    none_odds = nothing - torch.log1p(-nothing.exp().clamp(max=1 - 1e-6))
    return torch.softmax(torch.cat([none_odds, logits]), dim=0)[1:]
