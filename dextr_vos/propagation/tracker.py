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
    normalize_frames,
)
from dextr_vos.networks.tiny_vit import fold_constants
from dextr_vos.networks.windows import Window
from dextr_vos.optical_flow import frame_flow, warp_masks
from dextr_vos.propagation.crops import (
    NOWHERE,
    ObjectCrop,
    VisiblePart,
    input_pixels,
    object_crops,
    object_windows,
    visible_parts,
)
from dextr_vos.propagation.settings import CropSettings
from dextr_vos.runtime import autocast, cast_weights


@dataclass(frozen=True)
class MaskedFrame:
    """A frame with its soft masks, from which the next one is tracked.

    Attributes:
        image_rgb: H×W×3 uint8.
        probs: K×H×W float32 in [0, 1], on the tracker's device or the CPU.
    """

    image_rgb: ImageRgb
    probs: Tensor


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
    """Features of a frame: the objects and their surroundings.

    Attributes:
        crops: one for each margin, see `CropSettings`.
        guides: K×H×W float32 in [0, 1], soft masks that are believed; 0.5 where nothing is.
    """

    crops: tuple[CropFeatures, ...]
    guides: Tensor


@dataclass(frozen=True)
class SoftMasks:
    """What the network says of a frame.

    Attributes:
        probs: K×H×W float32 in [0, 1].
        iou_estimate: K float32 in [0, 1], its estimate of the IoU of each mask with the truth.
    """

    probs: Tensor
    iou_estimate: Tensor


Memories = tuple[Memory, ...]  # of one frame, for each of its crops


class Tracker:
    """Soft masks of one frame after the other.

    Images and their optical flow come from the CPU. Of what is computed with them, the boxes of the objects
    alone go back there, as the next frame is cut out by them.

    Args:
        network: in evaluation mode, on `device`.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
        crops: how the network's crops are cut out.
        longest_side: of a 16:9 frame with as many pixels as the network's input has.

    Attributes:
        device: where soft masks are.
        frames_ahead: how many frames are begun before one is waited for: on CUDA one, elsewhere none.
    """

    def __init__(
        self, network: LiteTracker, device: torch.device, bf16: bool, crops: CropSettings, longest_side: int
    ) -> None:
        self._trained, self.device, self._bf16 = network, device, bf16
        self._crops, self._pixels = crops, input_pixels(longest_side)
        self._folded: LiteTracker | None = None
        self.frames_ahead = 1 if device.type == "cuda" else 0

    @property
    def _network(self) -> LiteTracker:
        """A copy of the network that computes the same faster."""
        if self._folded is None:
            self._folded = copy.deepcopy(self._trained)
            fold_constants(self._folded.encoder)
            cast_weights(self._folded, self.device, self._bf16)
        return self._folded

    def forget(self) -> None:
        """See the network again, once it has changed."""
        self._folded = None

    @torch.inference_mode()
    def encode_next(self, before: MaskedFrame | None, image_rgb: ImageRgb, objects: int) -> FrameFeatures:
        """Features of a frame onto which its neighbour's masks are warped by optical flow.

        Args:
            before: the neighbour; None where none is known.
            image_rgb: H×W×3 uint8.
            objects: K.
        """
        if before is None:
            guides = self._no_guides(objects, image_rgb)
        else:
            flow = frame_flow(before.image_rgb, image_rgb).to(self.device)
            guides = warp_masks(before.probs.to(self.device)[None], flow)[0]
            lost = (guides > 0.5).float().mean((1, 2), keepdim=True) < LOST
            guides = torch.where(lost, 0.5, guides)
        parts = visible_parts(guides)
        # it may come back anywhere
        focus = parts if all(part.pixels for part in parts) else [NOWHERE]
        return self._features(guides, parts, focus, image_rgb)

    @torch.inference_mode()
    def encode_known(self, frame: MaskedFrame) -> FrameFeatures:
        """Features of a frame whose masks are known."""
        probs = frame.probs.to(self.device)
        parts = visible_parts(probs)
        return self._features(probs, parts, parts, frame.image_rgb)

    @torch.inference_mode()
    def encode_unguided(self, frame: MaskedFrame) -> FrameFeatures:
        """As `encode_known`, the same crops, but nothing tells the network what is object in them."""
        count = len(frame.probs)
        guides = self._no_guides(count, frame.image_rgb)
        return self._features(guides, [NOWHERE] * count, visible_parts(frame.probs), frame.image_rgb)

    @torch.inference_mode()
    def memorize(self, frame: FrameFeatures, probs: Tensor) -> Memories:
        """The memory of a frame, given its masks K×H×W."""
        made: dict[int, Memory] = {}
        for crop in frame.crops:
            if id(crop) not in made:
                masks = crop.region.cut(probs.to(self.device))[None]
                # how many entries are left is known on the device alone: a GPU would be waited for
                thin = self.device.type == "cpu"
                features = crop.features
                made[id(crop)] = features.memorize_thinned(masks) if thin else features.memorize(masks)
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
            torch.stack([each.probs for each in masks]).mean(0),
            torch.stack([each.iou_estimate for each in masks]).mean(0),
        )

    def _decode(self, crop: CropFeatures, memory: Memory, size_hw: Sequence[int]) -> SoftMasks:
        with autocast(self.device, self._bf16):
            logits, quality = self._network.decode(crop.features, memory, crop.guides, crop.windows)
        probs = crop.region.paste(_aggregate(logits[0].float()), (size_hw[0], size_hw[1]))
        return SoftMasks(probs, quality[0].float().clamp(0, 1))

    def _no_guides(self, objects: int, image_rgb: ImageRgb) -> Tensor:
        return torch.full((objects, *image_rgb.shape[:2]), 0.5, device=self.device)

    def _features(
        self,
        guides: Tensor,
        parts: Sequence[VisiblePart],
        focus: Sequence[VisiblePart],
        image_rgb: ImageRgb,
    ) -> FrameFeatures:
        size_hw = image_rgb.shape[0], image_rgb.shape[1]
        crops: list[CropFeatures] = []
        for crop in object_crops(focus, size_hw, self._crops, self._pixels):
            # crops of a large object, or of a lost one, are the same: the whole frame
            same = next((each for each in crops if each.region == crop), None)
            windows = object_windows(parts, size_hw, crop, self._crops)
            crops.append(same or self._crop_features(crop, guides, image_rgb, windows))
        return FrameFeatures(tuple(crops), guides)

    def _crop_features(
        self, crop: ObjectCrop, guides: Tensor, image_rgb: ImageRgb, windows: list[Window] | None
    ) -> CropFeatures:
        frames = normalize_frames(torch.from_numpy(crop.cut_image(image_rgb))[None].to(self.device))
        with autocast(self.device, self._bf16):
            features = self._network.encode(frames.contiguous(memory_format=torch.channels_last))
        return CropFeatures(crop, features, 2 * crop.cut(guides)[None] - 1, windows)


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
        found: FloatArray = probs.cpu().numpy()
        return found


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
