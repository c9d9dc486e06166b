"""Matching of pixels between frames: what a pixel of this frame looks like in frames whose masks are known.

Video matching after Hu et al., "VideoMatch", ECCV 2018, and the memory reading of Oh et al., "Video Object
Segmentation using Space-Time Memory Networks", ICCV 2019, with masks as the only values.
"""

import torch
from torch import Tensor

CUES = 3

_UNSEEN = -1.0  # the least cosine there is


def read_memory(keys: Tensor, memory_keys: Tensor, memory_masks: Tensor, sharpness: Tensor) -> Tensor:
    """What a memory says about every pixel and object.

    Args:
        keys: N×C×h×w, of unit length along C.
        memory_keys: N×C×M, likewise, M pixels of frames whose masks are known.
        memory_masks: N×K×M, share of each of these pixels that belongs to object k.
        sharpness: scalar; factor on the cosine before the soft maximum.

    Returns:
        N×K×3×h×w: the mask value read, from -1 to 1, and the largest cosine to a pixel on and off the object.
    """
    count, _, height, width = keys.shape
    cosine = torch.bmm(keys.flatten(2).transpose(1, 2), memory_keys)  # N×P×M
    read = torch.bmm(torch.softmax(cosine * sharpness, dim=2), memory_masks.transpose(1, 2).to(cosine.dtype))
    cues = []
    for number in range(memory_masks.shape[1]):
        on = memory_masks[:, number, None] >= 0.5  # N×1×M
        cues += [
            2 * read[..., number] - 1,
            torch.where(on, cosine, _UNSEEN).amax(2),
            torch.where(on, _UNSEEN, cosine).amax(2),
        ]
    return torch.stack(cues, dim=1).view(count, -1, CUES, height, width)
