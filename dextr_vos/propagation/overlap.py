"""How far soft masks overlap: one with another, and with what they stand for."""

import numpy as np

from dextr_vos.geometry import FloatArray


def soft_overlap(one: FloatArray, other: FloatArray) -> FloatArray:
    """Soft intersection over union of each of K soft masks; 1 where both are empty.

    Args:
        one: K×H×W in [0, 1].
        other: likewise.
    """
    return _ratio(*(extreme(one, other).sum((1, 2)) for extreme in (np.minimum, np.maximum)))


def expected_overlap(probs: FloatArray) -> FloatArray:
    """The overlap with the truth that each soft mask expects of its own hard mask; 1 where it is empty.

    Args:
        probs: K×H×W in [0, 1].
    """
    hard = probs > 0.5
    both, either = np.where(hard, probs, 0).sum((1, 2)), np.maximum(probs, hard).sum((1, 2))
    return _ratio(both, either)


def _ratio(both: FloatArray, either: FloatArray) -> FloatArray:
    ratio: FloatArray = np.where(either < 1, 1, both / np.maximum(either, 1)).astype(np.float32)
    return ratio
