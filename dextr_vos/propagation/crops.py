"""The parts of a frame that the lite network sees: a crop of all objects, and a window of it for each."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dextr_vos.geometry import BoolArray, FloatArray
from dextr_vos.images import ImageRgb
from dextr_vos.networks.windows import STRIDE, Window

if TYPE_CHECKING:
    from dextr_vos.propagation.settings import CropSettings

_LEAST_PIXELS = 20  # fewer say nothing about where an object is
_MIN_ASPECT, _MAX_ASPECT = 0.8, 2.0  # least and largest width, as a multiple of the height
# heights and widths of the network's input are multiples of that, for the sake of the encoder's windows
_SIDE_STEP = 112
_WINDOW_MARGIN = 1.5  # sides of the part in which an object is looked for, as a multiple of those of its box
_LEAST_WINDOW = _SIDE_STEP // STRIDE  # pixels of the embedding; the shortest side of a window


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


def object_crops(probs: FloatArray, settings: "CropSettings", pixels: int) -> list[ObjectCrop]:
    """The crops around all objects, one for each margin; the whole frame where no object is visible.

    Args:
        probs: K×H×W soft masks.
        settings: how crops are cut out.
        pixels: approximate number of pixels of the network's input.
    """
    return [_crop(probs, margin, settings, pixels) for margin in settings.margins]


def _crop(probs: FloatArray, margin: float, settings: "CropSettings", pixels: int) -> ObjectCrop:
    seen: BoolArray = np.any(probs > 0.5, axis=0)
    rows, columns = _surroundings(seen, margin, settings)
    part_hw = rows.stop - rows.start, columns.stop - columns.start
    scale = min((pixels / (part_hw[0] * part_hw[1])) ** 0.5, settings.enlarge)
    small_h, small_w = (max(_SIDE_STEP, _SIDE_STEP * round(side * scale / _SIDE_STEP)) for side in part_hw)
    return ObjectCrop(rows, columns, (small_h, small_w))


def _surroundings(
    mask: BoolArray, margin: float, settings: "CropSettings", shaped: bool = True
) -> tuple[slice, slice]:
    """Rows and columns of a frame around what is visible in it; all where that is nothing."""
    height, width = mask.shape
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if np.count_nonzero(mask) < _LEAST_PIXELS:
        return slice(0, height), slice(0, width)
    box_h = max(margin * (rows[-1] + 1 - rows[0]), settings.least * height)
    box_w = max(margin * (columns[-1] + 1 - columns[0]), settings.least * width)
    if shaped:
        box_w = max(box_w, _MIN_ASPECT * box_h)
        box_h = max(box_h, box_w / _MAX_ASPECT)
    middle = (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
    return _around(middle[0], box_h, height), _around(middle[1], box_w, width)


def object_windows(probs: FloatArray, crop: ObjectCrop, settings: "CropSettings") -> list[Window] | None:
    """The part of a crop in which each of several objects is looked for; all of it once it is lost.

    The others are equally large, so that they go through the decoder together.

    Args:
        probs: K×H×W soft masks of the frame.
        crop: around all of them.
        settings: how crops are cut out.

    Returns:
        One window an object; None where there is no need for any, as for a single object.
    """
    if len(probs) == 1:
        return None
    count_hw = crop.size_hw[0] // STRIDE, crop.size_hw[1] // STRIDE
    whole = Window(slice(0, count_hw[0]), slice(0, count_hw[1]))
    seen = {index: mask for index, mask in enumerate(probs > 0.5) if np.count_nonzero(mask) >= _LEAST_PIXELS}
    near = {
        index: [
            _pixels(part, of_crop, count)
            for part, of_crop, count in zip(
                _surroundings(mask, _WINDOW_MARGIN, settings, shaped=False),
                (crop.rows, crop.columns),
                count_hw,
                strict=True,
            )
        ]
        for index, mask in seen.items()
    }
    lengths = [
        max([_LEAST_WINDOW, *(stop - start for start, stop in ends)])
        for ends in zip(*near.values(), strict=True)
    ]
    windows = [
        Window(*map(_of_length, near[index], lengths, count_hw)) if index in near else whole
        for index in range(len(probs))
    ]
    return None if all(window == whole for window in windows) else windows


def _pixels(part: slice, whole: slice, count: int) -> tuple[int, int]:
    """Begin and end of those of the `count` pixels of `whole` that a part touches."""
    each = (whole.stop - whole.start) / count
    start, stop = int((part.start - whole.start) / each), math.ceil((part.stop - whole.start) / each)
    return max(0, start), min(count, stop)


def _of_length(ends: tuple[int, int], length: int, count: int) -> slice:
    """A range of at most `count` pixels around another one, moved inside."""
    start = max(0, min((ends[0] + ends[1] - length) // 2, count - length))
    return slice(start, start + length)


def _around(middle: float, length: float, limit: int) -> slice:
    return slice(max(0, int(middle - length / 2)), min(limit, max(1, int(np.ceil(middle + length / 2)))))


def input_pixels(longest_side: int) -> int:
    """Pixels of a wide frame (16:9) whose longer side is that."""
    return longest_side * longest_side * 9 // 16
