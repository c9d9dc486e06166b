"""TinyViT-5M, an image encoder (Wu et al., ECCV 2022), its last stages at stride 16.

The strides and the neck are those of MobileSAM (Zhang et al., "Faster Segment Anything", 2023), whose weights
`networks.lite_clicks.mobile_sam_state` reads.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dextr_vos.cpu_layers import biased_attention, conv_gelu

MEAN_RGB = (123.675, 116.28, 103.53)
STD_RGB = (58.395, 57.12, 57.375)

# of the maps at strides 2, 4, 8 and 16
HALF_CHANNELS, QUARTER_CHANNELS, EIGHTH_CHANNELS, EMBEDDING = 32, 64, 128, 256

_CHANNELS = (64, 128, 160, 320)
_DEPTHS = (2, 2, 6, 2)
_HEADS = (2, 4, 5, 10)
_WINDOWS = (7, 7, 14, 7)
_STRIDES = (4, 8, 16, 16)
_EXPANSION = 4


class TinyVit(nn.Module):
    """From an image to an embedding and the finer maps before it.

    Batch norms keep the statistics they were pretrained with, also while the network is trained.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNorm(3, HALF_CHANNELS, 3, 2))  # its weights are named stem.0
        self.patches = ConvNorm(HALF_CHANNELS, QUARTER_CHANNELS, 3, 2)
        self.stages = nn.ModuleList()
        self.merges = nn.ModuleList()
        for stage, (channels, depth) in enumerate(zip(_CHANNELS, _DEPTHS, strict=True)):
            heads, window = _HEADS[stage], _WINDOWS[stage]
            blocks = [
                _InvertedBottleneck(channels) if stage == 0 else _Block(channels, heads, window)
                for _ in range(depth)
            ]
            self.stages.append(nn.Sequential(*blocks))
            if stage + 1 < len(_CHANNELS):
                stride = _STRIDES[stage + 1] // _STRIDES[stage]
                self.merges.append(_PatchMerging(channels, _CHANNELS[stage + 1], stride))
        self.neck = nn.Sequential(
            nn.Conv2d(_CHANNELS[-1], EMBEDDING, 1, bias=False),
            LayerNorm2d(EMBEDDING),
            nn.Conv2d(EMBEDDING, EMBEDDING, 3, padding=1, bias=False),
            LayerNorm2d(EMBEDDING),
        )
        self.train()  # a new module is in training mode without having been asked; see the class

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maps of an image.

        Args:
            image: N×3×H×W, normalized with `MEAN_RGB` and `STD_RGB`; H and W are multiples of 16, and no
                work is wasted on padding where they are multiples of 224.

        Returns:
            Maps at strides 2, 4, 8 and 16 with 32, 64, 128 and 256 channels.
        """
        half = cast(ConvNorm, self.stem[0]).gelu(image)
        quarter = self.stages[0](self.patches(half))
        eighth = self.stages[1](self.merges[0](quarter))
        x = self.stages[2](self.merges[1](eighth))
        x = self.stages[3](self.merges[2](x))
        return half, quarter, eighth, self.neck(x)

    def train(self, mode: bool = True) -> "TinyVit":
        """See the class on batch norms."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.SyncBatchNorm)):
                module.eval()
        return self


def fold_constants(encoder: TinyVit) -> None:
    """Compute once what does not depend on the image, in place: the same function, faster.

    Batch norms go into the convolution before them, and the biases of attention are looked up.
    """
    for module in encoder.modules():
        if isinstance(module, ConvNorm | _WindowAttention):
            module.fold()


class ConvNorm(nn.Sequential):
    """A convolution without bias, and a batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(outputs))

    def gelu(self, x: Tensor) -> Tensor:
        """GELU of the output, N×C×H×W."""
        convolution, norm = self
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.Identity):
            return conv_gelu(convolution, x)
        return F.gelu(self(x))

    def fold(self) -> None:
        """See `fold_constants`."""
        convolution, norm = self
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            self[0] = fuse_conv_bn_eval(convolution.eval(), norm.eval())
            self[1] = nn.Identity()


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of every pixel of an N×C×H×W map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The map, normalized."""
        channels_last = x.permute(0, 2, 3, 1)
        return F.layer_norm(channels_last, x.shape[1:2], self.weight, self.bias, 1e-6).permute(0, 3, 1, 2)


class _InvertedBottleneck(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels * _EXPANSION
        self.expand = ConvNorm(channels, hidden)
        self.depthwise = ConvNorm(hidden, hidden, 3, groups=hidden)
        self.project = ConvNorm(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.depthwise.gelu(self.expand.gelu(x))
        return F.gelu(self.project(hidden) + x)


class _PatchMerging(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.expand = ConvNorm(inputs, outputs)
        self.depthwise = ConvNorm(outputs, outputs, 3, stride, groups=outputs)
        self.project = ConvNorm(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.project(self.depthwise.gelu(self.expand.gelu(x)))
        return merged


class _Block(nn.Module):
    """Attention in windows, a depthwise convolution over their borders, and an MLP."""

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.attention = _WindowAttention(channels, heads, window)
        self.local = ConvNorm(channels, channels, 3, groups=channels)
        self.mlp = nn.Sequential(
            nn.LayerNorm(channels),
            nn.Linear(channels, _EXPANSION * channels),
            nn.GELU(),
            nn.Linear(_EXPANSION * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.permute(0, 2, 3, 1)
        tokens = tokens + self._attended(tokens)
        tokens = self.local(tokens.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        mixed: Tensor = tokens + self.mlp(tokens)
        return mixed.permute(0, 3, 1, 2)

    def _attended(self, tokens: Tensor) -> Tensor:
        count, height, width, channels = tokens.shape
        side = self.window
        padded = F.pad(tokens, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = padded.shape[1] // side, padded.shape[2] // side
        windows = padded.view(count, rows, side, columns, side, channels).transpose(2, 3)
        attended = self.attention(windows.reshape(-1, side * side, channels))
        joined = attended.view(count, rows, columns, side, side, channels).transpose(2, 3)
        whole: Tensor = joined.reshape(padded.shape)
        return whole[:, :height, :width]


class _WindowAttention(nn.Module):
    """Self-attention with a learned bias for every distance |Δy|, |Δx| within a window."""

    index: Tensor

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.project = nn.Linear(channels, channels)
        self.biases = nn.Parameter(torch.zeros(heads, window * window))
        places = torch.arange(window)
        row, column = places.repeat_interleave(window), places.repeat(window)
        index = (row[:, None] - row).abs() * window + (column[:, None] - column).abs()
        self.register_buffer("index", index, persistent=False)
        self._looked_up: Tensor | None = None

    def fold(self) -> None:
        """See `fold_constants`."""
        self._looked_up = self.biases.detach()[:, self.index]

    def forward(self, x: Tensor) -> Tensor:
        count, length, channels = x.shape
        heads = self.qkv(self.norm(x)).view(count, length, self.heads, -1).transpose(1, 2)
        query, key, value = heads.chunk(3, dim=-1)
        biases = self.biases[:, self.index] if self._looked_up is None else self._looked_up
        bias = biases.to(query.dtype)[None]
        attended = biased_attention(query, key, value, bias)
        joined: Tensor = self.project(attended.transpose(1, 2).reshape(count, length, channels))
        return joined
