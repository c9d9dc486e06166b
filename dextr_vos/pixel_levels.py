"""Images with 16 bits a channel as 8 bits, without losing what they show.

A camera of 12 bits fills a sixteenth of the range of a 16-bit file, a CT a few thousand levels somewhere in
it. The upper byte alone would be black, or nearly of one grey; so a narrow range is stretched to 8 bits.
"""

import logging
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.orientation import ORIENTATION_TAG, orientation_of, turned

log = logging.getLogger(__name__)

Levels = npt.NDArray[np.integer]

_DEEP_MODES = frozenset({"I", "I;16", "I;16L", "I;16B", "I;16N"})
_WIDE = 0x8000  # the upper byte of a range as wide as this has 128 levels and more
_LOWEST, _HIGHEST = -0x8000, 0xFFFF
_HIGHEST_OF_8_BITS = 0xFF


class LevelRange(NamedTuple):
    """The lowest and the highest value of images with 16 bits a channel; signed ones may be below 0."""

    low: int
    high: int

    @property
    def narrow(self) -> bool:
        """Whether the upper byte alone would hold few of the levels."""
        return self.high - self.low < _WIDE

    @property
    def fits_8_bits(self) -> bool:
        """Whether values need no more than 8 bits."""
        return self.low >= 0 and self.high <= _HIGHEST_OF_8_BITS


def is_deep(image: Image.Image) -> bool:
    """Whether an image that is not loaded yet has more than 8 bits a channel."""
    if image.mode in _DEEP_MODES:
        return True
    raw_modes = (tile[3] for tile in getattr(image, "tile", ()))
    return any(";16" in str(each[0] if isinstance(each, tuple) else each) for each in raw_modes)


def load_levels(image: Image.Image, path: Path) -> Levels | None:
    """Load an image and, if it has more than 8 bits a channel, give its values.

    Args:
        image: open, but not loaded yet.
        path: its file.

    Returns:
        H×W, or H×W×3 RGB, as the image is displayed; None where 8 bits are all that Pillow can read.

    Raises:
        InputError: values need more than 16 bits.
    """
    deep = is_deep(image)
    orientation = orientation_of(image) if deep else 1
    # Pillow has no mode for colours of 16 bits; OpenCV reads them from simple files
    simple = deep and getattr(image, "n_frames", 1) == 1 and image.getexif().get(ORIENTATION_TAG, 1) == 1
    image.load()
    if deep and image.mode in _DEEP_MODES:
        levels: Levels = turned(np.asarray(image), orientation)
        low, high = int(levels.min()), int(levels.max())
        if low < _LOWEST or high > _HIGHEST:
            raise InputError(
                f"the image {path} has values from {low} to {high}, expected 8 or 16 bits; "
                "save it with 8 bits a channel"
            )
        return levels
    if not simple:
        return None
    read = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None or read.dtype != np.uint16 or read.ndim != 3 or read.shape[2] < 3:
        return None
    return np.ascontiguousarray(read[..., 2::-1])


def level_range(images: Iterable[Levels]) -> LevelRange:
    """The range of all images; no more are looked at once it is wide."""
    low, high = _HIGHEST, _LOWEST
    for levels in images:
        low, high = min(low, int(levels.min())), max(high, int(levels.max()))
        if high - low >= _WIDE:
            break
    return LevelRange(low, high) if low <= high else LevelRange(0, 0)


def range_in_use(path: Path, frames: Iterable[Levels | None]) -> LevelRange:
    """The range of values that the frames of a clip use; a narrow one is told once.

    Args:
        path: of the clip, for the message.
        frames: their values, see `load_levels`.
    """
    used = level_range(levels for levels in frames if levels is not None)
    if used.narrow and not used.fits_8_bits:
        _warn_of_stretching(path, used)
    return used


@cache
def _warn_of_stretching(path: Path, used: LevelRange) -> None:
    log.warning(
        "the 16-bit images of %s use the values from %d to %d only; these are stretched to 8 bits, "
        "for all frames alike",
        path,
        used.low,
        used.high,
    )


def to_8_bits(levels: Levels, used: LevelRange) -> npt.NDArray[np.uint8]:
    """Values as 8 bits: the upper bytes, or the range in use stretched to 0…255 where it is narrow.

    Values that need no more than 8 bits stay as they are.
    """
    if not used.narrow:
        signed = -_LOWEST if used.low < 0 else 0
        upper = (levels.astype(np.int32) + signed) >> 8
        return np.asarray(np.clip(upper, 0, _HIGHEST_OF_8_BITS), dtype=np.uint8)
    if used.fits_8_bits:
        return np.asarray(np.clip(levels, *used), dtype=np.uint8)
    values = np.round(np.arange(used.high - used.low + 1) * (255 / max(1, used.high - used.low)))
    return np.asarray(
        values.astype(np.uint8)[np.clip(levels.astype(np.int32), *used) - used.low], dtype=np.uint8
    )
