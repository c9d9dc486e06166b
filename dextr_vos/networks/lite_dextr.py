"""Lite DEXTR: from a crop and its clicks to the logits of one object (as Maninis et al., CVPR 2018)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks import lite_encoder

INPUT_CHANNELS = 4

# of the heat map of clicks, which is zero nearly everywhere
_HEAT_MEAN, _HEAT_STD = 0.0, 128.0


class LiteDextr(nn.Module):
    """From an RGB crop and the heat map of its clicks to the logits of the object."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder = lite_encoder.LiteEncoder(INPUT_CHANNELS)
        self.decoder = lite_encoder.LiteDecoder()
        self.score = nn.Conv2d(lite_encoder.DECODER_WIDTHS[-1], 1, 1)
        mean, std = (*lite_encoder.MEAN_RGB, _HEAT_MEAN), (*lite_encoder.STD_RGB, _HEAT_STD)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits.

        Args:
            inputs: N×4×H×W, red, green, blue and heat map, each in 0…255; H and W from 32 up.

        Returns:
            N×1×H×W.
        """
        features = self.encoder((inputs - self.mean) / self.std)
        logits = self.score(self.decoder(features)[-1])  # H/2
        return F.interpolate(logits, size=inputs.shape[-2:], mode="bilinear", align_corners=False)


def is_lite_dextr(state: Mapping[str, Tensor]) -> bool:
    """Whether a state is one of `LiteDextr`, by its keys."""
    return "score.weight" in state and any(key.startswith("encoder.stem.") for key in state)
