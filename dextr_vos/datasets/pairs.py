"""A frame, a guide, and another frame with its mask: what the lite propagation network learns from."""

import numpy as np
import torch
from torch import Tensor

from dextr_vos.datasets.guide import Wear, worn_guide, worn_mask
from dextr_vos.datasets.motion import Frame


def pair_sample(first: Frame, second: Frame, wear: Wear, rng: np.random.Generator) -> dict[str, Tensor]:
    """Two frames as the network takes them, in either order; the known one shows the target.

    Returns:
        "image" and "known" H×W×3 uint8; "guide" 1×H×W float32; "target", "void" and "known_mask" 1×H×W bool.
    """
    known, target = known_and_target(first, second, rng)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(target.image_rgb)),
        "known": torch.from_numpy(np.ascontiguousarray(known.image_rgb)),
        **pair_masks(known, target, wear, rng),
    }


def known_and_target(first: Frame, second: Frame, rng: np.random.Generator) -> tuple[Frame, Frame]:
    """Two frames in either order, the first of which shows the target."""
    swapped = rng.random() < 0.5
    return (second, first) if (swapped and second.mask.any()) or not first.mask.any() else (first, second)


def pair_masks(known: Frame, target: Frame, wear: Wear, rng: np.random.Generator) -> dict[str, Tensor]:
    """All of `pair_sample` but the pictures."""
    guide = worn_guide(target, wear, rng)
    known_mask = known.mask
    if wear.known and rng.random() < wear.known:
        known_mask = worn_mask(known_mask, wear, rng)
    return {
        "guide": torch.from_numpy(guide)[None],
        "target": torch.from_numpy(np.ascontiguousarray(target.mask))[None],
        "void": torch.from_numpy(np.ascontiguousarray(target.void))[None],
        "known_mask": torch.from_numpy(np.ascontiguousarray(known_mask))[None],
    }
