"""A frame of another program's file with all its masks read and painted over one another."""

import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dextr_vos.export.formats.imported import ImportedFrame, Size, faults_in

_ADVICE = "correct or remove it where it was made, and export again"  # of a mask that cannot be read


@dataclass(frozen=True)
class PackedArray:
    """An array, compressed: a file may have masks of more frames than fit into memory as they are."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    content: bytes

    @staticmethod
    def of(array: npt.NDArray[Any]) -> "PackedArray":
        """Pack an array of any shape."""
        return PackedArray(array.shape, array.dtype, zlib.compress(array.tobytes(), 1))

    def unpacked(self) -> npt.NDArray[Any]:
        """The array again, not to be written to."""
        return np.frombuffer(zlib.decompress(self.content), self.dtype).reshape(self.shape)


@dataclass(frozen=True)
class PaintedFrame:
    """A frame, and which of its masks is where.

    Attributes:
        frame: without the shapes that cover no pixel of the image: they lie outside it, or have no area. One
            that had no others is not annotated.
        empty: the number of these shapes.
        packed_top: H×W int, place of the topmost mask in `frame.masks`, from 1; else -1 for void, or 0.
        drawn: the places of the masks that cover a pixel, also those of which later ones cover all.
    """

    frame: ImportedFrame
    empty: int
    packed_top: PackedArray
    drawn: frozenset[int]


def paint(path: Path, frame: ImportedFrame, size_hw: Size) -> PaintedFrame:
    """Read the masks and void pixels of a frame.

    Args:
        path: the file or folder, for messages.
        frame: what was read of it.
        size_hw: of the clip.

    Raises:
        InputError: a mask is damaged.
    """
    top = np.zeros(size_hw, dtype=np.min_scalar_type(-len(frame.masks) - 1))
    void, masks, drawn = frame.void, [], set()
    if void is not None:
        with faults_in(f"{path}, frame {frame.title}, void pixels", _ADVICE):
            top[void(size_hw)] = -1
        void = void if top.any() else None
    for mask in frame.masks:
        with faults_in(f"{path}, frame {frame.title}, '{mask.name}'", _ADVICE):
            inside = mask.read(size_hw)
        has_pixels = inside.any()
        if has_pixels or mask.may_be_empty:
            masks.append(mask)
            top[inside] = len(masks)
        if has_pixels:
            drawn.add(len(masks))
    empty = len(frame.masks) - len(masks) + (void is not frame.void)
    annotated = frame.annotated and (bool(masks) or not empty)
    kept = replace(frame, masks=tuple(masks), void=void, annotated=annotated)
    return PaintedFrame(kept, empty, PackedArray.of(top), frozenset(drawn))
