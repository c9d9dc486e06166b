"""The parts of a frame that the lite network sees: a crop of all objects, and a window of it for each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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
class VisiblePart:
    """Where an object is in a frame.

    Attributes:
        pixels: how many it has.
        rows: of its box.
        columns: of its box.
    """

    pixels: int
    rows: slice
    columns: slice


NOWHERE = VisiblePart(0, slice(0, 0), slice(0, 0))


def pixel_counts(masks: Tensor) -> Tensor:
    """The pixels of each of K masks K×H×W bool, int32."""
    return masks.sum(2, dtype=torch.int32).sum(1, dtype=torch.int32)  # a copy of 64 bits takes longer


def visible_parts(probs: Tensor) -> list[VisiblePart]:
    """Where each object is, by its soft mask K×H×W; the one thing of a frame that comes back to the CPU."""
    seen = probs > 0.5
    numbers = [pixel_counts(seen)]
    for along in (seen.any(2), seen.any(1)):
        # the first of equal values is found
        numbers += [along.byte().argmax(1), along.shape[1] - along.flip(1).byte().argmax(1)]
    return [
        VisiblePart(pixels, slice(top, bottom), slice(left, right)) if pixels else NOWHERE
        for pixels, top, bottom, left, right in torch.stack(numbers, dim=1).tolist()
    ]


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
        part = np.ascontiguousarray(image_rgb[self.rows, self.columns])
        height, width = self.size_hw
        smaller = height * width < part.shape[0] * part.shape[1]
        interpolation = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(part, (width, height), interpolation=interpolation), dtype=np.uint8)

    def cut(self, maps: Tensor) -> Tensor:
        """K×H×W float32 to K×h×w."""
        part = maps[None, :, self.rows, self.columns]
        if part.device.type == "mps":  # PyTorch 2.6 cannot do it there
            part = part.cpu()
        small = F.interpolate(part, self.size_hw, mode="bilinear", align_corners=False, antialias=True)
        return small[0].to(maps.device)

    def paste(self, maps: Tensor, size_hw: tuple[int, int]) -> Tensor:
        """K×h×w float32 to K×H×W, 0 outside the crop."""
        whole = maps.new_zeros((len(maps), *size_hw))
        part_hw = self.rows.stop - self.rows.start, self.columns.stop - self.columns.start
        part = F.interpolate(maps[None], part_hw, mode="bilinear", align_corners=False)
        whole[:, self.rows, self.columns] = part[0]
        return whole


def object_crops(
    parts: Sequence[VisiblePart], size_hw: tuple[int, int], settings: "CropSettings", pixels: int
) -> list[ObjectCrop]:
    """The crops around all objects, one for each margin; the whole frame where no object is visible.

    Args:
        parts: where the objects are.
        size_hw: height and width of the frame.
        settings: how crops are cut out.
        pixels: approximate number of pixels of the network's input.
    """
    seen = [part for part in parts if part.pixels]
    together = NOWHERE
    if seen:
        rows, columns = (
            slice(min(side.start for side in sides), max(side.stop for side in sides))
            for sides in ([part.rows for part in seen], [part.columns for part in seen])
        )
        together = VisiblePart(sum(part.pixels for part in seen), rows, columns)
    return [_crop(together, size_hw, margin, settings, pixels) for margin in settings.margins]


def _crop(
    part: VisiblePart, size_hw: tuple[int, int], margin: float, settings: "CropSettings", pixels: int
) -> ObjectCrop:
    rows, columns = _surroundings(part, size_hw, margin, settings)
    part_hw = rows.stop - rows.start, columns.stop - columns.start
    scale = min((pixels / (part_hw[0] * part_hw[1])) ** 0.5, settings.enlarge)
    small_h, small_w = (max(_SIDE_STEP, _SIDE_STEP * round(side * scale / _SIDE_STEP)) for side in part_hw)
    return ObjectCrop(rows, columns, (small_h, small_w))


def _surroundings(
    part: VisiblePart,
    size_hw: tuple[int, int],
    margin: float,
    settings: "CropSettings",
    shaped: bool = True,
) -> tuple[slice, slice]:
    """Rows and columns of a frame around what is visible in it; all where that is nothing."""
    height, width = size_hw
    if part.pixels < _LEAST_PIXELS:
        return slice(0, height), slice(0, width)
    rows, columns = part.rows, part.columns
    box_h = max(margin * (rows.stop - rows.start), settings.least * height)
    box_w = max(margin * (columns.stop - columns.start), settings.least * width)
    if shaped:
        box_w = max(box_w, _MIN_ASPECT * box_h)
        box_h = max(box_h, box_w / _MAX_ASPECT)
    middle = (rows.start + rows.stop) / 2, (columns.start + columns.stop) / 2
    return _around(middle[0], box_h, height), _around(middle[1], box_w, width)


def object_windows(
    parts: Sequence[VisiblePart], size_hw: tuple[int, int], crop: ObjectCrop, settings: "CropSettings"
) -> list[Window] | None:
    """The part of a crop in which each of several objects is looked for; all of it once it is lost.

    The others are equally large, so that they go through the decoder together.

    Args:
        parts: where the objects are in the frame.
        size_hw: height and width of the frame.
        crop: around all of them.
        settings: how crops are cut out.

    Returns:
        One window an object; None where there is no need for any, as for a single object.
    """
    if len(parts) == 1:
        return None
    count_hw = crop.size_hw[0] // STRIDE, crop.size_hw[1] // STRIDE
    whole = Window(slice(0, count_hw[0]), slice(0, count_hw[1]))
    near = {
        index: [
            _pixels(near_by, of_crop, count)
            for near_by, of_crop, count in zip(
                _surroundings(part, size_hw, _WINDOW_MARGIN, settings, shaped=False),
                (crop.rows, crop.columns),
                count_hw,
                strict=True,
            )
        ]
        for index, part in enumerate(parts)
        if part.pixels >= _LEAST_PIXELS
    }
    lengths = [
        max([_LEAST_WINDOW, *(stop - start for start, stop in ends)])
        for ends in zip(*near.values(), strict=True)
    ]
    windows = [
        Window(*map(_of_length, near[index], lengths, count_hw)) if index in near else whole
        for index in range(len(parts))
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
