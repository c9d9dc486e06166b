"""The lite network on a clip: from a frame to its neighbour, with what it remembers of others."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from dextr_vos.geometry import BoolArray, FloatArray, fit_longest_side
from dextr_vos.images import ImageRgb
from dextr_vos.networks.lite_tracker import EncodedFrames, LiteTracker, Memory, join_memories, lite_input
from dextr_vos.propagation.object_crop import CropSettings, ObjectCrop, input_pixels, object_crops
from dextr_vos.runtime import autocast

_LOST = 1e-4  # share of the frame; of an object with less than that nothing is known


@dataclass(frozen=True)
class MaskedFrame:
    """A frame with its soft masks, from which the next one is reached.

    Attributes:
        image_rgb: H×W×3 uint8.
        probs: K×H×W float32 in [0, 1].
    """

    image_rgb: ImageRgb
    probs: FloatArray


@dataclass(frozen=True)
class CropFeatures:
    """What the network sees of one window.

    Attributes:
        window: which part of the frame.
        features: of that part.
        guides: 1×K×h×w, see `LiteTracker.decode`.
    """

    window: ObjectCrop
    features: EncodedFrames
    guides: Tensor


@dataclass(frozen=True)
class FrameFeatures:
    """What the network sees of a frame: the object and its surroundings, narrow and wide.

    Attributes:
        looks: one a margin, see `CropSettings`.
        size_hw: of the whole frame.
    """

    looks: tuple[CropFeatures, ...]
    size_hw: tuple[int, int]

    @property
    def crop_coverage(self) -> BoolArray:
        """H×W, what is in any of the windows."""
        inside: BoolArray = np.zeros(self.size_hw, dtype=bool)
        for look in self.looks:
            inside[look.window.rows, look.window.columns] = True
        return inside


Memories = tuple[Memory, ...]  # of one frame, for each of its looks


class Tracker:
    """Soft masks of one frame after the other.

    Args:
        network: in evaluation mode, on `device`.
        device: where to compute.
        bf16: compute in bf16 where that is faster.
        zoom: how the network's windows are cut out.
        longest_side: of a wide frame with as many pixels as the network's input has.
    """

    def __init__(
        self, network: LiteTracker, device: torch.device, bf16: bool, zoom: CropSettings, longest_side: int
    ) -> None:
        self._network, self._device, self._bf16 = network, device, bf16
        self._zoom, self._pixels = zoom, input_pixels(longest_side)
        self._flow = Flow()

    def view(self, before: MaskedFrame | None, image_rgb: ImageRgb, objects: int) -> FrameFeatures:
        """A frame on which the masks of its neighbour are carried over.

        Args:
            before: the neighbour; None where nothing is known of one.
            image_rgb: H×W×3 uint8.
            objects: K.
        """
        size_hw = image_rgb.shape[0], image_rgb.shape[1]
        if before is None:
            carried = np.full((objects, *size_hw), 0.5, np.float32)
        else:
            carried = self._flow.carried(before.probs, before.image_rgb, image_rgb)
            lost = (carried > 0.5).mean((1, 2)) < _LOST
            carried[lost] = 0.5
            if lost.any():
                # it may come back anywhere
                return self._view(carried, image_rgb, np.zeros_like(carried))
        return self._view(carried, image_rgb, carried)

    def known_view(self, seen: MaskedFrame) -> FrameFeatures:
        """A frame whose masks are known."""
        return self._view(seen.probs, seen.image_rgb, seen.probs)

    @torch.inference_mode()
    def remember(self, view: FrameFeatures, probs: FloatArray) -> Memories:
        """A view as memory, given the masks K×H×W of its frame."""
        made: dict[int, Memory] = {}
        for look in view.looks:
            if id(look) not in made:
                made[id(look)] = look.features.memorize(self._tensor(look.window.cut(probs)))
        return tuple(made[id(look)] for look in view.looks)

    @torch.inference_mode()
    def segment(self, view: FrameFeatures, memories: Sequence[Memories]) -> FloatArray:
        """Soft masks of a frame, K×H×W float32 in [0, 1]: the mean of the looks', each 0 outside its window.

        So nothing is found outside the narrowest window.

        Args:
            view: see `view`.
            memories: frames whose masks are known, at least one.
        """
        masks = [
            self._looked(look, join_memories(of_look), view.size_hw)
            for look, of_look in zip(view.looks, zip(*memories, strict=True), strict=True)
        ]
        mean: FloatArray = np.mean(masks, axis=0, dtype=np.float32)
        return mean

    def _looked(self, look: CropFeatures, memory: Memory, size_hw: tuple[int, int]) -> FloatArray:
        with autocast(self._device, self._bf16):
            logits = self._network.decode(look.features, memory, look.guides)[-1].float()
        return look.window.paste(_one_a_pixel(logits[0]).cpu().numpy(), size_hw)

    @torch.inference_mode()
    def _view(self, probs: FloatArray, image_rgb: ImageRgb, look_at: FloatArray) -> FrameFeatures:
        looks: list[CropFeatures] = []
        for window in object_crops(look_at, self._zoom, self._pixels):
            # windows of a large object, or of a lost one, are the same: the whole frame
            same = next((look for look in looks if look.window == window), None)
            looks.append(same or self._look(window, probs, image_rgb))
        return FrameFeatures(tuple(looks), (image_rgb.shape[0], image_rgb.shape[1]))

    def _look(self, window: ObjectCrop, probs: FloatArray, image_rgb: ImageRgb) -> CropFeatures:
        frames = lite_input(window.cut_image(image_rgb)[None]).to(self._device)
        with autocast(self._device, self._bf16):
            features = self._network.encode(frames.contiguous(memory_format=torch.channels_last))
        return CropFeatures(window, features, 2 * self._tensor(window.cut(probs)) - 1)

    def _tensor(self, probs: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(probs))[None].to(self._device)


def small_frame(image_rgb: ImageRgb, size_hw: tuple[int, int]) -> ImageRgb:
    """A frame at another size, never a larger one."""
    if image_rgb.shape[:2] == size_hw:
        return image_rgb
    size = size_hw[1], size_hw[0]
    return np.asarray(cv2.resize(image_rgb, size, interpolation=cv2.INTER_AREA), np.uint8)


def _one_a_pixel(logits: Tensor) -> Tensor:
    """Probabilities K×h×w of objects of which each pixel has at most one (Oh et al., ICCV 2019)."""
    if len(logits) == 1:
        return torch.sigmoid(logits)
    # no object at all: none of them by itself
    nothing = torch.nn.functional.logsigmoid(-logits).sum(0, keepdim=True)
    none_odds = nothing - torch.log1p(-nothing.exp().clamp(max=1 - 1e-6))
    return torch.softmax(torch.cat([none_odds, logits]), dim=0)[1:]


_LONGEST_SIDE = 480  # at which the flow is computed


class Flow:
    """Flow by inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016)."""

    def __init__(self) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def carried(self, probs: FloatArray, before_rgb: ImageRgb, now_rgb: ImageRgb) -> FloatArray:
        """Soft masks of one frame where the flow carries them in its neighbour.

        Args:
            probs: K×H×W float32, of the frame before.
            before_rgb: H×W×3 uint8.
            now_rgb: H×W×3 uint8, the neighbour, later or earlier.

        Returns:
            K×H×W float32; 0 for what comes in from beyond the border.
        """
        height, width = now_rgb.shape[:2]
        small_h, small_w = fit_longest_side((height, width), _LONGEST_SIDE)
        before, now = (
            cv2.resize(
                cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (small_w, small_h), interpolation=cv2.INTER_AREA
            )
            for image in (before_rgb, now_rgb)
        )
        flow = cv2.resize(self._search.calc(now, before, None), (width, height))
        map_x = flow[..., 0] * (width / small_w) + np.arange(width, dtype=np.float32)
        map_y = flow[..., 1] * (height / small_h) + np.arange(height, dtype=np.float32)[:, None]
        moved = [
            cv2.remap(each, map_x.astype(np.float32), map_y.astype(np.float32), cv2.INTER_LINEAR)
            for each in probs
        ]
        return np.stack(moved).astype(np.float32)
