"""Matching of pixels between a frame and frames whose masks are known.

Video matching after Hu et al., "VideoMatch", ECCV 2018, and the memory reading of Oh et al., "Video Object
Segmentation using Space-Time Memory Networks", ICCV 2019, with masks as the only values.
"""

import torch
from torch import Tensor

CUES = 3

_UNSEEN = -1.0  # the least cosine there is
_ROWS_AT_ONCE = 256  # pixels whose cosines to a large memory stay in the cache
_COSINES_AT_ONCE = 2**27  # half a gigabyte of them on a GPU


def read_memory(keys: Tensor, memory_keys: Tensor, memory_masks: Tensor, sharpness: Tensor) -> Tensor:
    """Read a memory for every pixel and object.

    Args:
        keys: N×C×h×w, of unit length along C.
        memory_keys: N×C×M, likewise, M pixels of frames whose masks are known.
        memory_masks: N×K×M, share of each of these pixels that belongs to object k.
        sharpness: scalar; factor on the cosine before the soft maximum.

    Returns:
        N×K×3×h×w: the mask value read, from -1 to 1, and the largest cosine to a pixel on and off the object.
    """
    count, _, height, width = keys.shape
    rows = keys.flatten(2).transpose(1, 2)  # N×P×C
    if keys.is_cuda:
        every = [_cues_of_frames(rows, memory_keys, mask, sharpness) for mask in memory_masks.unbind(1)]
        return torch.stack(every, dim=1).view(count, -1, CUES, height, width)
    cues = [
        _cues_of_object(rows[frame], memory_keys[frame], mask, sharpness)
        for frame in range(count)
        for mask in memory_masks[frame]
    ]
    return torch.stack(cues).view(count, -1, CUES, height, width)


def _cues_of_object(rows: Tensor, memory_keys: Tensor, mask: Tensor, sharpness: Tensor) -> Tensor:
    """The cues of one object, 3×P, for rows P×C, memory C×M and mask M."""
    on = mask >= 0.5
    # on and off sorted, so that each is a slice; masking one of them would cost a copy of all cosines
    order = torch.argsort(on.to(torch.uint8), stable=True)
    memory_keys, values = memory_keys[:, order], mask[order].to(rows.dtype)
    values = torch.stack([values, torch.ones_like(values)], dim=1)
    first_on = len(on) - int(on.sum())
    cues = []
    for some in torch.split(rows, _ROWS_AT_ONCE):
        cosine = some @ memory_keys
        best_on, best_off = _best(cosine[:, first_on:]), _best(cosine[:, :first_on])
        weights = ((cosine - torch.maximum(best_on, best_off).detach()[:, None]) * sharpness).exp()
        read, total = (weights @ values).unbind(1)
        cues.append(torch.stack([2 * read / total - 1, best_on, best_off]))
    return torch.cat(cues, dim=1)


def _cues_of_frames(rows: Tensor, memory_keys: Tensor, masks: Tensor, sharpness: Tensor) -> Tensor:
    """The cues of one object in all frames at once, N×3×P, for rows N×P×C, memory N×C×M and masks N×M.

    As `_cues_of_object`, in few large steps and without waiting for the GPU.
    """
    on = (masks >= 0.5)[:, None]
    values = torch.stack([masks.to(rows.dtype), torch.ones_like(masks, dtype=rows.dtype)], dim=2)
    cues = []
    for some in torch.split(rows, max(1, _COSINES_AT_ONCE // max(1, masks.numel())), dim=1):
        cosine = some @ memory_keys
        best_on = cosine.masked_fill(~on, _UNSEEN).amax(2)
        best_off = cosine.masked_fill(on, _UNSEEN).amax(2)
        weights = ((cosine - torch.maximum(best_on, best_off).detach()[..., None]) * sharpness).exp()
        read, total = (weights @ values.to(weights.dtype)).unbind(2)
        cues.append(torch.stack([2 * read / total - 1, best_on, best_off], dim=1))
    return torch.cat(cues, dim=2)


def _best(cosine: Tensor) -> Tensor:
    return cosine.amax(1) if cosine.shape[1] else cosine.new_full((len(cosine),), _UNSEEN)
