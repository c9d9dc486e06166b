"""When fine-tuning ends: the loss has settled, or the step limit is reached."""

from collections.abc import Sequence

import numpy as np


def has_settled(losses: Sequence[float], window: int, tolerance: float) -> bool:
    """Whether the loss has stopped falling.

    Args:
        losses: of every step so far.
        window: steps in each of the two stretches that are compared.
        tolerance: least share by which the mean of the last stretch must lie below that of the one before,
            for the loss to count as still falling.

    Returns:
        False as long as there are fewer than two windows.
    """
    if len(losses) < 2 * window:
        return False
    before = float(np.mean(losses[-2 * window : -window]))
    now = float(np.mean(losses[-window:]))
    return now >= (1 - tolerance) * before


def rate_factor(step: int, cooling_from: int | None, cooldown: int) -> float:
    """Factor on the learning rate at a step: 1, then linearly down over `cooldown` steps.

    Args:
        step: 0-based.
        cooling_from: first step of the cool-down, None while it has not begun.
        cooldown: its length in steps.
    """
    if cooling_from is None or cooldown == 0:
        return 1.0
    return max(0.0, 1 - (step - cooling_from + 1) / (cooldown + 1))
