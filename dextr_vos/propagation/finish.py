"""From soft masks at the network's size to labels at the frame's, and how far they can be trusted."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from dextr_vos.masks import Labels, labels_from_probs
from dextr_vos.propagation.follow import Followed
from dextr_vos.propagation.islands import islands
from dextr_vos.propagation.overlap import expected_overlap


def finished_labels(
    followed: Followed, numbers: Sequence[int], smallest_part: Mapping[int, float] | None = None
) -> Labels:
    """Labels of a frame at full size.

    Args:
        followed: its soft masks.
        numbers: of the objects.
        smallest_part: see `RunRecord`; smaller parts are dropped.

    Returns:
        H×W uint8.
    """
    height, width = followed.image_rgb.shape[:2]
    probs = np.stack(
        [cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in followed.probs]
    )
    places = labels_from_probs(probs)
    for place, number in enumerate(numbers):
        dropped = islands(places == place + 1, (smallest_part or {}).get(number, 0.0))
        probs[place][dropped] = 0
    # what was dropped is the next likely object's
    labels: Labels = np.array([0, *numbers], dtype=np.uint8)[labels_from_probs(probs)]
    return labels


def confidence(followed: Followed) -> list[float]:
    """How far each object's mask can be trusted, in [0, 1].

    It is the overlap that the soft mask expects of its own hard mask, times how far the passes from both
    sides agree.
    """
    sure = expected_overlap(followed.probs) * followed.agreement
    return [round(float(value), 4) for value in sure]
