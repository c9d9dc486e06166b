"""The part of a frame that enters the network: the objects and their surroundings, enlarged."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb

_LEAST_PIXELS = 20  # fewer say nothing about where an object is
_STEEPEST, _FLATTEST = 0.8, 2.0  # least and largest width, as a multiple of the height
_SHORTEST = 32  # pixels a side, for the network


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut out.

    Attributes:
        margins: one crop each; the crop's sides as a multiple of the sides of the objects' box.
        least: shortest side of a crop, as a share of the frame's.
        enlarge: largest factor by which pixels of the frame are enlarged.
    """

    margins: Annotated[tuple[Annotated[float, Field(ge=1)], ...], Field(min_length=1)] = (1.6, 2.6)
    least: Annotated[float, Field(gt=0, le=1)] = 0.25
    enlarge: Annotated[float, Field(gt=0)] = 1.2


@dataclass(frozen=True)
class ObjectCrop:
    """A part of a frame, and the size at which the network sees it.

    Attributes:
        rows: of the frame, in pixels.
        columns: of the frame, in pixels.
        size_hw: height and width of the network's input, in pixels.
    """

    rows: slice
    columns: slice
    size_hw: tuple[int, int]

    def cut_image(self, image_rgb: ImageRgb) -> ImageRgb:
        """H×W×3 uint8 to h×w×3."""
        return np.asarray(self._resized(image_rgb[self.rows, self.columns]), dtype=np.uint8)

    def cut(self, maps: FloatArray) -> FloatArray:
        """K×H×W float32 to K×h×w."""
        return np.stack([self._resized(each[self.rows, self.columns]) for each in maps]).astype(np.float32)

    def paste(self, maps: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
        """K×h×w float32 to K×H×W, 0 outside the crop."""
        whole = np.zeros((len(maps), *size_hw), np.float32)
        height, width = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        for target, each in zip(whole, maps, strict=True):
            target[self.rows, self.columns] = cv2.resize(
                each, (width, height), interpolation=cv2.INTER_LINEAR
            )
        return whole

    def _resized(self, part: np.ndarray) -> np.ndarray:
        height, width = self.size_hw
        smaller = height * width < part.shape[0] * part.shape[1]
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return np.asarray(
            cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=interpolation)
        )


def object_crops(probs: FloatArray, settings: CropSettings, pixels: int) -> list[ObjectCrop]:
    """The crops around all objects, one for each margin; the whole frame where no object is visible.

    Args:
        probs: K×H×W soft masks.
        settings: how crops are cut out.
        pixels: approximate number of pixels of the network's input.
    """
    return [_crop(probs, margin, settings, pixels) for margin in settings.margins]


def _crop(probs: FloatArray, margin: float, settings: CropSettings, pixels: int) -> ObjectCrop:
    height, width = probs.shape[1:]
    rows, columns = (np.flatnonzero((probs > 0.5).any(axis)) for axis in ((0, 2), (0, 1)))
    if np.count_nonzero(probs > 0.5) < _LEAST_PIXELS:
        box_h, box_w, middle = float(height), float(width), (height / 2, width / 2)
    else:
        box_h = max(margin * (rows[-1] + 1 - rows[0]), settings.least * height)
        box_w = max(margin * (columns[-1] + 1 - columns[0]), settings.least * width)
        box_w = max(box_w, _STEEPEST * box_h)
        box_h = max(box_h, box_w / _FLATTEST)
        middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    part_rows, part_columns = _around(middle[0], box_h, height), _around(middle[1], box_w, width)
    part_hw = part_rows.stop - part_rows.start, part_columns.stop - part_columns.start
    scale = min((pixels / (part_hw[0] * part_hw[1])) ** 0.5, settings.enlarge)
    small_h, small_w = (max(_SHORTEST, round(side * scale)) for side in part_hw)
    return ObjectCrop(part_rows, part_columns, (small_h, small_w))


def _around(middle: float, length: float, limit: int) -> slice:
    return slice(max(0, int(middle - length / 2)), min(limit, max(1, int(np.ceil(middle + length / 2)))))


def input_pixels(longest_side: int) -> int:
    """Pixels of a wide frame (16:9) whose longer side is that."""
    return longest_side * longest_side * 9 // 16
