"""The lite propagation network: from a frame, a guide and a memory to the masks of its objects.

The encoder is TinyViT and the decoder that of "Segment Anything" at a small size, as for clicks
(`networks.lite_clicks`), from whose weights both begin. In place of clicks the decoder is given a guide, the
mask of the frame before (Perazzi et al., "Learning Video Object Segmentation from Static Images", CVPR 2017),
and matches with frames whose masks are known: pixel by pixel (Hu et al., "VideoMatch", ECCV 2018), in the way
Oh et al. read a memory ("Video Object Segmentation using Space-Time Memory Networks", ICCV 2019), and as a
whole, one token for the object and one for what is around it (after Cheng et al., "Putting the Object Back
into Video Object Segmentation", CVPR 2024). Objects share the encoder and go through the decoder one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks.mask_decoder import CUES, MaskDecoder
from dextr_vos.networks.tiny_vit import EIGHTH_CHANNELS, EMBEDDING, MEAN_RGB, STD_RGB, TinyVit
from dextr_vos.networks.windows import Window, decode_windows
from dextr_vos.optical_flow import warp_masks

KEY_WIDTH = 64
KEY_STRIDE = 8

MEMORY_PREFIX = "memory."  # of tensors saved beside a network, see `Memory`
_PLAIN = 0.02  # pixels with a smaller share of an object, or all but that, are not on its outline
_LEAST_SEEN = 0.1  # pixels of the embedding; less says nothing of an object
LOST = 1e-4  # share of the frame; an object smaller than that is lost
_UNSEEN = -1.0  # the least cosine there is
_ROWS_AT_ONCE = 256  # pixels whose cosines to a large memory stay in the cache
_COSINES_AT_ONCE = 2**27  # half a gigabyte of them on a GPU


@dataclass(frozen=True)
class Memory:
    """What is known of frames whose masks are known.

    Attributes:
        keys: N×C×M, of their pixels, unit length along C.
        masks: N×K×M, share of each pixel that belongs to object k.
        counts: N×M, how many pixels each entry stands for, see `thinned`.
        summaries: N×K×F×2×C, the mean of the embedding on and off object k in each of the F frames; 0 where
            there is no such pixel.
    """

    keys: Tensor
    masks: Tensor
    counts: Tensor
    summaries: Tensor

    def to(self, device: torch.device | str) -> "Memory":
        """The same on another device."""
        return Memory(*(getattr(self, each.name).to(device) for each in fields(self)))


@dataclass(frozen=True)
class EncodedFrames:
    """Features of frames and their keys for matching.

    Attributes:
        maps: at strides 2, 4, 8, 16, see `TinyVit`.
        keys: N×C×h×w at `KEY_STRIDE`, unit length along C.
    """

    maps: tuple[Tensor, ...]
    keys: Tensor

    def memorize(self, masks: Tensor) -> Memory:
        """The frames as memory, given their masks N×K×H×W in [0, 1]; each frame has a memory of its own."""
        fine = F.adaptive_avg_pool2d(masks, (self.keys.shape[-2], self.keys.shape[-1]))
        embedding = self.maps[-1].float()
        coarse = F.adaptive_avg_pool2d(masks, (embedding.shape[-2], embedding.shape[-1]))
        shares = torch.stack([coarse, 1 - coarse], dim=2)  # N×K×2×h×w
        summed = torch.einsum("nkshw,nchw->nksc", shares, embedding)
        pixels = shares.sum((-2, -1))[..., None]
        summaries = torch.where(pixels < _LEAST_SEEN, 0.0, summed / pixels.clamp(min=_LEAST_SEEN))
        keys = self.keys.flatten(2)
        return Memory(keys, fine.flatten(2), torch.ones_like(keys[:, 0]), summaries[:, :, None])

    def memorize_thinned(self, masks: Tensor) -> Memory:
        """As `memorize`, for a single frame, in fewer entries: away from outlines, one for 2×2 pixels.

        Args:
            masks: 1×K×H×W in [0, 1].
        """
        whole = self.memorize(masks)
        height, width = self.keys.shape[-2] // 2 * 2, self.keys.shape[-1] // 2 * 2
        maps = torch.cat([whole.keys, whole.masks], dim=1).view(1, -1, *self.keys.shape[-2:])
        shares = maps[:, -masks.shape[1] :, :height, :width]
        low, high = -F.max_pool2d(-shares, 2), F.max_pool2d(shares, 2)
        plain = ((high < _PLAIN) | (low > 1 - _PLAIN)).all(1)[0]
        single = torch.ones(self.keys.shape[-2:], dtype=torch.bool, device=masks.device)
        single[:height, :width] = ~plain.repeat_interleave(2, 0).repeat_interleave(2, 1)
        blocks = F.avg_pool2d(maps[:, :, :height, :width], 2)[:, :, plain]
        entries = torch.cat([blocks, maps[:, :, single]], dim=2)
        counts = torch.ones_like(entries[:, 0])
        counts[:, : blocks.shape[2]] = 4
        keys, shares = torch.split(entries, [self.keys.shape[1], masks.shape[1]], dim=1)
        return Memory(F.normalize(keys, dim=1), shares, counts, whole.summaries)


class LiteTracker(nn.Module):
    """Frame, guide and memory in, logits out.

    Attributes:
        pretrained: whether the weights are those of a trained tracker, which small steps suit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = TinyVit()
        self.key = nn.Conv2d(EIGHTH_CHANNELS + EMBEDDING, KEY_WIDTH, 1)
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.decoder = MaskDecoder()
        self.pretrained = False

    def encode(self, frames: Tensor) -> EncodedFrames:
        """Encode N×3×H×W float frames, normalized (`lite_input`); H and W are multiples of 16."""
        return self.features(self.encoder(frames))

    def features(self, maps: Sequence[Tensor]) -> EncodedFrames:
        """Features of frames from the four maps of the encoder, N×C×h×w each."""
        fine, coarse = maps[2], maps[3]
        coarse = F.interpolate(coarse, size=fine.shape[-2:], mode="bilinear", align_corners=False)
        keys = self.key(torch.cat([fine, coarse], dim=1)).float()
        return EncodedFrames(tuple(maps), F.normalize(keys, dim=1))

    def decode(
        self,
        features: EncodedFrames,
        memory: Memory,
        guides: Tensor,
        windows: Sequence[Window] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits of every object, and how good the masks are.

        Args:
            features: of N frames.
            memory: for each of them.
            guides: N×K×H×W, 1 where the object is believed to be, -1 elsewhere, 0 everywhere without a guide.
            windows: K parts of all N frames, outside of which an object is not looked for; None for none.

        Returns:
            N×K×H×W logits, and N×K estimates of the IoU of the masks.
        """
        count, objects, *size_hw = guides.shape
        cues = read_memory(features.keys, memory, self.sharpness)
        seen = (memory.summaries != 0).any(-1, keepdim=True).sum(2).clamp(min=1)
        summaries = memory.summaries.sum(2) / seen
        if windows is not None:
            return decode_windows(self.decoder, features.maps, guides, cues, summaries, windows)
        maps = [each.repeat_interleave(objects, 0) if objects > 1 else each for each in features.maps]
        logits, quality = self.decoder(
            maps, guides.flatten(0, 1)[:, None], cues.flatten(0, 1), summaries.flatten(0, 1)
        )
        logits = F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=False)
        return logits.view(count, objects, *size_hw), quality.view(count, objects)

    def decode_pairs(
        self, maps: Sequence[Tensor], guides: Tensor, known: Sequence[Tensor], masks: Tensor
    ) -> Tensor:
        """Logits of frames, each with one frame whose masks are known; for fine-tuning.

        Args:
            maps: the encoder's four maps of the frames, N×C×h×w each.
            guides: N×K×H×W, see `decode`.
            known: the encoder's maps of the other frames.
            masks: N×K×H×W in [0, 1], their masks.
        """
        return self.decode(self.features(maps), self.features(known).memorize(masks), guides)[0]

    def forward(
        self,
        frames: Tensor,
        masks: Tensor,
        guides: Tensor,
        flows: Tensor,
        remember: int = 0,
        encoder_learns: bool = True,
    ) -> list[tuple[Tensor, Tensor]]:
        """Track one object through frames, given its mask in the first; for training.

        Args:
            frames: N×(1+T)×3×H×W: the frame whose mask is known, and those to track through.
            masks: N×1×H×W in [0, 1], of the first one.
            guides: N×1×H×W, for the second one, see `decode`.
            flows: N×(T-1)×2×h×w, from each of the others back to the one before it, as shares of width and
                height.
            remember: how many of the tracked frames become memory too.
            encoder_learns: whether gradients reach the encoder.

        Returns:
            T times logits N×1×H×W and N estimates of the IoU.
        """
        count, length = frames.shape[:2]
        with torch.set_grad_enabled(encoder_learns and torch.is_grad_enabled()):
            maps = self.encoder(frames.flatten(0, 1).contiguous(memory_format=torch.channels_last))
        each = [
            self.features([part.unflatten(0, (count, length))[:, index] for part in maps])
            for index in range(length)
        ]
        memory = each[0].memorize(masks)
        tracked: list[tuple[Tensor, Tensor]] = []
        for index, features in enumerate(each[1:]):
            logits, quality = self.decode(features, memory, guides)
            tracked.append((logits, quality[:, 0]))
            if index + 2 == length:
                break
            probs = torch.sigmoid(logits.detach().float())
            if index < remember:
                memory = join_memories([memory, features.memorize(probs)])
            guides = warped_guide(probs, flows[:, index])
        return tracked


def warped_guide(probs: Tensor, flow: Tensor) -> Tensor:
    """A guide for the next frame: the masks N×1×H×W moved by the optical flow N×2×h×w, see `LiteTracker`."""
    moved = warp_masks(probs, flow)
    lost = (moved > 0.5).float().mean((1, 2, 3), keepdim=True) < LOST
    return torch.where(lost, torch.zeros_like(moved), 2 * moved - 1)


def state_from_click_network(network: LiteTracker, clicks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state for the network with all that it shares with the network for clicks.

    Args:
        network: what the other does not have is as here.
        clicks: state of a `LiteClicks`.
    """
    state = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    shared = {key: tensor for key, tensor in clicks.items() if key in state}
    # what was a map of clicks is now one of cues
    shared["decoder.detail.0.weight"] = network.decoder.detail_from_clicks(clicks["decoder.detail.0.weight"])
    return state | shared


def join_memories(memories: Sequence[Memory]) -> Memory:
    """Several memories of the same frames as one."""
    return Memory(
        torch.cat([each.keys for each in memories], dim=2),
        torch.cat([each.masks for each in memories], dim=2),
        torch.cat([each.counts for each in memories], dim=1),
        torch.cat([each.summaries for each in memories], dim=2),
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
    mean, std = (torch.tensor(values, device=rgb.device).view(1, 3, 1, 1) for values in (MEAN_RGB, STD_RGB))
    return (rgb - mean) / std


def read_memory(keys: Tensor, memory: Memory, sharpness: Tensor) -> Tensor:
    """Read a memory for every pixel and object: softmax attention over its entries, whose values are ±1.

    Args:
        keys: N×C×h×w, of unit length along C.
        memory: of N frames.
        sharpness: scalar; the inverse temperature, by which cosines are multiplied before the softmax.

    Returns:
        N×K×3×h×w: the mask value read, from -1 to 1, and the largest cosine to a pixel on and off the object.
    """
    count, _, height, width = keys.shape
    rows = keys.flatten(2).transpose(1, 2)  # N×P×C
    if keys.device.type != "cpu" or torch.compiler.is_compiling():
        every = [
            _read_memory_batched(rows, memory.keys, mask, memory.counts, sharpness)
            for mask in memory.masks.unbind(1)
        ]
        return torch.stack(every, dim=1).view(count, -1, CUES, height, width)
    frames = zip(rows, memory.keys, memory.masks, memory.counts, strict=True)
    cues = [_read_memory_of_frame(*frame, sharpness) for frame in frames]
    return torch.stack(cues).view(count, -1, CUES, height, width)


def _read_memory_of_frame(
    rows: Tensor, memory_keys: Tensor, masks: Tensor, counts: Tensor, sharpness: Tensor
) -> Tensor:
    """The cues of all objects in one frame, K×3×P, for rows P×C, memory C×M, its masks K×M and counts M.

    The faster way on a CPU.
    """
    # entries that are on the same objects are sorted together, so that each such group is a slice; masking
    # the others would cost a copy of all cosines
    group = _groups(masks >= 0.5)
    order, counted = torch.argsort(group, stable=True), torch.bincount(group)
    is_on = masks[:, order[counted.cumsum(0) - counted]].T >= 0.5  # of the first entry of each group
    sizes = counted.tolist()
    memory_keys, counts = memory_keys[:, order], counts[order].to(rows.dtype)
    values = torch.cat([masks[:, order].to(rows.dtype) * counts, counts[None]]).T
    cues = []
    for some in torch.split(rows * sharpness, _ROWS_AT_ONCE):
        scaled = some @ memory_keys
        best = torch.stack([part.amax(1) for part in torch.split(scaled, sizes, dim=1)])
        largest = best.amax(0).detach()[:, None]
        weights = (scaled - largest).exp() if scaled.requires_grad else scaled.sub_(largest).exp_()
        *read, total = (weights @ values).unbind(1)
        unseen = (_UNSEEN * sharpness).to(best.dtype).expand(1, len(some))
        found = [
            torch.stack(
                [
                    2 * share / total - 1,
                    *(torch.cat([best[which], unseen]).amax(0) / sharpness for which in (on, ~on)),
                ]
            )
            for share, on in zip(read, is_on.T, strict=True)
        ]
        cues.append(torch.stack(found))
    return torch.cat(cues, dim=2)


def _groups(is_on: Tensor) -> Tensor:
    """The number, from 0 on, of the group of each of M entries: those on the same objects; given K×M."""
    group = torch.zeros_like(is_on[0], dtype=torch.int64)
    for of_object in is_on:  # `torch.unique` of columns compares them one by one
        group = torch.unique(2 * group + of_object, return_inverse=True)[1]
    return group


def _read_memory_batched(
    rows: Tensor, memory_keys: Tensor, masks: Tensor, counts: Tensor, sharpness: Tensor
) -> Tensor:
    """The cues of one object in all frames at once, N×3×P, for rows N×P×C, memory N×C×M, masks, counts N×M.

    The same as `_read_memory_of_frame`, for a GPU: in few large steps and without waiting for it.
    """
    on = (masks >= 0.5)[:, None]
    counts = counts.to(rows.dtype)
    values = torch.stack([masks.to(rows.dtype) * counts, counts], dim=2)
    at_once = max(1, _COSINES_AT_ONCE // max(1, masks.numel()))
    cues = []
    # a compiled or exported graph has no loop whose length depends on the size of the memory
    for some in [rows] if torch.compiler.is_compiling() else torch.split(rows, at_once, dim=1):
        cosine = some @ memory_keys
        best_on = cosine.masked_fill(~on, _UNSEEN).amax(2)
        best_off = cosine.masked_fill(on, _UNSEEN).amax(2)
        weights = ((cosine - torch.maximum(best_on, best_off).detach()[..., None]) * sharpness).exp()
        read, total = (weights @ values.to(weights.dtype)).unbind(2)
        cues.append(torch.stack([2 * read / total - 1, best_on, best_off], dim=1))
    return torch.cat(cues, dim=2)
