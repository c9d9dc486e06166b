"""Backbones trained on ImageNet as the start of the paper's networks: torchvision's, Caffe's, Deeplab's.

Weights come from torchvision (`imagenet_state`) or from files that others published. Their normalization of
colours is folded into the first convolution, since DEXTR and OSVOS take colours in 0…255.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.matlab import read_matlab
from dextr_vos.networks.dextr import Dextr
from dextr_vos.networks.keras_file import import_h5py
from dextr_vos.networks.osvos import MEAN_BGR, Osvos

IMAGENET = "imagenet"  # in place of a path: download torchvision's weights

_MAX_BYTES = 1 << 30
_MATLAB_7_3 = b"MATLAB 7.3"  # the files that are HDF5

Backbone = Literal["resnet101", "vgg16"]


def imagenet_state(backbone: Backbone) -> dict[str, Tensor]:
    """Torchvision's weights of a backbone, from its cache or downloaded.

    Raises:
        WeightsError: they are not in the cache and cannot be downloaded.
    """
    weights = _torchvision_weights(backbone)
    try:
        return dict(weights.get_state_dict(progress=False, check_hash=True))
    except (OSError, RuntimeError) as error:
        raise WeightsError(
            f"cannot download torchvision's {backbone} ({error}); fetch {weights.url} on another machine and "
            "give the file as start=FILE"
        ) from None


def load_backbone(network: Dextr, state: Mapping[str, Tensor]) -> None:
    """Start everything but the head from a ResNet of three channels, as the release does from Deeplab-v2.

    The heat map's weights in the first convolution become zero, the head stays as it is.

    Args:
        network: changed in place; only when all weights fit.
        state: with the release's names, perhaps with a prefix such as `Scale.`; other keys are ignored. Made
            for red, green and blue in 0…255, as far as its first batch norm cannot mend that in training.

    Raises:
        WeightsError: a weight of the backbone is missing or has another shape.
    """
    named = (
        key.removesuffix("layer1.0.conv1.weight") for key in state if key.endswith("layer1.0.conv1.weight")
    )
    prefix = next(named, "")
    full = network.state_dict()
    for key, tensor in full.items():
        found = state.get(prefix + key)
        if key.startswith("layer5.") or (found is None and key.endswith("num_batches_tracked")):
            continue
        if found is not None and key == "conv1.weight" and found.shape[1:2] == (3,):
            found = torch.cat([found, torch.zeros_like(found[:, :1])], dim=1)
        if found is None or found.shape != tensor.shape:
            expected, got = tuple(tensor.shape), "nothing" if found is None else str(tuple(found.shape))
            raise WeightsError(f"this is no start of a ResNet-101: expected {key} {expected}, got {got}")
        full[key] = found
    network.load_state_dict(full)


def load_torchvision_resnet(network: Dextr, state: Mapping[str, Tensor]) -> None:
    """Start the backbone from torchvision's ResNet-101, whose strides sit elsewhere; see `load_backbone`.

    That network was trained on colours in 0…1, normalized. Scale and mean are folded into the first
    convolution and its batch norm, so that both compute the same, but for one step of zero padding.

    Args:
        network: changed in place; only when all weights fit.
        state: of `torchvision.models.resnet101`; `fc.*` is left out.

    Raises:
        WeightsError: a weight of the backbone is missing or has another shape.
    """
    folded = dict(state)
    kernel, running_mean = state.get("conv1.weight"), state.get("bn1.running_mean")
    fits = kernel is not None and kernel.shape[1:2] == (3,)
    if kernel is not None and running_mean is not None and fits and running_mean.shape == kernel.shape[:1]:
        mean, std = _mean_std_rgb("resnet101", kernel.dtype)
        folded["bn1.running_mean"] = running_mean + (kernel * mean / std).sum((1, 2, 3))
        folded["conv1.weight"] = kernel / (255 * std)
    load_backbone(network, folded)


def load_torchvision_vgg(network: Osvos, state: Mapping[str, Tensor]) -> None:
    """Start the stages from torchvision's VGG-16.

    That network was trained on red, green and blue in 0…1, normalized. Order, scale and mean are folded
    into the first convolution, so that with `osvos_input` it computes the same function. Only within one
    pixel of the border values differ a little: zero padding stands for MEAN_BGR here, for torchvision's
    mean there (they differ by less than one grey level).

    Args:
        network: changed in place; only when all weights fit.
        state: with the keys `features.N.weight` and `features.N.bias`; others are ignored.

    Raises:
        WeightsError: a convolution is missing or has another shape.
    """
    layers = sorted(int(key.split(".")[1]) for key in state if _is_feature_weight(key))
    weights = [state[f"features.{n}.weight"].detach().double() for n in layers]
    biases = [state.get(f"features.{n}.bias", torch.empty(0)).detach().double() for n in layers]
    if weights and weights[0].shape[1:] == (3, 3, 3) and biases[0].shape == weights[0].shape[:1]:
        mean, std = _mean_std_rgb("vgg16", torch.float64)
        grey = torch.tensor(MEAN_BGR[::-1], dtype=torch.float64).view(3, 1, 1)
        biases[0] = biases[0] + (weights[0] * ((grey / 255 - mean) / std)).sum((1, 2, 3))
        weights[0] = (weights[0] / (255 * std)).flip(1)
    _fill_stages(network, weights, biases, "the torchvision VGG-16 state dict")


def load_caffe_vgg(network: Osvos, path: Path) -> None:
    """Start the stages from Caffe's VGG-16, `vgg_caffe.mat`.

    Args:
        network: changed in place; only when all weights fit.
        path: a MATLAB file with the cell arrays `weights` and `biases`, one cell a convolution; kernels as
            Caffe's MATLAB interface gives them, width×height×in×out.

    Raises:
        InputError: the file has MATLAB's version 7.3, and h5py is not installed.
        WeightsError: the file is missing or broken, or holds other shapes.
    """
    if not path.exists():
        raise WeightsError(f"there are no weights {path}")
    try:
        kernels, offsets = _matlab_cells(path, ("weights", "biases"))
        weights = [torch.from_numpy(np.array(kernel)) for kernel in kernels]
        biases = [torch.from_numpy(np.array(offset.ravel())) for offset in offsets]
    except InputError:
        raise
    except KeyError as error:
        raise WeightsError(f"{path} has no array {error}; expected vgg_caffe.mat of OSVOS") from None
    except Exception as error:  # h5py raises many kinds on a broken file
        raise WeightsError(
            f"cannot read {path} as a MATLAB file: {error}; fetch vgg_caffe.mat again"
        ) from error
    _fill_stages(network, weights, biases, str(path))


def _matlab_cells(path: Path, names: Sequence[str]) -> list[list[npt.NDArray[np.generic]]]:
    """The arrays in each of some cell arrays, their axes in reverse order."""
    with path.open("rb") as file:
        is_hdf5 = file.read(len(_MATLAB_7_3)) == _MATLAB_7_3
    if not is_hdf5:
        arrays = read_matlab(path, names, _MAX_BYTES)
        return [[np.asarray(cell).T for cell in arrays[name]] for name in names]
    with import_h5py(path).File(path, "r") as opened:
        absent = [name for name in names if name not in opened]
        if absent:
            raise KeyError(absent[0])
        # the axes of HDF5 are those of MATLAB in reverse order
        return [[np.asarray(opened[cell]) for cell in opened[name][()].ravel()] for name in names]


def _torchvision_weights(backbone: Backbone) -> Any:
    from torchvision.models import ResNet101_Weights, VGG16_Weights

    return {"resnet101": ResNet101_Weights, "vgg16": VGG16_Weights}[backbone].IMAGENET1K_V1


def _mean_std_rgb(backbone: Backbone, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of red, green and blue in 0…1 that the weights expect, 3×1×1 each."""
    transforms = _torchvision_weights(backbone).transforms()
    mean, std = (torch.tensor(values, dtype=dtype) for values in (transforms.mean, transforms.std))
    return mean.view(3, 1, 1), std.view(3, 1, 1)


def _is_feature_weight(key: str) -> bool:
    return key.startswith("features.") and key.endswith(".weight") and key.split(".")[1].isdigit()


def _fill_stages(network: Osvos, weights: list[Tensor], biases: list[Tensor], source: str) -> None:
    convs = [module for module in network.stages.modules() if isinstance(module, nn.Conv2d)]
    if not len(weights) == len(biases) == len(convs):
        raise WeightsError(
            f"expected {len(convs)} convolutions of VGG-16 in {source}, got {len(weights)} kernels "
            f"and {len(biases)} biases"
        )
    for index, (conv, weight, bias) in enumerate(zip(convs, weights, biases, strict=True)):
        expected = (tuple(conv.weight.shape), (conv.out_channels,))
        if (tuple(weight.shape), tuple(bias.shape)) != expected:
            raise WeightsError(
                f"convolution {index + 1} of VGG-16 in {source} has kernel {tuple(weight.shape)} and bias "
                f"{tuple(bias.shape)}, expected {expected[0]} and {expected[1]}"
            )
    with torch.no_grad():
        for conv, weight, bias in zip(convs, weights, biases, strict=True):
            conv.weight.copy_(weight)
            if conv.bias is not None:
                conv.bias.copy_(bias)
