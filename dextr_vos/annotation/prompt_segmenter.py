"""The lite click network in use: masks from extreme points, a box or a few clicks, and their correction."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.prompts import Prompt, mask_input, unit_box, unit_points
from dextr_vos.annotation.segmenter import Segmenter
from dextr_vos.geometry import Box, FloatArray, IntArray, box_around, box_size_hw, crop, paste
from dextr_vos.images import ImageRgb
from dextr_vos.networks.lite_clicks import LiteClicks, Maps
from dextr_vos.networks.prompt_decoder import BOX_END, BOX_START, EXTREME, NEGATIVE, POSITIVE, Prompts
from dextr_vos.runtime import autocast

# crops whose encodings are kept: a first mask of one click takes the whole image, then a part of it
_KEPT = 2


class PromptSegmenter(Segmenter):
    """`LiteClicks` as a `Segmenter`; the last two crops are not encoded again.

    Args:
        network: with its weights.
        device: it runs on.
        crop: the part of an image that it gets.
        threshold: probability above which a pixel belongs to the object.
        bf16: compute in bf16 where that is faster.
    """

    name = "lite"
    corrects = True

    def __init__(
        self,
        network: LiteClicks,
        device: torch.device,
        crop: ClickCrop,
        threshold: float = 0.5,
        bf16: bool = False,
    ) -> None:
        self.threshold = threshold
        self._network = network.to(device).to(memory_format=torch.channels_last).eval()
        self._device, self._crop, self._bf16 = device, crop, bf16
        self._encoded: tuple[tuple[bytes, Maps], ...] = ()

    @property
    def network(self) -> LiteClicks:
        """The network, on its device, in evaluation mode; weights may be bf16, see `runtime.cast_weights`."""
        return self._network

    def probabilities(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.probabilities`."""
        return self.prompted(image_rgb, [Prompt(points) for points in objects_xy])

    def prompted(self, image_rgb: ImageRgb, prompts: Sequence[Prompt]) -> list[FloatArray]:
        """See `Segmenter.prompted`."""
        return [self._mask(image_rgb, prompt) for prompt in prompts]

    def _mask(self, image_rgb: ImageRgb, prompt: Prompt) -> FloatArray:
        mask = self._look(image_rgb, prompt)
        if prompt.known or not (mask > self.threshold).any():
            return mask
        # clicks alone do not say how large the object is; a first mask of the whole image does
        return self._look(image_rgb, replace(prompt, mask=mask))

    def _look(self, image_rgb: ImageRgb, prompt: Prompt) -> FloatArray:
        """A soft mask, H×W, from one crop."""
        size_hw = (image_rgb.shape[0], image_rgb.shape[1])
        box = prompt.crop_box(self._crop, size_hw)
        prob = self._forward(image_rgb, prompt, box)
        height, width = box_size_hw(box)
        mask = paste(cv2.resize(prob, (width, height), interpolation=cv2.INTER_LINEAR), box, size_hw)
        extent = prompt.extent_xy()
        if prompt.points_xy is None or extent is None:
            return mask
        # no further than the extreme points, or a click beyond them, allow
        beyond = self._crop.overlap_share * sum(box_size_hw(box_around(prompt.points_xy))) / 2
        inner = box_around(extent, round(beyond))
        return paste(crop(mask, inner), inner, size_hw)

    @torch.inference_mode()
    def _forward(self, image_rgb: ImageRgb, prompt: Prompt, box: Box) -> FloatArray:
        size_px = self._crop.size_px
        with autocast(self._device, self._bf16):
            maps = self._encode(self._crop.crop_image(image_rgb, box))
            logits, _ = self._network.decode(maps, _network_prompts(prompt, box, size_px, self._device))
        logits = F.interpolate(logits.float(), size=(size_px, size_px), mode="bilinear", align_corners=False)
        prob: FloatArray = torch.sigmoid(logits)[0, 0].cpu().numpy()
        return prob

    def _encode(self, cropped_rgb: ImageRgb) -> Maps:
        digest = hashlib.blake2b(cropped_rgb.tobytes()).digest()
        encoded = self._encoded  # another thread may replace it
        maps = next((found for of, found in encoded if of == digest), None)
        if maps is None:
            image = torch.from_numpy(cropped_rgb).to(self._device).permute(2, 0, 1)[None]
            maps = self._network.encode(image.float())
        others = [each for each in encoded if each[0] != digest]
        self._encoded = ((digest, maps), *others[: _KEPT - 1])
        return maps


def _network_prompts(prompt: Prompt, box_xyxy: Box, size_px: int, device: torch.device) -> Prompts:
    """A prompt as the network takes it, for a batch of one."""
    points, kinds = tokens(prompt, box_xyxy)
    mask = np.zeros((size_px // 4, size_px // 4), dtype=np.float32)
    if prompt.mask is not None:
        mask = mask_input(prompt.mask, box_xyxy, size_px)
    return Prompts(
        torch.from_numpy(points)[None].to(device),
        torch.tensor([kinds], dtype=torch.long, device=device),
        torch.from_numpy(mask)[None, None].to(device),
        torch.tensor([prompt.mask is not None], device=device),
    )


def tokens(prompt: Prompt, box_xyxy: Box) -> tuple[FloatArray, list[int]]:
    """The points of a prompt as the network takes them, and what each one says.

    Args:
        prompt: in pixels of the image.
        box_xyxy: the part of the image that the network gets.

    Returns:
        P×2 float32 shares of the box, and P of the kinds of `prompt_decoder`.
    """
    points: list[FloatArray] = [np.zeros((0, 2), np.float32)]
    kinds: list[int] = []
    if prompt.points_xy is not None:
        points.append(unit_points(prompt.points_xy, box_xyxy))
        kinds += [EXTREME] * len(prompt.points_xy)
    corners = prompt.points_xy
    if corners is None and prompt.box_xyxy is not None:
        corners = np.array([prompt.box_xyxy[:2], prompt.box_xyxy[2:]])
    if corners is not None:
        points.append(unit_box(corners, box_xyxy))
        kinds += [BOX_START, BOX_END]
    for click in prompt.clicks:
        points.append(unit_points(click[:2], box_xyxy))
        kinds.append(POSITIVE if click.positive else NEGATIVE)
    return np.vstack(points), kinds
