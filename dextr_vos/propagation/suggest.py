"""Which frame to annotate next."""

from collections.abc import Collection, Sequence

import numpy as np

from dextr_vos.geometry import FloatArray

_DRIFT = 1.0  # doubt of a frame that is as far from every keyframe as the clip is long


def suggest(doubts: Sequence[float], keyframes: Collection[int], count: int = 1) -> list[int]:
    """The frames whose annotation would help most.

    A pass that has drifted is as confident as another, so doubt also grows with the distance from the nearest
    keyframe, by 1 over a whole clip. It is taken to fade in proportion to that distance; the frame that
    removes most doubt, its own and its neighbours', comes first.

    Args:
        doubts: of every frame, from 0, sure, to 1.
        keyframes: indices of those that are annotated, at least one.
        count: how many frames, each chosen as if those before it were annotated.

    Returns:
        Indices in order of use; fewer than `count` where all the others are annotated.
    """
    places = np.arange(len(doubts))
    known = list(keyframes)
    left = np.asarray(doubts, dtype=np.float32) + _DRIFT * _distance(places, known) / len(doubts)
    chosen: list[int] = []
    while len(chosen) < count and len(known) < len(doubts):
        distance = _distance(places, known)
        left[known] = 0
        gains = [
            -1.0 if index in known else float((left * (1 - _shrunk(distance, places, index))).sum())
            for index in places.tolist()
        ]
        best = int(np.argmax(gains))
        left *= _shrunk(distance, places, best)
        known.append(best)
        chosen.append(best)
    return chosen


def _distance(places: np.ndarray, known: Sequence[int]) -> FloatArray:
    """Frames from each place to the nearest of those known."""
    distance: FloatArray = np.abs(places[:, None] - np.asarray(known)[None]).min(axis=1).astype(np.float32)
    return distance


def _shrunk(distance: FloatArray, places: np.ndarray, index: int) -> FloatArray:
    """Distance to the nearest known frame once `index` is known, as a share of what it was."""
    shrunk: FloatArray = np.minimum(1, np.abs(places - index) / np.maximum(distance, 1)).astype(np.float32)
    return shrunk
