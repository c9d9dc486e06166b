"""Cuts: where one shot of a clip ends and another begins; nothing is tracked from one into the other."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from dextr_vos.geometry import FloatArray
from dextr_vos.images import ImageRgb

_SIZE_WH = (64, 36)
_BINS = [8, 16, 16]
_MARGIN = 8, 16  # rows and columns by which a frame may have moved from one to the next
_LEAST_TEXTURE = 6.0  # standard deviation of the lightness; of less, correlation is noise
_SHARE_OF_MOTION = 0.5
# between neighbors of the 30 training clips of DAVIS 2016 the difference is at most 0.43, and between frames
# of two of these clips at least 0.57 in all but two of 1,000 pairs
_LEAST_CUT = 0.55
_TIMES_TYPICAL = 3.0
_SAMPLED_PAIRS = 9
_FLASH = 3  # frames


@dataclass(frozen=True)
class FrameSummary:
    """A frame, as far as it matters for cuts.

    Attributes:
        lightness: 36×64 float32.
        colours: square roots of the shares of pixels in each bin of the Lab histogram.
    """

    lightness: FloatArray
    colours: FloatArray

    @staticmethod
    def of(image_rgb: ImageRgb) -> "FrameSummary":
        """The summary of a frame, H×W×3 uint8."""
        small = cv2.resize(image_rgb, _SIZE_WH, interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
        counts = cv2.calcHist([lab], [0, 1, 2], None, _BINS, [0, 256] * 3).ravel()
        return FrameSummary(lab[..., 0].astype(np.float32), np.sqrt(counts / counts.sum()))


def difference(before: FrameSummary, now: FrameSummary) -> float:
    """How much two frames differ, from 0 to 2.

    In their colours (Hellinger distance of the histograms) and in what they show, however far the camera has
    moved by up to a quarter of the frame (correlation).
    """
    overlap = float(before.colours @ now.colours)
    rows, columns = _MARGIN
    middle = now.lightness[rows:-rows, columns:-columns]
    match = 1.0
    if min(before.lightness.std(), middle.std()) > _LEAST_TEXTURE:
        match = float(cv2.matchTemplate(before.lightness, middle, cv2.TM_CCOEFF_NORMED).max())
    return math.sqrt(max(0.0, 1 - overlap)) + _SHARE_OF_MOTION * (1 - match)


def typical_difference(read: Callable[[int], ImageRgb], count: int) -> float:
    """The median difference of neighboring frames, which is large in clips of few frames a second.

    Args:
        read: gives a frame of the clip by its index.
        count: frames of the clip.
    """
    if count < 2:
        return 0.0
    places = np.unique(np.linspace(0, count - 2, min(count - 1, _SAMPLED_PAIRS)).round().astype(int))
    pairs = [(FrameSummary.of(read(index)), FrameSummary.of(read(index + 1))) for index in places.tolist()]
    return float(np.median([difference(*pair) for pair in pairs]))


def is_cut(before: FrameSummary, now: FrameSummary, typical: float = 0.0) -> bool:
    """Whether two neighboring frames belong to two shots.

    Args:
        before: the one.
        now: the other.
        typical: difference of neighboring frames of the clip, see `typical_difference`.
    """
    return difference(before, now) > max(_LEAST_CUT, _TIMES_TYPICAL * typical)


class ShotWatch:
    """Says of frames in order whether they are still in the shot of the first one.

    Args:
        first_rgb: H×W×3 uint8.
        typical: gives the typical difference of the clip, see `is_cut`; asked only where a cut is likely.
    """

    def __init__(self, first_rgb: ImageRgb, typical: Callable[[], float]) -> None:
        self._last, self._away, self._typical = FrameSummary.of(first_rgb), 0, typical

    def contains(self, image_rgb: ImageRgb) -> bool:
        """Whether the next frame, H×W×3 uint8, belongs to the shot, perhaps after a flash of three frames."""
        if self._away > _FLASH:
            return False
        now = FrameSummary.of(image_rgb)
        if is_cut(self._last, now) and is_cut(self._last, now, self._typical()):
            self._away += 1
            return False
        self._last, self._away = now, 0
        return True
