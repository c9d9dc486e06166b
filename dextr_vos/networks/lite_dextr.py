"""Lite DEXTR: crop and clicks in, one mask out; a small encoder and a decoder that climbs back to stride 2.

The task is that of Maninis et al., CVPR 2018; the shape is that of U-Net (Ronneberger et al., MICCAI 2015).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks.lite_encoder import WIDTHS, LiteEncoder, conv_norm

DECODER_WIDTHS = (96, 64, 48, 32)
INPUT_CHANNELS = 4

# mean and standard deviation in 0…255: red, green, blue of natural pictures, and the heat map of clicks
_MEAN = (123.7, 116.3, 103.5, 0.0)
_STD = (58.4, 57.1, 57.4, 128.0)


class LiteDextr(nn.Module):
    """From an RGB crop and the heat map of its clicks to the logits of the object."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = LiteEncoder(INPUT_CHANNELS)
        below = (WIDTHS[-1], *DECODER_WIDTHS[:-1])
        beside = WIDTHS[-2::-1]
        self.reduce = nn.ModuleList(
            conv_norm(wide, narrow, kernel=1) for wide, narrow in zip(below, DECODER_WIDTHS, strict=True)
        )
        self.merge = nn.ModuleList(
            nn.Sequential(conv_norm(narrow + skip, narrow), conv_norm(narrow, narrow))
            for narrow, skip in zip(DECODER_WIDTHS, beside, strict=True)
        )
        self.score = nn.Conv2d(DECODER_WIDTHS[-1], 1, 1)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_STD).view(1, -1, 1, 1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits.

        Args:
            inputs: N×4×H×W, red, green, blue and heat map, each in 0…255; H and W from 32 up.

        Returns:
            N×1×H×W.
        """
        features = self.encoder((inputs - self.mean) / self.std)
        x = features.pop()  # H/32
        for reduce, merge in zip(self.reduce, self.merge, strict=True):
            skip = features.pop()  # H/16, H/8, H/4, H/2
            x = F.interpolate(reduce(x), size=skip.shape[-2:], mode="nearest")
            x = merge(torch.cat([x, skip], dim=1))
        return F.interpolate(self.score(x), size=inputs.shape[-2:], mode="bilinear", align_corners=False)
