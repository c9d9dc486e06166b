"""One object in one image: the interface of every data set of images, its sets and packed masks."""

import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import cv2
import numpy as np

from dextr_vos.geometry import BoolArray
from dextr_vos.images import ImageRgb

OnObject = Callable[[int, int], None]
"""Called with the number of objects done and of all."""


@dataclass(frozen=True)
class ObjectRef:
    """An object by name, known without reading its image's pixels.

    Attributes:
        image: name of its image, unique in the set.
        object_id: which object of that image, from 0.
        category: what it is, as the set names it; "object" where the set has no categories.
        area: pixels of its mask.
    """

    image: str
    object_id: int
    category: str
    area: int


@dataclass(frozen=True)
class Example:
    """An object with its pixels.

    Attributes:
        ref: which object.
        image_rgb: H×W×3 uint8, the whole image.
        mask: H×W bool, the object.
        void: H×W bool, pixels that count neither way; disjoint from the mask.
    """

    ref: ObjectRef
    image_rgb: ImageRgb
    mask: BoolArray
    void: BoolArray


class ObjectSet(Protocol):
    """A data set seen as a list of objects; indices follow `refs`."""

    @property
    def refs(self) -> Sequence[ObjectRef]:
        """All objects, those of one image side by side."""
        ...

    def read(self, index: int) -> Example:
        """The object `refs[index]`; InputError when its files are missing or broken."""
        ...


class Concat:
    """Several sets one after the other.

    Args:
        sets: at least one.
    """

    def __init__(self, sets: Sequence[ObjectSet]) -> None:
        self._sets = list(sets)
        self._ends = list(accumulate(len(part.refs) for part in self._sets))
        self.refs: Sequence[ObjectRef] = [ref for part in self._sets for ref in part.refs]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        part = bisect_right(self._ends, index)
        return self._sets[part].read(index - (self._ends[part - 1] if part else 0))


class Subset:
    """The objects of a set that a condition accepts.

    Args:
        objects: the set.
        accept: whether an object stays, by its reference and index.
    """

    def __init__(self, objects: ObjectSet, accept: Callable[[ObjectRef, int], bool]) -> None:
        self._objects = objects
        self._indices = [index for index, ref in enumerate(objects.refs) if accept(ref, index)]
        self.refs: Sequence[ObjectRef] = [objects.refs[index] for index in self._indices]

    def read(self, index: int) -> Example:
        """See `ObjectSet.read`."""
        return self._objects.read(self._indices[index])


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
