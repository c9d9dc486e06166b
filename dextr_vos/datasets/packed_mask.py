"""Compressed masks, so that those of a whole data set fit in memory: packed bits of the box around each."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from dextr_vos.geometry import BoolArray


@dataclass(frozen=True)
class PackedMask:
    """A mask as the packed bits of its bounding box; a few hundred bytes for most objects.

    Attributes:
        size_hw: of the image.
        corner_xy: upper left pixel of the box.
        box_hw: size of the box; (0, 0) for an empty mask.
        area: pixels of the mask.
        bits: the box row by row, eight pixels a byte, deflated.
    """

    size_hw: tuple[int, int]
    corner_xy: tuple[int, int]
    box_hw: tuple[int, int]
    area: int
    bits: bytes

    @staticmethod
    def of(mask: BoolArray) -> "PackedMask":
        """Pack a mask, H×W bool."""
        x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
        return _packed(mask[y : y + height, x : x + width], (x, y), mask.shape)

    def mask(self) -> BoolArray:
        """The mask again: a new H×W bool array."""
        (x, y), (height, width) = self.corner_xy, self.box_hw
        mask: BoolArray = np.zeros(self.size_hw, dtype=bool)
        packed = np.frombuffer(zlib.decompress(self.bits), dtype=np.uint8)
        bits = np.unpackbits(packed, count=height * width)
        mask[y : y + height, x : x + width] = bits.reshape(height, width).view(bool)
        return mask


def connected_parts(mask: BoolArray, min_area: int = 1) -> Iterator[PackedMask]:
    """The 8-connected parts of a mask, from the top down, without those smaller than `min_area` pixels."""
    dense = mask.astype(np.uint8)
    left, top, width, height = cv2.boundingRect(dense)
    box = dense[top : top + height, left : left + width]
    if not box.size:
        return
    count, parts, stats, _ = cv2.connectedComponentsWithStats(box, connectivity=8)
    for part in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[part])
        if area >= min_area:
            yield _packed(parts[y : y + height, x : x + width] == part, (left + x, top + y), mask.shape)


def _packed(box: BoolArray, corner_xy: tuple[int, int], shape: tuple[int, ...]) -> PackedMask:
    bits = zlib.compress(np.packbits(box).tobytes(), 1)
    return PackedMask(
        (shape[0], shape[1]), corner_xy, (box.shape[0], box.shape[1]), int(np.count_nonzero(box)), bits
    )
