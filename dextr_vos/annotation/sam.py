"""Segment Anything and SAM 2 for clicks: the predictors of their packages behind `Segmenter`."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dextr_vos.annotation.prompts import Prompt
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.geometry import FloatArray, IntArray, box_around
from dextr_vos.images import ImageRgb
from dextr_vos.networks.sam import load_sam, load_sam2, sam2_predictor, sam_predictor
from dextr_vos.runtime import autocast, pick_device

_SURELY_NOT = 1e-4  # a probability; nothing is fed in as more certain than that
_STRIDE = 4  # of the masks that go into the network


class SamSegmenter(Segmenter):
    """A predictor of `segment-anything` or `sam2` as a `Segmenter`; an image is encoded once.

    Extreme points enter as the box around them: these networks know no points on an outline.

    Args:
        name: of the model.
        predictor: with `set_image` and `predict`, on `device`.
        device: where to compute.
        side: of the square that the network sees, in pixels.
        stretches: an image fills that square; otherwise its shape is kept, and the rest is empty.
        bf16: compute in bf16 where that is faster.
    """

    threshold = 0.5
    corrects = True

    def __init__(
        self, name: str, predictor: Any, device: torch.device, side: int, stretches: bool, bf16: bool
    ) -> None:
        self.name = name
        self._predictor, self._device, self._bf16 = predictor, device, bf16
        self._side, self._stretches = side, stretches
        self._encoded = b""

    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.probabilities`."""
        return self.prompted(image_rgb, [Prompt(points) for points in objects_xy])

    def prompted(self, image_rgb: ImageRgb, prompts: Sequence[Prompt]) -> list[FloatArray]:
        """See `Segmenter.prompted`."""
        with torch.inference_mode(), autocast(self._device, self._bf16):
            digest = hashlib.blake2b(image_rgb.tobytes() + str(image_rgb.shape).encode()).digest()
            if digest != self._encoded:
                self._encoded = b""  # setting the image may fail
                self._predictor.set_image(image_rgb)
                self._encoded = digest
            return [self._mask(prompt) for prompt in prompts]

    def _mask(self, prompt: Prompt) -> FloatArray:
        box = self._box(prompt)
        clicks = prompt.clicks
        # one click may mean a part or the whole: of three masks, the one of which the network is surest
        several = box is None and prompt.mask is None and len(clicks) == 1
        logits, quality, _ = self._predictor.predict(
            point_coords=np.array([click[:2] for click in clicks], np.float32) + 0.5 if clicks else None,
            point_labels=np.array([click.positive for click in clicks], np.int32) if clicks else None,
            box=box,
            mask_input=None if prompt.mask is None else self._mask_input(prompt.mask),
            multimask_output=several,
            return_logits=True,
        )
        prob: FloatArray = torch.sigmoid(torch.from_numpy(logits[int(np.argmax(quality))])).numpy()
        return prob.astype(np.float32)

    def _box(self, prompt: Prompt) -> FloatArray | None:
        """The box of a prompt, its ends at the edges of pixels; of a mask alone, that around it."""
        box = prompt.box_xyxy
        if prompt.points_xy is not None:
            box = box_around(prompt.points_xy)
        elif box is None and prompt.mask is not None and not prompt.clicks:
            extent = prompt.extent_xy()
            box = None if extent is None else box_around(extent)
        return None if box is None else np.array([box[0], box[1], box[2] + 1, box[3] + 1], np.float32)

    def _mask_input(self, mask: FloatArray) -> FloatArray:
        """The mask so far as the network takes it: logits 1×S/4×S/4."""
        side = self._side // _STRIDE
        scale = side / max(mask.shape)
        height, width = (side, side) if self._stretches else (round(scale * each) for each in mask.shape)
        fitted = np.zeros((side, side), np.float32)
        fitted[:height, :width] = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        share = fitted.clip(_SURELY_NOT, 1 - _SURELY_NOT)
        logits: FloatArray = np.log(share / (1 - share))[None].astype(np.float32)
        return logits


def load_sam_segmenter(weights: Path, device: str, bf16: bool) -> SamSegmenter:
    """Segment Anything; see `load_segmenter` for the arguments and errors."""
    chosen = pick_device(device)
    network: Any = load_sam(weights).to(chosen)
    side = network.image_encoder.img_size
    # its predictor cannot hand over what was computed in bf16
    return SamSegmenter("sam", sam_predictor(network), chosen, side, stretches=False, bf16=False)


def load_sam2_segmenter(weights: Path, device: str, bf16: bool) -> SamSegmenter:
    """SAM 2; see `load_segmenter` for the arguments and errors."""
    chosen = pick_device(device)
    return sam2_segmenter(load_sam2(weights).to(chosen), chosen, bf16)


def sam2_segmenter(network: Any, device: torch.device, bf16: bool = True) -> SamSegmenter:
    """A network of SAM 2, which is on `device`, as a `Segmenter`."""
    return SamSegmenter("sam2", sam2_predictor(network), device, network.image_size, True, bf16)
