"""Which frame to annotate next."""

from collections.abc import Collection, Sequence

import numpy as np

from dextr_vos.geometry import FloatArray, IntArray
from dextr_vos.run_files import LOST_IOU

_DRIFT = 1.0  # doubt of a frame that is as far from every keyframe as the clip is long


def suggest(
    doubts: Sequence[float],
    keyframes: Collection[int],
    count: int = 1,
    cuts: Sequence[int] = (),
    flashes: Collection[int] = (),
) -> list[int]:
    """The frames whose annotation would help most; those in which an object is lost come before all others.

    A pass that has drifted is as confident as another, so doubt also grows with the distance from the nearest
    keyframe, by 1 over a whole clip. It is taken to fade in proportion to that distance; the frame that
    removes most doubt, its own and its neighbours', comes first. Nothing fades across a cut.

    Args:
        doubts: of every frame, from 0, sure, to 1.
        keyframes: indices of those that are annotated, at least one.
        count: how many frames, each chosen as if those before it were annotated.
        cuts: indices of the first frames of new shots.
        flashes: indices of frames that interrupt a shot, which are never suggested: nothing is tracked from
            them.

    Returns:
        Indices in order of use; fewer than `count` where all the others are annotated or flashes.
    """
    places, known = np.arange(len(doubts)), list(keyframes)
    shots = np.searchsorted(np.asarray(cuts, dtype=np.int64), places, side="right")
    own = np.array(doubts, dtype=np.float32)
    own[list(flashes)] = 0
    drift = _DRIFT * _distance(places, known, shots) / len(doubts)
    chosen: list[int] = []
    while len(chosen) < count:
        distance = _distance(places, known, shots)
        own[known] = drift[known] = 0
        lost = np.flatnonzero(own > 1 - LOST_IOU).tolist()
        left_out = {*known, *flashes}
        candidates = lost or [index for index in places.tolist() if index not in left_out]
        if not candidates:
            break
        left = own + drift
        gains = [(left * (1 - _shrunk(distance, places, shots, index))).sum() for index in candidates]
        best = candidates[int(np.argmax(gains))]
        shrunk = _shrunk(distance, places, shots, best)
        own, drift = own * shrunk, drift * shrunk
        known.append(best)
        chosen.append(best)
    return chosen


def _distance(places: IntArray, known: Sequence[int], shots: IntArray) -> FloatArray:
    """Frames from each place to the nearest of those known in its shot; all frames where there is none."""
    away = np.abs(places[:, None] - np.asarray(known)[None])
    away[shots[:, None] != shots[known][None]] = len(places)
    distance: FloatArray = away.min(axis=1).astype(np.float32)
    return distance


def _shrunk(distance: FloatArray, places: IntArray, shots: IntArray, index: int) -> FloatArray:
    """Distance to the nearest known frame once `index` is known, as a share of what it was."""
    away = np.where(shots == shots[index], np.abs(places - index), len(places))
    shrunk: FloatArray = np.minimum(1, away / np.maximum(distance, 1)).astype(np.float32)
    return shrunk
