"""The input of a DEXTR: the crop of an image around the clicks, and the clicks as a heat map.

Maninis et al., CVPR 2018; the alternatives are those of the paper's ablation.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

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
from dextr_vos.images import ImageRgb

Heat = Literal["gaussian", "distance"]
Points = Literal["clicks", "corners", "none"]


@dataclass(frozen=True)
class ClickCrop:
    """How a crop and its clicks become the network's input, and its soft mask a mask of the image.

    The defaults are those of the published networks.

    Attributes:
        size_px: side of the square the crop is resized to.
        relax_px: margin around the clicks' box, in pixels of the image.
        relax_share: margin besides, as a share of the mean of the box's sides.
        points: what the heat map shows: the clicks, the corners of their box, or nothing.
        heat: a Gaussian around each point, or the distance to the nearest point.
        fwhm_px: full width of a Gaussian at half its maximum, in pixels of the crop.
        whole: the whole image in place of the crop.
        cubic: resize bicubically, as the release does; otherwise by area when the crop gets smaller.
        overlap_share: how far a mask may reach beyond the clicks' box, as a share of the mean of its sides.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    size_px: Annotated[int, Field(ge=16, le=2048)] = 512
    relax_px: Annotated[int, Field(ge=0, le=10_000)] = 50
    relax_share: Annotated[float, Field(ge=0, le=10)] = 0.0
    points: Points = "clicks"
    heat: Heat = "gaussian"
    fwhm_px: Annotated[float, Field(gt=0, le=2048)] = 10.0
    whole: bool = False
    cubic: bool = True
    overlap_share: Annotated[float, Field(ge=0, le=10)] = 0.0

    def box(self, points_xy: IntArray, size_hw: tuple[int, int]) -> Box:
        """The part of an image of `size_hw` that the network gets; not clipped to the image."""
        if self.whole:
            return 0, 0, size_hw[1] - 1, size_hw[0] - 1
        return box_around(points_xy, self.relax_px + _share(points_xy, self.relax_share))

    def inputs(self, image_rgb: ImageRgb, points_xy: IntArray, box_xyxy: Box | None = None) -> FloatArray:
        """Network input of one object.

        Args:
            image_rgb: H×W×3 uint8.
            points_xy: N×2 integers, N ≥ 4.
            box_xyxy: crop to this in place of `box(points_xy)`.

        Returns:
            S×S×4 float32: R, G, B and the clicks' heat map, all in 0…255.
        """
        box = box_xyxy or self.box(points_xy, (image_rgb.shape[0], image_rgb.shape[1]))
        heatmap = self.heatmap(points_into_crop(points_xy, box, (self.size_px, self.size_px)))
        return np.dstack([self.crop_image(image_rgb, box).astype(np.float32), heatmap])

    def crop_image(self, image_rgb: ImageRgb, box_xyxy: Box) -> ImageRgb:
        """The crop of an image, S×S×3 uint8, black beyond the image."""
        cropped = crop(image_rgb, box_xyxy)
        size = (self.size_px, self.size_px)
        resized: ImageRgb = cv2.resize(cropped, size, interpolation=self._interpolation(cropped))
        return resized

    def heatmap(self, points_xy: IntArray) -> FloatArray:
        """The heat map of the clicks.

        Args:
            points_xy: N×2 integers in the resized crop; they may lie outside it.

        Returns:
            S×S float32 in 0…255.
        """
        size_hw = (self.size_px, self.size_px)
        if self.points == "none":
            return np.zeros(size_hw, dtype=np.float32)
        if self.points == "corners":
            x0, y0, x1, y1 = box_around(points_xy)
            points_xy = np.array([(x0, y0), (x1, y0), (x0, y1), (x1, y1)])
        if self.heat == "distance":
            return distance_map(points_xy, size_hw)
        return gaussian_heatmap(points_xy, size_hw, self.fwhm_px)

    def paste_back(self, prob: FloatArray, points_xy: IntArray, size_hw: tuple[int, int]) -> FloatArray:
        """Put the network's soft mask back into the image.

        Args:
            prob: S×S in [0, 1], of the crop `box(points_xy)`.
            points_xy: N×2 integers.
            size_hw: the image's size.

        Returns:
            H×W float32, zero outside the box of the points, but for `overlap_share`.
        """
        box = self.box(points_xy, size_hw)
        crop_h, crop_w = box_size_hw(box)
        interpolation = cv2.INTER_CUBIC if self.cubic else cv2.INTER_LINEAR
        patch = cv2.resize(prob, (crop_w, crop_h), interpolation=interpolation)
        # the bicubic kernel overshoots
        image = paste(np.clip(patch, 0, 1), box, size_hw)
        inner = box_around(points_xy, _share(points_xy, self.overlap_share))
        return paste(crop(image, inner), inner, size_hw)

    def _interpolation(self, cropped: ImageRgb) -> int:
        if not self.cubic:
            return int(cv2.INTER_AREA if min(cropped.shape[:2]) > self.size_px else cv2.INTER_LINEAR)
        # the reference implementation infers from the values that it resizes a mask
        return int(cv2.INTER_NEAREST if cropped.max() <= 1 else cv2.INTER_CUBIC)


def gaussian_heatmap(points_xy: npt.ArrayLike, size_hw: tuple[int, int], fwhm_px: float) -> FloatArray:
    """Heat map of clicks: the maximum of one Gaussian per point, scaled to 0…255.

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
    heat = np.outer(down[0], across[0])
    further = np.empty_like(heat)
    for number in range(1, len(points)):
        np.maximum(heat, np.outer(down[number], across[number], out=further), out=heat)
    low, high = heat.min(), heat.max()
    heat -= low
    heat *= 255
    heat /= max(high - low, 1e-12)
    return heat.astype(np.float32)


def distance_map(points_xy: npt.ArrayLike, size_hw: tuple[int, int]) -> FloatArray:
    """Heat map of clicks: the distance to the nearest point, at most 255 (Xu et al., CVPR 2016).

    Args:
        points_xy: N×2 integers, N ≥ 1; points outside the map count as those at its edge.
        size_hw: size of the map.

    Returns:
        H×W float32, in pixels.
    """
    from scipy.ndimage import distance_transform_edt  # takes as long to import as all the rest

    height, width = size_hw
    points = np.clip(np.asarray(points_xy, dtype=np.int64), 0, (width - 1, height - 1))
    away = np.ones(size_hw, dtype=bool)
    away[points[:, 1], points[:, 0]] = False
    # OpenCV's transform differs in its last bits from call to call
    distance: FloatArray = distance_transform_edt(away).astype(np.float32)
    return np.minimum(distance, np.float32(255))


def _share(points_xy: IntArray, share: float) -> int:
    return round(share * sum(box_size_hw(box_around(points_xy))) / 2)
