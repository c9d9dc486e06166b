"""How the learning rate goes: up over the first steps, then down along a curve."""

import math
from typing import Literal

Decay = Literal["constant", "cosine", "poly"]
_POLY_POWER = 0.9  # of Deeplab


def rate_factor(step: int, steps: int, warmup: int, decay: Decay) -> float:
    """The share of the full rate at a step.

    Args:
        step: from 0.
        steps: of the whole training.
        warmup: steps over which the rate rises in a line.
        decay: "cosine" to zero (Loshchilov and Hutter, ICLR 2017), "poly" with the power 0.9 of Deeplab, or
            "constant".

    Returns:
        In [0, 1].
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if decay == "constant":
        return 1.0
    left = max(0.0, (steps - step) / max(1, steps - warmup))
    return left**_POLY_POWER if decay == "poly" else (1 - math.cos(math.pi * left)) / 2
