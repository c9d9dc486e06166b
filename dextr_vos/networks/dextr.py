"""DEXTR: from an image crop and a heat map of extreme points to the logits of one object.

Maninis, Caelles, Pont-Tuset, Van Gool, "Deep Extreme Cut", CVPR 2018: a ResNet-101 of output stride 8 with
the head of PSPNet (Zhao et al., CVPR 2017) or of Deeplab-v2 (Chen et al., PAMI 2018). Names of modules are
those of the published checkpoints.
"""

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dextr_vos.errors import InputError

Head = Literal["psp", "atrous"]

RESNET101_BLOCKS = (3, 4, 23, 3)
_LAYER_WIDTHS = (64, 128, 256, 512)
_LAYER_STRIDES = (1, 2, 1, 1)
_LAYER_DILATIONS = (1, 1, 2, 4)
_EXPANSION = 4
_PSP_BINS = (1, 2, 3, 6)
_PSP_WIDTH = 512
_ATROUS_DILATIONS = (6, 12, 18, 24)


class Bottleneck(nn.Module):
    """Residual block 1×1, 3×3, 1×1; the stride sits on the first 1×1, the dilation on the 3×3."""

    def __init__(self, in_channels: int, width: int, stride: int, dilation: int, project: bool) -> None:
        super().__init__()
        out_channels = width * _EXPANSION
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride=stride, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if project:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """N×in×h×w to N×4·width×h/stride×w/stride."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        x = self.bn3(self.conv3(x))
        return F.relu(x + shortcut, inplace=True)


class PspHead(nn.Module):
    """Pyramid scene parsing: what the crop's whole, quarters, ninths and 36ths hold, beside each feature."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(bins),
                nn.Conv2d(in_channels, _PSP_WIDTH, 1, bias=False),
                nn.BatchNorm2d(_PSP_WIDTH),
                nn.ReLU(inplace=True),
            )
            for bins in _PSP_BINS
        )
        self.bottleneck = nn.Sequential(
            nn.Conv2d(in_channels + len(_PSP_BINS) * _PSP_WIDTH, _PSP_WIDTH, 1, bias=False),
            nn.BatchNorm2d(_PSP_WIDTH),
            nn.ReLU(inplace=True),
        )
        self.final = nn.Conv2d(_PSP_WIDTH, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        """N×2048×h×w to logits N×1×h×w.

        Raises:
            InputError: one sample in training; the 1×1 pool then has no batch to normalize over.
        """
        if self.training and len(features) == 1:
            raise InputError(
                "the PSP head cannot be trained on a batch of 1 (the batch norm of its 1×1 pool needs two "
                "values); take a batch of at least 2, or put the network in eval()"
            )
        size = features.shape[-2:]
        pyramid = [
            F.interpolate(stage(features), size=size, mode="bilinear", align_corners=True)
            for stage in self.stages
        ]
        logits: Tensor = self.final(self.bottleneck(torch.cat([*pyramid, features], dim=1)))
        return logits


class AtrousHead(nn.Module):
    """Atrous spatial pyramid pooling: four dilated 3×3 classifiers, summed."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv2d_list = nn.ModuleList(
            nn.Conv2d(in_channels, 1, 3, padding=dilation, dilation=dilation)
            for dilation in _ATROUS_DILATIONS
        )

    def forward(self, features: Tensor) -> Tensor:
        """N×2048×h×w to logits N×1×h×w."""
        logits: Tensor = sum(conv(features) for conv in self.conv2d_list)
        return logits


class Dextr(nn.Module):
    """ResNet-101 of output stride 8 with a PSP or an atrous head.

    Args:
        head: "psp", as published, or "atrous".
        input_channels: 4 for R, G, B and the heat map; 3 for the paper's baseline without clicks.
        blocks: bottlenecks a layer; smaller numbers make small networks for tests.

    Raises:
        InputError: there is no such head.
    """

    def __init__(
        self,
        head: Head = "psp",
        input_channels: int = 4,
        blocks: tuple[int, int, int, int] = RESNET101_BLOCKS,
    ) -> None:
        super().__init__()
        if head not in get_args(Head):
            raise InputError(f"DEXTR has the heads {', '.join(get_args(Head))}, not {head!r}")
        self.conv1 = nn.Conv2d(input_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(0, blocks[0])
        self.layer2 = _layer(1, blocks[1])
        self.layer3 = _layer(2, blocks[2])
        self.layer4 = _layer(3, blocks[3])
        features = _LAYER_WIDTHS[-1] * _EXPANSION
        self.layer5: nn.Module = PspHead(features) if head == "psp" else AtrousHead(features)
        _initialize(self)
        freeze_backbone_norm(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits at an eighth of the input size.

        Args:
            inputs: N×4×H×W float, R, G, B and heat map in 0…255, neither centred nor scaled.

        Returns:
            N×1×⌈H/8⌉×⌈W/8⌉ logits; 64×64 for the paper's 512×512.
        """
        x = F.relu(self.bn1(self.conv1(inputs)), inplace=True)  # 64, H/2
        x = F.max_pool2d(x, 3, stride=2, padding=1)  # 64, H/4
        x = self.layer1(x)  # 256, H/4
        x = self.layer2(x)  # 512, H/8
        x = self.layer3(x)  # 1024, H/8
        x = self.layer4(x)  # 2048, H/8
        logits: Tensor = self.layer5(x)  # 1, H/8
        return logits


def upsample_logits(logits: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Logits at the size of the network's input, as the published masks were made.

    Args:
        logits: N×1×h×w, what `Dextr` returns.
        size_hw: height and width of the network's input, 512×512 in the paper.

    Returns:
        N×1×H×W logits, bilinear with the corners aligned; their sigmoid is the probability.
    """
    return F.interpolate(logits, size=size_hw, mode="bilinear", align_corners=True)


def freeze_backbone_norm(network: Dextr) -> None:
    """Let the scale and shift of the backbone's batch norms learn nothing, as in the release.

    Their running statistics still move in training, and the head's batch norms are trained. `Dextr` does
    this for itself; set `requires_grad` afterwards to train them all the same.
    """
    for name, module in network.named_modules():
        if isinstance(module, nn.BatchNorm2d) and not name.startswith("layer5."):
            module.requires_grad_(False)


def parameter_groups(network: Dextr, lr: float = 1e-8) -> list[dict[str, Any]]:
    """Parameters and learning rates for an optimizer: the backbone at `lr`, the head at ten times that.

    Args:
        network: its frozen parameters are left out.
        lr: per sample, for a loss summed over 512×512 pixels; the paper's is 1e-8.

    Returns:
        Two groups named "backbone" and "head".
    """
    return [
        {"name": "backbone", "params": list(_trained(network, head=False)), "lr": lr},
        {"name": "head", "params": list(_trained(network, head=True)), "lr": 10 * lr},
    ]


def paper_optimizer(network: Dextr, lr: float = 1e-8) -> torch.optim.SGD:
    """The paper's SGD: momentum 0.9, weight decay 5e-4, the head ten times as fast."""
    return torch.optim.SGD(parameter_groups(network, lr), lr=lr, momentum=0.9, weight_decay=5e-4)


def _trained(network: Dextr, head: bool) -> Iterator[nn.Parameter]:
    for name, parameter in network.named_parameters():
        if parameter.requires_grad and name.startswith("layer5.") == head:
            yield parameter


def _layer(index: int, blocks: int) -> nn.Sequential:
    width, stride, dilation = _LAYER_WIDTHS[index], _LAYER_STRIDES[index], _LAYER_DILATIONS[index]
    in_channels = 64 if index == 0 else _LAYER_WIDTHS[index - 1] * _EXPANSION
    first = Bottleneck(in_channels, width, stride, dilation, project=True)
    others = [Bottleneck(width * _EXPANSION, width, 1, dilation, project=False) for _ in range(blocks - 1)]
    return nn.Sequential(first, *others)


def _initialize(network: Dextr) -> None:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith("layer5."):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.01)  # Deeplab-v2: the head starts near zero
            if module.bias is not None:
                nn.init.zeros_(module.bias)
