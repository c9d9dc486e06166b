"""OSVOS: from a frame to the logits of its objects, and its optimizers.

Caelles, Maninis, Pont-Tuset, Leal-Taixé, Cremers, Van Gool, "One-Shot Video Object Segmentation", CVPR 2017:
VGG-16 without its classifier, side outputs of four stages, fused at full size. Names of modules are those of
the published parent network.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError

# subtracted from blue, green and red in 0…255
MEAN_BGR = (104.00699, 116.66877, 122.67892)

_STAGE_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
_SIDE_WIDTH = 16


class Osvos(nn.Module):
    """VGG-16 with four side outputs, fused.

    Args:
        num_objects: score channels K, one an object. With 1 the network is the published one; with more,
            `score_dsn` and `fuse` have K rows and all else is shared.

    Raises:
        InputError: `num_objects` is less than 1.
    """

    def __init__(self, num_objects: int = 1) -> None:
        super().__init__()
        if num_objects < 1:
            raise InputError(f"OSVOS segments at least one object, not {num_objects}")
        factors = [2 ** (i + 1) for i in range(4)]
        self.upscale = nn.ModuleList(_bilinear(_SIDE_WIDTH, factor) for factor in factors)
        self.upscale_ = nn.ModuleList(_bilinear(1, factor) for factor in factors)
        self.stages = nn.ModuleList(_stage(index) for index in range(5))
        self.side_prep = nn.ModuleList(
            nn.Conv2d(widths[-1], _SIDE_WIDTH, 3, padding=1) for widths in _STAGE_WIDTHS[1:]
        )
        self.score_dsn = nn.ModuleList(nn.Conv2d(_SIDE_WIDTH, num_objects, 1) for _ in range(4))
        self.fuse = nn.Conv2d(4 * _SIDE_WIDTH, num_objects, 1)
        for conv in (*self.side_prep, *self.score_dsn, self.fuse):
            _near_zero(conv)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Logits of the four sides and of their fusion.

        Args:
            frames: N×3×H×W float, blue, green, red minus the mean (`osvos_input`); any size.

        Returns:
            Five tensors N×K×H×W: the side scores from fine to coarse, then the fused score.
        """
        size_hw = (frames.shape[-2], frames.shape[-1])
        scores, prepared = [], []
        x = self.stages[0](frames)  # 64, H
        for i in range(4):
            x = self.stages[i + 1](x)  # 128 at H/2, 256 at H/4, 512 at H/8, 512 at H/16
            side = self.side_prep[i](x)  # 16
            prepared.append(_crop_centre(self.upscale[i](side), size_hw))
            score = self.score_dsn[i](side)  # K
            # objects become samples, so that one 1→1 kernel serves them all
            upscaled = self.upscale_[i](score.flatten(0, 1).unsqueeze(1))
            scores.append(_crop_centre(upscaled, size_hw).reshape(len(frames), -1, *size_hw))
        return [*scores, self.fuse(torch.cat(prepared, dim=1))]


def osvos_input(images_rgb: npt.NDArray[np.uint8]) -> Tensor:
    """What `Osvos` takes: blue, green, red minus the mean.

    Args:
        images_rgb: N×H×W×3 uint8.

    Returns:
        N×3×H×W float32 on the CPU.

    Raises:
        InputError: another shape or type.
    """
    if images_rgb.ndim != 4 or images_rgb.shape[3] != 3 or images_rgb.dtype != np.uint8:
        raise InputError(f"expected frames N×H×W×3 uint8, got {images_rgb.shape} {images_rgb.dtype}")
    bgr = torch.from_numpy(np.ascontiguousarray(images_rgb[..., ::-1].transpose(0, 3, 1, 2)))
    return bgr.float() - torch.tensor(MEAN_BGR).view(1, 3, 1, 1)


def online_optimizer(network: Osvos, lr: float = 1e-8) -> torch.optim.SGD:
    """SGD for fine-tuning on one clip, with the release's rates.

    Momentum 0.9; weight decay 2e-4 on weights only; biases twice as fast; `fuse` a hundredth. `score_dsn`
    is not in it, and neither is `upscale`, which never learns.

    Args:
        network: moved to its device already.
        lr: for a loss summed over the pixels of one frame.
    """
    return _sgd(network, lr, {"stages": 1, "side_prep": 1, "fuse": 0.01})


def parent_optimizer(network: Osvos, lr: float = 1e-8) -> torch.optim.SGD:
    """SGD for the parent network: as `online_optimizer`, and `score_dsn` learns at a tenth."""
    return _sgd(network, lr, {"stages": 1, "side_prep": 1, "score_dsn": 0.1, "fuse": 0.01})


def _sgd(network: Osvos, lr: float, rates: Mapping[str, float]) -> torch.optim.SGD:
    groups: list[dict[str, Any]] = []
    for name, rate in rates.items():
        module = network.get_submodule(name)
        weights = [p for key, p in module.named_parameters() if key.endswith("weight")]
        biases = [p for key, p in module.named_parameters() if key.endswith("bias")]
        groups.append({"name": f"{name}.weight", "params": weights, "lr": rate * lr, "weight_decay": 2e-4})
        groups.append({"name": f"{name}.bias", "params": biases, "lr": 2 * rate * lr, "weight_decay": 0.0})
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


def _stage(index: int) -> nn.Sequential:
    layers: list[nn.Module] = [nn.MaxPool2d(2, stride=2, ceil_mode=True)] if index > 0 else []
    in_channels = 3 if index == 0 else _STAGE_WIDTHS[index - 1][-1]
    for width in _STAGE_WIDTHS[index]:
        conv = nn.Conv2d(in_channels, width, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
        if conv.bias is not None:
            nn.init.zeros_(conv.bias)
        layers += [conv, nn.ReLU(inplace=True)]
        in_channels = width
    return nn.Sequential(*layers)


def _near_zero(conv: nn.Module) -> None:
    # side features of ImageNet's stages are in the hundreds: small weights keep the first logits near zero
    for name, parameter in conv.named_parameters():
        if name == "weight":
            nn.init.normal_(parameter, std=1e-3)
        else:
            nn.init.zeros_(parameter)


def _bilinear(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Up-sampling by `factor`, each channel to itself, as a transposed convolution that never learns."""
    kernel = 2 * factor
    ramp = 1 - (torch.arange(kernel) - (factor - 0.5)).abs() / factor
    conv = nn.ConvTranspose2d(channels, channels, kernel, stride=factor, bias=False)
    weight = torch.eye(channels)[:, :, None, None] * torch.outer(ramp, ramp)
    conv.weight = nn.Parameter(weight, requires_grad=False)
    return conv


def _crop_centre(x: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """Cut N×C×h×w to the size; an odd surplus pixel goes at the bottom and right."""
    top = (x.shape[-2] - size_hw[0]) // 2
    left = (x.shape[-1] - size_hw[1]) // 2
    return x[..., top : top + size_hw[0], left : left + size_hw[1]]
