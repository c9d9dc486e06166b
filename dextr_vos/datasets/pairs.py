"""A frame, a guide, and another frame with its mask: what the lite propagation network learns from."""

import numpy as np
import torch
from torch import Tensor

from dextr_vos.datasets.guide import Wear, worn_guide
from dextr_vos.datasets.motion import Frame


def pair_sample(first: Frame, second: Frame, wear: Wear, rng: np.random.Generator) -> dict[str, Tensor]:
    """Two frames as the network takes them, in either order; the known one shows the target.

    Returns:
        "image" and "known" H×W×3 uint8; "guide" 1×H×W float32; "target", "void" and "known_mask" 1×H×W bool.
    """
    swapped = rng.random() < 0.5
    if (swapped and second.mask.any()) or not first.mask.any():
        first, second = second, first
    guide = worn_guide(second, wear, rng)
    return {
        "image": torch.from_numpy(np.ascontiguousarray(second.image_rgb)),
        "guide": torch.from_numpy(guide)[None],
        "target": torch.from_numpy(np.ascontiguousarray(second.mask))[None],
        "void": torch.from_numpy(np.ascontiguousarray(second.void))[None],
        "known": torch.from_numpy(np.ascontiguousarray(first.image_rgb)),
        "known_mask": torch.from_numpy(np.ascontiguousarray(first.mask))[None],
    }
