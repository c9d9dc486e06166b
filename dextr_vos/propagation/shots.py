"""Cuts: where one shot of a clip ends and another begins; nothing is tracked from one into the other."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

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


@dataclass(frozen=True)
class Shots:
    """Where the shots of a clip begin, and which frames belong to none.

    Attributes:
        cuts: indices of the first frames of new shots, ascending.
        flashes: indices of up to three frames in a row that interrupt a shot.
    """

    cuts: tuple[int, ...] = ()
    flashes: frozenset[int] = frozenset()

    def is_outside_shot(self, index: int) -> bool:
        """Whether a frame does not belong to the shot in which its span lies."""
        return index in self.flashes

    def whole(self) -> "Shots":
        """All that is known of the clip: this."""
        return self


def find_shots(
    read: Callable[[int], ImageRgb],
    count: int,
    on_frame: Callable[[int, int], None] = lambda done, total: None,
) -> Shots:
    """Find the cuts of a clip.

    A cut is where two neighboring frames differ much, also in comparison with others of the clip, whose
    differences are large where there are few frames a second.

    Args:
        read: gives a frame of the clip by its index, H×W×3 uint8; once for each, and around cuts again.
        count: frames of the clip.
        on_frame: called with frames done and in all.
    """
    differences, last = [0.0], FrameSummary.of(read(0))
    for index in range(1, count):
        now = FrameSummary.of(read(index))
        differences.append(difference(last, now))
        last = now
        on_frame(index + 1, count)
    least = max(_LEAST_CUT, _TIMES_TYPICAL * float(np.median(differences[1:] or [0.0])))
    cuts: list[int] = []
    flashes: set[int] = set()
    index = 1
    while index < count:
        end = _end_of_flash(read, index, count, least) if differences[index] > least else index
        if end is None:
            cuts.append(index)
        else:
            flashes.update(range(index, end))
        index = index + 1 if end is None else max(end, index) + 1
    return Shots(tuple(cuts), frozenset(flashes))


class StreamedShots:
    """The shots of a clip that is read as it is tracked, see `Shots`.

    Nothing is read ahead unless a cut is likely. Spans are divided at the cuts that are known before tracking
    begins. Where a later one is met, the frames from it on are outside of their span's shot. So the same
    frames are lost as with `find_shots`.

    Args:
        read: gives a frame of the clip by its index, H×W×3 uint8.
        count: frames of the clip.
        last_keyframe: index of the last keyframe, up to which the clip must be read anyway.
    """

    def __init__(self, read: Callable[[int], ImageRgb], count: int, last_keyframe: int) -> None:
        self._read, self._count, self._last_keyframe = read, count, last_keyframe
        self._summary = lru_cache(2)(lambda index: FrameSummary.of(read(index)))
        self._shots: Shots | None = None

    @cached_property
    def cuts(self) -> tuple[int, ...]:
        """Those known before tracking begins: all, or none where the last keyframe comes before any."""
        likely = any(self._is_cut_likely(index) for index in range(1, self._last_keyframe + 1))
        return self.whole().cuts if likely else ()

    def is_outside_shot(self, index: int) -> bool:
        """See `Shots.is_outside_shot`; frames after the last keyframe are asked for in order."""
        after = range(self._last_keyframe + 1, index + 1)
        if self._shots is None and not (after and self._is_cut_likely(index)):
            return False
        shots = self.whole()
        return index in shots.flashes or any(cut in after and cut not in self.cuts for cut in shots.cuts)

    def whole(self) -> Shots:
        """All of the clip's shots, for which every frame is read."""
        if self._shots is None:
            self._shots = find_shots(self._read, self._count)
        return self._shots

    def _is_cut_likely(self, index: int) -> bool:
        return difference(self._summary(index - 1), self._summary(index)) > _LEAST_CUT


def _end_of_flash(read: Callable[[int], ImageRgb], index: int, count: int, least: float) -> int | None:
    """The frame at which a shot goes on that is interrupted at `index`; None where it does not."""
    before = FrameSummary.of(read(index - 1))
    later = range(index + 1, min(index + _FLASH + 1, count))
    return next((each for each in later if difference(before, FrameSummary.of(read(each))) <= least), None)
