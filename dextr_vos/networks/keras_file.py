"""DEXTR's published Keras weights (`.h5`), as a state with the names of the published PyTorch checkpoints.

The layers have the names of the authors' Keras release, `res2a_branch2a` or `class_psp_reduce_conv`. Kernels
are height×width×in×out there, out×in×height×width here. That network pools its 6×6 bins at a stride of 9,
where the PyTorch one, from which its weights were converted, pools adaptively; networks here do the latter.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.checkpoint_file import FETCH_AGAIN

# of a layer's arrays in Keras: the parameter here
_PARAMETERS = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_END_AT = {0: 40, 1: 44, 2: 28, 3: 28}  # by the version of the superblock, where the end of the file is
_MOST_VALUES = 5 * 10**7  # of an array; the largest of DEXTR has 9 million
_BRANCHES = {"2a": "1", "2b": "2", "2c": "3"}
_PSP_STAGES = {"1": 0, "2": 1, "3": 2, "6": 3}
_NAMED = {
    "conv1": "conv1",
    "bn_conv1": "bn1",
    "class_psp_reduce_conv": "layer5.bottleneck.0",
    "class_psp_reduce_bn": "layer5.bottleneck.1",
    "class_psp_final_conv": "layer5.final",
}


def read_keras(path: Path) -> dict[str, Tensor]:
    """Read the weights of DEXTR from a Keras file.

    Args:
        path: written by `save_weights` of Keras 2, or by `save` of Keras 2 or 3 with the suffix `.h5`.

    Returns:
        float32 tensors by the keys of the published PyTorch checkpoints, without `num_batches_tracked`.

    Raises:
        InputError: h5py is not installed.
        WeightsError: the file is broken, or holds other layers.
    """
    h5py = import_h5py(path)
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            if not isinstance(layers, h5py.Group):
                raise ValueError("model_weights is an array")
            return dict(_tensors(layers, path))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise WeightsError(f"{path} is not a Keras file or is broken ({error}); {FETCH_AGAIN}") from None


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does."""
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5


def check_whole(path: Path) -> None:
    """Refuse an HDF5 file that is cut; needs no h5py.

    The superblock has the address where the file ends (HDF5 File Format Specification, II.A).

    Raises:
        WeightsError: the file is shorter than it says, or the superblock is broken.
    """
    with path.open("rb") as file:
        start = file.read(64)
    at = _END_AT.get(start[8]) if len(start) == 64 else None
    size = path.stat().st_size
    end = int.from_bytes(start[at : at + 8], "little") if at else None
    if end is None or size < end:
        raise WeightsError(f"{path} has {size} bytes, expected {end or 'an HDF5 file'}; {FETCH_AGAIN}")


def import_h5py(path: Path) -> Any:
    """The module h5py.

    Args:
        path: the file that needs it, for the message.

    Raises:
        InputError: it is not installed.
    """
    try:
        import h5py
    except ImportError:
        raise InputError(
            f'reading {path} needs h5py; install it with: pip install "dextr-vos[keras]"'
        ) from None
    return h5py


def _tensors(layers: Any, path: Path) -> Iterator[tuple[str, Tensor]]:
    """The key and tensor of every array."""
    arrays: dict[str, Any] = {}
    layers.visititems(lambda name, found: arrays.update({name: found}) if hasattr(found, "shape") else None)
    if not arrays:
        raise WeightsError(f"{path} holds no weights; expected those of DEXTR's Keras release")
    for name, array in arrays.items():
        # conv1/conv1/kernel:0 of Keras 2, conv1/conv1/kernel of Keras 3
        layer, parameter = name.split("/")[0], name.split("/")[-1].partition(":")[0]
        module = _module(layer)
        if module is None or parameter not in _PARAMETERS:
            raise WeightsError(
                f"{path} holds {name}, expected the layers of DEXTR's Keras release (conv1, "
                "res2a_branch2a, …, class_psp_final_conv); other Keras networks are not read"
            )
        if array.size > _MOST_VALUES:
            raise WeightsError(f"{path} has {array.size} values in {name}, which no layer of DEXTR has")
        values = np.asarray(array, dtype=np.float32)
        if parameter == "kernel" and values.ndim == 4:
            values = values.transpose(3, 2, 0, 1)
        yield f"{module}.{_PARAMETERS[parameter]}", torch.from_numpy(np.ascontiguousarray(values))


def _module(layer: str) -> str | None:
    """The module of a layer of Keras, such as `layer1.0.conv1` of `res2a_branch2a`; None of any other."""
    if layer in _NAMED:
        return _NAMED[layer]
    if block := re.fullmatch(r"(res|bn)([2-5])([a-z])_branch(1|2[abc])", layer):
        kind, stage, letter, branch = block.groups()
        inner = f"{'conv' if kind == 'res' else 'bn'}{_BRANCHES[branch]}" if branch != "1" else ""
        projection = f"downsample.{int(kind == 'bn')}"
        return f"layer{int(stage) - 1}.{ord(letter) - ord('a')}.{inner or projection}"
    if stage := re.fullmatch(r"class_psp_([1236])_(conv|bn)", layer):
        return f"layer5.stages.{_PSP_STAGES[stage[1]]}.{1 if stage[2] == 'conv' else 2}"
    if classifier := re.fullmatch(r"class_atrous_([1-4])_conv", layer):
        return f"layer5.conv2d_list.{int(classifier[1]) - 1}"
    return None
