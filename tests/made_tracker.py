"""A lite tracker in which no weight is zero, and made-up frames, guides and masks for it."""

import torch
from torch import nn

from dextr_vos.networks.lite_tracker import KEY_STRIDE, LiteTracker

SIZE_HW = (48, 64)
COARSE = 16  # stride of the embedding


def made_up(count=1, objects=1, size_hw=SIZE_HW):
    """Frames, guides, known frames and their masks, all in blocks as large as a pixel of the keys."""
    generator = torch.Generator().manual_seed(5)

    def blocks(channels):
        coarse = [side // KEY_STRIDE for side in size_hw]
        values = torch.rand(count, channels, *coarse, generator=generator) * 2 - 1
        return values.repeat_interleave(KEY_STRIDE, 2).repeat_interleave(KEY_STRIDE, 3)

    return 2 * blocks(3), blocks(objects), 2 * blocks(3), (blocks(objects) > 0).float()


def tracker(seed=0):
    """A network in which nothing is zero any more, as after some training."""
    torch.manual_seed(seed)
    network = LiteTracker().eval()
    for parameter in network.decoder.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return network
