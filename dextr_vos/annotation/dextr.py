"""DEXTR as an engine: clicks to network input, network output to mask (Maninis et al., CVPR 2018)."""

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch

from dextr_vos.geometry import (
    Box,
    FloatArray,
    IntArray,
    box_around,
    box_size_hw,
    crop,
    paste,
    points_into_crop,
)
from dextr_vos.networks.dextr import Dextr, upsample_logits
from dextr_vos.pictures import ImageRgb

CROP_PX = 512
RELAX_PX = 50
HEATMAP_FWHM_PX = 10.0
THRESHOLD = 0.8


class DextrSegmenter:
    """The published DEXTR behind the interface of `Segmenter`.

    Args:
        network: with its weights loaded.
        device: where it runs.
        batch_size: objects that go through the network together.
    """

    name = "dextr"
    threshold = THRESHOLD

    def __init__(self, network: Dextr, device: torch.device, batch_size: int = 4) -> None:
        self._network = network.to(device).eval()
        self._device = device
        self._batch_size = batch_size

    def segment(self, image_rgb: ImageRgb, objects_xy: Sequence[IntArray]) -> list[FloatArray]:
        """See `Segmenter.segment`."""
        masks = []
        for start in range(0, len(objects_xy), self._batch_size):
            batch_xy = objects_xy[start : start + self._batch_size]
            inputs = np.stack([click_input(image_rgb, points) for points in batch_xy])
            crops = self._forward(inputs)
            masks += [
                prob_in_picture(prob, points, (image_rgb.shape[0], image_rgb.shape[1]))
                for prob, points in zip(crops, batch_xy, strict=True)
            ]
        return masks

    @torch.inference_mode()
    def _forward(self, inputs: FloatArray) -> FloatArray:
        tensor = torch.from_numpy(inputs).permute(0, 3, 1, 2).contiguous().to(self._device)
        logits = upsample_logits(self._network(tensor), (CROP_PX, CROP_PX))
        probs: FloatArray = torch.sigmoid(logits)[:, 0].float().cpu().numpy()
        return probs


def click_box(points_xy: IntArray) -> Box:
    """The box DEXTR looks at: that of the points, grown by 50 px a side, not clipped."""
    return box_around(points_xy, RELAX_PX)


def click_input(image_rgb: ImageRgb, points_xy: IntArray) -> FloatArray:
    """Network input of one object.

    Args:
        image_rgb: H×W×3 uint8.
        points_xy: N×2 integers, N ≥ 4.

    Returns:
        512×512×4 float32: R, G, B and the clicks' heat map, all in 0…255.
    """
    box = click_box(points_xy)
    cropped = crop(image_rgb, box)
    # the reference guesses from the values whether it has a mask in hand
    interpolation = cv2.INTER_NEAREST if cropped.max() <= 1 else cv2.INTER_CUBIC
    resized = cv2.resize(cropped, (CROP_PX, CROP_PX), interpolation=interpolation)
    moved = points_into_crop(points_xy, box, (CROP_PX, CROP_PX))
    heatmap = gaussian_heatmap(moved, (CROP_PX, CROP_PX), HEATMAP_FWHM_PX)
    return np.dstack([resized.astype(np.float32), heatmap])


def gaussian_heatmap(points_xy: npt.ArrayLike, size_hw: tuple[int, int], fwhm_px: float) -> FloatArray:
    """Clicks as a picture: the maximum of one Gaussian a point, scaled to 0…255.

    Args:
        points_xy: N×2, N ≥ 1.
        size_hw: size of the map.
        fwhm_px: full width of a Gaussian at half its maximum, in pixels.

    Returns:
        H×W float32.
    """
    points = np.asarray(points_xy, dtype=np.float64)
    # a Gaussian of x and y is the product of one of each
    decay = -4 * np.log(2) / fwhm_px**2
    across = np.exp(decay * (np.arange(size_hw[1]) - points[:, :1]) ** 2)
    down = np.exp(decay * (np.arange(size_hw[0]) - points[:, 1:]) ** 2)
    heat = (down[:, :, None] * across[:, None, :]).max(axis=0)
    low, high = heat.min(), heat.max()
    scaled: FloatArray = (255 * (heat - low) / max(high - low, 1e-12)).astype(np.float32)
    return scaled


def prob_in_picture(prob: FloatArray, points_xy: IntArray, size_hw: tuple[int, int]) -> FloatArray:
    """Put the network's soft mask back into the picture.

    Args:
        prob: 512×512 in [0, 1], of the crop `click_box(points_xy)`.
        points_xy: N×2 integers.
        size_hw: the picture's size.

    Returns:
        H×W float32, zero outside the box of the points.
    """
    box = click_box(points_xy)
    crop_h, crop_w = box_size_hw(box)
    patch = cv2.resize(prob, (crop_w, crop_h), interpolation=cv2.INTER_CUBIC)
    # the bicubic kernel overshoots
    picture = paste(np.clip(patch, 0, 1), box, size_hw)
    inner = box_around(points_xy)
    return paste(crop(picture, inner), inner, size_hw)
