"""The lite propagation network: a small residual encoder with the side outputs and the fused score of OSVOS.

It follows Caelles et al., CVPR 2017, with an encoder that is quick on a CPU and learns from few pictures:
group normalisation (batches are tiny), strides down to 32, side maps fused at stride 2.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (24, 40, 80, 128, 160)
DEPTHS = (1, 2, 2, 2, 1)
SIDE_WIDTH = 16
GROUP_WIDTH = 8

# mean and standard deviation of natural pictures in 0…255, red, green, blue
_MEAN_RGB = (123.7, 116.3, 103.5)
_STD_RGB = (58.4, 57.1, 57.4)


class LitePropagation(nn.Module):
    """Encoder of five stages; every stage gives side features and a side score, all sides give the fused one.

    Args:
        num_objects: score channels K, one an object.
    """

    def __init__(self, num_objects: int = 1) -> None:
        super().__init__()
        inputs = (3, *WIDTHS[:-1])
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(narrow, wide, stride=2), *(Residual(wide, wide) for _ in range(depth - 1)))
            for narrow, wide, depth in zip(inputs, WIDTHS, DEPTHS, strict=True)
        )
        self.side_prep = nn.ModuleList(_conv_norm(width, SIDE_WIDTH, kernel=3) for width in WIDTHS)
        self.score_dsn = nn.ModuleList(nn.Conv2d(SIDE_WIDTH, num_objects, 1) for _ in WIDTHS)
        self.mix = _conv_norm(SIDE_WIDTH * len(WIDTHS), 2 * SIDE_WIDTH, kernel=3)
        self.fuse = nn.Conv2d(2 * SIDE_WIDTH, num_objects, 1)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Logits of the five sides and of their fusion.

        Args:
            frames: N×3×H×W float, normalised (`lite_input`); any size from 32 pixels up.

        Returns:
            Six tensors N×K×H×W: the side scores from fine to coarse, then the fused score.
        """
        size_hw = (frames.shape[-2], frames.shape[-1])
        scores: list[Tensor] = []
        sides: list[Tensor] = []
        x = frames
        for stage, prep, score in zip(self.stages, self.side_prep, self.score_dsn, strict=True):
            x = stage(x)  # H/2, H/4, … H/32
            side = prep(x)
            sides.append(side if not sides else _resized(side, (sides[0].shape[-2], sides[0].shape[-1])))
            scores.append(_resized(score(side), size_hw))
        fused = self.fuse(self.mix(torch.cat(sides, dim=1)))  # H/2
        return [*scores, _resized(fused, size_hw)]


class Residual(nn.Module):
    """Two 3×3 convolutions with group normalisation and a short cut (He et al., CVPR 2016).

    Args:
        narrow: channels in.
        wide: channels out.
        stride: of the first convolution and of the short cut.
    """

    def __init__(self, narrow: int, wide: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv_norm(narrow, wide, kernel=3, stride=stride)
        self.conv2 = nn.Sequential(
            nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.GroupNorm(wide // GROUP_WIDTH, wide)
        )
        same = stride == 1 and narrow == wide
        self.shortcut: nn.Module = nn.Identity() if same else _projection(narrow, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N×narrow×H×W to N×wide×(H/stride)×(W/stride)."""
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


def lite_input(images_rgb: npt.NDArray[np.uint8]) -> Tensor:
    """What `LitePropagation` takes.

    Args:
        images_rgb: N×H×W×3 uint8.

    Returns:
        N×3×H×W float32 on the CPU, each channel about zero mean and unit deviation.
    """
    rgb = torch.from_numpy(np.ascontiguousarray(images_rgb.transpose(0, 3, 1, 2))).float()
    return (rgb - torch.tensor(_MEAN_RGB).view(1, 3, 1, 1)) / torch.tensor(_STD_RGB).view(1, 3, 1, 1)


def _conv_norm(narrow: int, wide: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.GroupNorm(wide // GROUP_WIDTH, wide),
        nn.ReLU(inplace=True),
    )


def _projection(narrow: int, wide: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(narrow, wide, 1, stride=stride, bias=False), nn.GroupNorm(wide // GROUP_WIDTH, wide)
    )


def _resized(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size=size_hw, mode="bilinear", align_corners=False)
