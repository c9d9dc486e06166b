"""Encoder and decoder of both lite networks: a small residual encoder, and a decoder back to stride 2.

Residual blocks after He et al., CVPR 2016, with an average-pooled shortcut (He et al., CVPR 2019), in the
shape of U-Net (Ronneberger et al., MICCAI 2015). Plain 3×3 convolutions: on a CPU they are
faster at equal accuracy than depthwise ones.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 192, 256)
DEPTHS = (2, 3, 3, 2)
DECODER_WIDTHS = (96, 64, 48, 32)

# mean and standard deviation of natural images in 0…255, red, green, blue
MEAN_RGB = (123.7, 116.3, 103.5)
STD_RGB = (58.4, 57.1, 57.4)


class LiteEncoder(nn.Module):
    """Five stages, each at half the resolution of the one before.

    Args:
        input_channels: of the image and the maps beside it.
    """

    def __init__(self, input_channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv_norm(input_channels, WIDTHS[0], stride=2), conv_norm(WIDTHS[0], WIDTHS[0])
        )
        self.stages = nn.ModuleList(
            nn.Sequential(Residual(narrow, wide, stride=2), *(Residual(wide, wide) for _ in range(depth - 1)))
            for narrow, wide, depth in zip(WIDTHS[:-1], WIDTHS[1:], DEPTHS, strict=True)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of N×C×H×W at strides 2, 4, 8, 16, 32, with `WIDTHS` channels."""
        features = [self.stem(x)]
        for stage in self.stages:
            features.append(stage(features[-1]))
        return features


class LiteDecoder(nn.Module):
    """From the encoder's features back to stride 2, one stride at a time.

    Args:
        hints: channels of further maps that are concatenated at every stride.
        blocks: residual blocks after the coarsest merge.
    """

    def __init__(self, hints: int = 0, blocks: int = 0) -> None:
        super().__init__()
        below = (WIDTHS[-1], *DECODER_WIDTHS[:-1])
        beside = WIDTHS[-2::-1]
        self.reduce = nn.ModuleList(
            conv_norm(wide, narrow, kernel=1) for wide, narrow in zip(below, DECODER_WIDTHS, strict=True)
        )
        self.merge = nn.ModuleList(
            nn.Sequential(conv_norm(narrow + skip + hints, narrow), conv_norm(narrow, narrow))
            for narrow, skip in zip(DECODER_WIDTHS, beside, strict=True)
        )
        coarsest = DECODER_WIDTHS[0]
        self.blocks = nn.Sequential(*(Residual(coarsest, coarsest) for _ in range(blocks)))

    def forward(self, features: Sequence[Tensor], hints: Sequence[Tensor] = ()) -> list[Tensor]:
        """Features at strides 16, 8, 4, 2, with `DECODER_WIDTHS` channels.

        Args:
            features: of `LiteEncoder`.
            hints: the further maps at strides 16, 8, 4, 2.
        """
        x = features[-1]
        decoded: list[Tensor] = []
        for stage, skip in enumerate(features[-2::-1]):
            x = F.interpolate(self.reduce[stage](x), size=skip.shape[-2:], mode="nearest")
            x = self.merge[stage](torch.cat([x, skip, *hints[stage : stage + 1]], dim=1))
            x = x if stage else self.blocks(x)
            decoded.append(x)
        return decoded


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut.

    Args:
        narrow: channels in.
        wide: channels out.
        stride: of the first convolution and of the shortcut.
    """

    def __init__(self, narrow: int, wide: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = conv_norm(narrow, wide, stride=stride)
        self.conv2 = nn.Sequential(nn.Conv2d(wide, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide))
        same = stride == 1 and narrow == wide
        self.shortcut: nn.Module = nn.Identity() if same else _projection(narrow, wide, stride)

    def forward(self, x: Tensor) -> Tensor:
        """N×narrow×H×W to N×wide×⌈H/stride⌉×⌈W/stride⌉."""
        return F.relu(self.conv2(self.conv1(x)) + self.shortcut(x), inplace=True)


def conv_norm(narrow: int, wide: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with batch normalization and ReLU."""
    return nn.Sequential(
        nn.Conv2d(narrow, wide, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(wide),
        nn.ReLU(inplace=True),
    )


def _projection(narrow: int, wide: int, stride: int) -> nn.Sequential:
    # the mean uses every pixel, where a strided 1×1 convolution would drop three of four
    pool: nn.Module = nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity()
    return nn.Sequential(pool, nn.Conv2d(narrow, wide, 1, bias=False), nn.BatchNorm2d(wide))
