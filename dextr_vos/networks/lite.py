"""The lite propagation network: frames in, side scores and the fused score of OSVOS out, object by object.

It follows Caelles et al., CVPR 2017, on the encoder and decoder of lite DEXTR, whose weights it can start
from.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.networks import lite_unet

_STEM = "encoder.stem.0.0.weight"


class LitePropagation(nn.Module):
    """Encoder and decoder; every stride of the decoder gives a side score, the finest one the fused score.

    Args:
        num_objects: score channels K, one an object.

    Attributes:
        norm_frozen: the running statistics of the batch norms are kept in training, see `freeze_norm`.
    """

    def __init__(self, num_objects: int = 1) -> None:
        super().__init__()
        self.encoder = lite_unet.LiteEncoder(input_channels=3)
        self.decoder = lite_unet.LiteDecoder()
        *coarse, finest = lite_unet.DECODER_WIDTHS
        self.score_dsn = nn.ModuleList(nn.Conv2d(width, num_objects, 1) for width in coarse)
        self.fuse = nn.Conv2d(finest, num_objects, 1)
        self.norm_frozen = False

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Logits of the sides and the fused ones.

        Args:
            frames: N×3×H×W float, normalised (`lite_input`); any size from 32 pixels up.

        Returns:
            Four tensors N×K×H×W: the side scores from coarse to fine, then the fused score.
        """
        size_hw = (frames.shape[-2], frames.shape[-1])
        maps = self.decoder(self.encoder(frames))
        scores = [score(x) for score, x in zip((*self.score_dsn, self.fuse), maps, strict=True)]
        return [F.interpolate(score, size=size_hw, mode="bilinear", align_corners=False) for score in scores]

    def freeze_norm(self) -> None:
        """Keep the running statistics of the batch norms from now on, in training, too.

        Two changed copies of one frame say little about the statistics of frames; those of a trained network
        are better. Scales and shifts still learn.
        """
        self.norm_frozen = True
        self.train(self.training)

    def train(self, mode: bool = True) -> "LitePropagation":
        """As `nn.Module.train`, but for frozen norms."""
        super().train(mode)
        if self.norm_frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self


def from_lite_dextr(network: LitePropagation, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state for a propagation network with the encoder and decoder of a trained `LiteDextr`.

    Args:
        network: what the other layers are taken from.
        state: of a `LiteDextr`; the channel of its heat map is dropped.
    """
    taken = {key: tensor for key, tensor in state.items() if key.startswith(("encoder.", "decoder."))}
    taken[_STEM] = taken[_STEM][:, :3]
    own = {key: tensor for key, tensor in network.state_dict().items() if key not in taken}
    return own | taken


def lite_input(images_rgb: npt.NDArray[np.uint8]) -> Tensor:
    """What `LitePropagation` takes.

    Args:
        images_rgb: N×H×W×3 uint8.

    Returns:
        N×3×H×W float32 on the CPU, each channel about zero mean and unit deviation.
    """
    rgb = torch.from_numpy(np.ascontiguousarray(images_rgb.transpose(0, 3, 1, 2))).float()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (lite_unet.MEAN_RGB, lite_unet.STD_RGB))
    return (rgb - mean) / std
