"""The lite propagation network: from a frame, a guide and a memory to the logits of its objects.

It joins guided propagation (Perazzi et al., "Learning Video Object Segmentation from Static Images", CVPR
2017), whose guide is the mask of the frame before, and matching with frames whose masks are known (Hu et al.,
"VideoMatch", ECCV 2018), which reads a memory as Oh et al. do ("Video Object Segmentation using Space-Time
Memory Networks", ICCV 2019) with masks as the only values. Encoder and decoder are of plain
convolutions. Objects share the encoder and go through the decoder one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks import lite_encoder

CUES = 3
HINTS = 1 + CUES
KEY_WIDTH = 64
KEY_STRIDE = 8

MEMORY_PREFIX = "memory."  # of tensors saved beside a network, see `Memory`
_UNSEEN = -1.0  # the least cosine there is
_ROWS_AT_ONCE = 256  # pixels whose cosines to a large memory stay in the cache
_COSINES_AT_ONCE = 2**27  # half a gigabyte of them on a GPU


@dataclass(frozen=True)
class Memory:
    """Keys and masks of the pixels of frames whose masks are known.

    Attributes:
        keys: N×C×M, unit length along C.
        masks: N×K×M, share of each pixel that belongs to object k.
    """

    keys: Tensor
    masks: Tensor


@dataclass(frozen=True)
class EncodedFrames:
    """Features of frames and their keys for matching.

    Attributes:
        maps: at strides 2, 4, 8, 16, 32, see `LiteEncoder`.
        keys: N×C×h×w at `KEY_STRIDE`, unit length along C.
    """

    maps: list[Tensor]
    keys: Tensor

    def memorize(self, masks: Tensor) -> Memory:
        """The frames as memory, given their masks N×K×H×W in [0, 1]; each frame has a memory of its own."""
        shares = F.adaptive_avg_pool2d(masks, (self.keys.shape[-2], self.keys.shape[-1]))
        return Memory(self.keys.flatten(2), shares.flatten(2))


class LiteTracker(nn.Module):
    """Frame, guide and memory in, logits out.

    Attributes:
        norm_frozen: the running statistics of the batch norms are kept in training, see `freeze_norm`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = lite_encoder.LiteEncoder(input_channels=3)
        self.key = nn.Conv2d(lite_encoder.WIDTHS[2] + lite_encoder.WIDTHS[3], KEY_WIDTH, 1)
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.decoder = lite_encoder.LiteDecoder(HINTS, blocks=2)
        self.scores = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in lite_encoder.DECODER_WIDTHS)
        self.norm_frozen = False

    def encode(self, frames: Tensor) -> EncodedFrames:
        """Encode N×3×H×W float frames, normalized (`lite_input`); any size from 32 pixels up."""
        return self.features(self.encoder(frames))

    def features(self, maps: list[Tensor]) -> EncodedFrames:
        """Features of frames from the five maps of the encoder, N×C×h×w each."""
        fine, coarse = maps[2], maps[3]
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        return EncodedFrames(maps, F.normalize(self.key(torch.cat([fine, coarse], dim=1)).float(), dim=1))

    def decode(self, features: EncodedFrames, memory: Memory, guides: Tensor) -> list[Tensor]:
        """Logits of every object.

        Args:
            features: of N frames.
            memory: for each of them.
            guides: N×K×H×W, 1 where the object is believed to be, -1 elsewhere, 0 everywhere without a guide.

        Returns:
            Four tensors N×K×H×W: the side scores from coarse to fine, then the final score.
        """
        count, objects, *size_hw = guides.shape
        cues = read_memory(features.keys, memory.keys, memory.masks, self.sharpness).flatten(0, 1)
        guides = guides.flatten(0, 1)[:, None]
        maps = [each.repeat_interleave(objects, 0) if objects > 1 else each for each in features.maps]
        hints = [_hints(guides, cues, (each.shape[-2], each.shape[-1])) for each in maps[-2::-1]]
        scores = [score(x) for score, x in zip(self.scores, self.decoder(maps, hints), strict=True)]
        return [
            F.interpolate(score, size=size_hw, mode="bilinear", align_corners=False).view(
                count, objects, *size_hw
            )
            for score in scores
        ]

    def forward(self, frames: Tensor, guides: Tensor, known: Tensor, masks: Tensor) -> list[Tensor]:
        """Logits of frames, each with one frame whose masks are known; for training.

        Args:
            frames: N×3×H×W.
            guides: N×K×H×W, see `decode`.
            known: N×3×H×W, the other frames.
            masks: N×K×H×W in [0, 1], their masks.
        """
        count = len(frames)
        maps = self.encoder(torch.cat([frames, known]))
        first, second = [each[:count] for each in maps], [each[count:] for each in maps]
        return self.decode_pairs(first, guides, second, masks)

    def decode_pairs(
        self, maps: list[Tensor], guides: Tensor, known: list[Tensor], masks: Tensor
    ) -> list[Tensor]:
        """As `forward`, from the maps of the encoder.

        Args:
            maps: the encoder's five maps of the frames, N×C×h×w each.
            guides: N×K×H×W, see `decode`.
            known: the encoder's maps of the other frames.
            masks: N×K×H×W in [0, 1], their masks.
        """
        return self.decode(self.features(maps), self.features(known).memorize(masks), guides)

    def freeze_norm(self) -> None:
        """Keep the running statistics of the batch norms from now on, also in training.

        Augmented copies of a few frames are too few for the statistics of frames; those of a trained network
        are better. Scales and shifts still learn.
        """
        self.norm_frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "LiteTracker":
        """As `nn.Module.train`, but for frozen norms."""
        super().train(mode)
        if self.norm_frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def _hints(guides: Tensor, cues: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Guide and cues at one stride of the decoder, N×4×h×w."""
    guide = F.adaptive_avg_pool2d(guides, size_hw)
    if size_hw[0] < cues.shape[-2]:
        read = F.adaptive_avg_pool2d(cues, size_hw)
    else:
        read = F.interpolate(cues, size=size_hw, mode="bilinear", align_corners=False)
    return torch.cat([guide, read.to(guide.dtype)], dim=1)


def join_memories(memories: Sequence[Memory]) -> Memory:
    """Several memories of the same frames as one."""
    return Memory(
        torch.cat([each.keys for each in memories], dim=2),
        torch.cat([each.masks for each in memories], dim=2),
    )


def lite_input(images_rgb: npt.NDArray[np.uint8]) -> Tensor:
    """Frames as `LiteTracker` takes them.

    Args:
        images_rgb: N×H×W×3 uint8.

    Returns:
        N×3×H×W float32 on the CPU, each channel about zero mean and unit deviation.
    """
    return normalize_frames(torch.from_numpy(np.require(images_rgb, requirements=["C", "W"])))


def normalize_frames(images_rgb: Tensor) -> Tensor:
    """As `lite_input`, for a tensor N×H×W×3 uint8, on whose device the result is."""
    rgb = images_rgb.permute(0, 3, 1, 2).float().contiguous()
    mean, std = (
        torch.tensor(values, device=rgb.device).view(1, 3, 1, 1)
        for values in (lite_encoder.MEAN_RGB, lite_encoder.STD_RGB)
    )
    return (rgb - mean) / std


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
