"""OSVOS's Caffe weights (`.caffemodel`), as a state with the names of the published PyTorch checkpoint.

A caffemodel is a `NetParameter` in Protocol Buffers; only names and arrays of its layers are declared here,
with the field numbers of Caffe's `caffe.proto`.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.checkpoint_file import FETCH_AGAIN

# message: (field, number, type, whether repeated); a type is one of these messages or of Protocol Buffers
_MESSAGES = {
    "NetParameter": (("layers", 2, "V1LayerParameter", True), ("layer", 100, "LayerParameter", True)),
    "LayerParameter": (("name", 1, "STRING", False), ("blobs", 7, "BlobProto", True)),
    "V1LayerParameter": (("name", 4, "STRING", False), ("blobs", 6, "BlobProto", True)),
    "BlobProto": (
        ("num", 1, "INT32", False),
        ("channels", 2, "INT32", False),
        ("height", 3, "INT32", False),
        ("width", 4, "INT32", False),
        ("data", 5, "FLOAT", True),
        ("shape", 7, "BlobShape", False),
    ),
    "BlobShape": (("dim", 1, "INT64", True),),
}
_PARAMETERS = ("weight", "bias")

Array = npt.NDArray[np.float32]


def read_caffemodel(path: Path) -> dict[str, Tensor]:
    """Read the weights of OSVOS, or of the VGG-16 it starts from, from a Caffe file.

    Args:
        path: a `.caffemodel` with the layers of OSVOS-caffe, `conv1_1` to `new-score-weighting`.

    Returns:
        float32 tensors by the keys of `Osvos`, as far as the file has them. The up-sampling, which is never
        trained, and the classifiers of VGG-16 are left out.

    Raises:
        InputError: protobuf is not installed.
        WeightsError: the file is missing, broken, or holds no such layer.
    """
    try:
        layers = _read_layers(path.read_bytes(), path)
    except FileNotFoundError:
        raise WeightsError(f"there is no checkpoint {path}") from None
    state = {}
    for layer, arrays in layers.items():
        module = _module(layer)
        if module is None:
            continue
        for parameter, array in zip(_PARAMETERS, arrays, strict=False):
            values = array if parameter == "weight" else array.ravel()
            state[f"{module}.{parameter}"] = torch.from_numpy(values)
    if "stages.0.0.weight" not in state:
        found = ", ".join(list(layers)[:3]) or "none"
        raise WeightsError(f"{path} has the layers {found}; expected conv1_1, … of VGG-16 or OSVOS")
    return state


def _module(layer: str) -> str | None:
    """The module of a layer of Caffe, such as `stages.1.1` of `conv2_1`; None of any other layer."""
    if conv := re.fullmatch(r"conv([1-5])_([1-3])", layer):
        stage, position = int(conv[1]) - 1, int(conv[2]) - 1
        return f"stages.{stage}.{2 * position + int(stage > 0)}"  # stages after the first begin with a pool
    if side := re.fullmatch(r"conv([2-5])_[23]_16", layer):
        return f"side_prep.{int(side[1]) - 2}"
    if score := re.fullmatch(r"score-dsn_([2-5])", layer):
        return f"score_dsn.{int(score[1]) - 2}"
    return "fuse" if layer == "new-score-weighting" else None


def _read_layers(content: bytes, path: Path) -> dict[str, list[Array]]:
    """The arrays of every layer that has some."""
    message = _net_parameter(path)
    from google.protobuf.message import DecodeError

    try:
        network = message.FromString(content)
        layers = [layer for layer in (*network.layers, *network.layer) if layer.blobs]
        names = [layer.name for layer in layers]
    except (DecodeError, UnicodeDecodeError):
        names = [b""]
    if any(isinstance(name, bytes) for name in names):  # what is not UTF-8, in some releases of protobuf
        raise WeightsError(f"{path} is not a caffemodel or is broken; {FETCH_AGAIN}")
    return {layer.name: [_array(blob, layer.name, path) for blob in layer.blobs] for layer in layers}


def _array(blob: Any, layer: str, path: Path) -> Array:
    shape = tuple(blob.shape.dim) or (blob.num, blob.channels, blob.height, blob.width)
    values = np.array(blob.data, dtype=np.float32)
    if min(shape) < 0 or values.size != np.prod(shape, dtype=object):
        raise WeightsError(f"{path} has {values.size} values in {layer}, expected {shape}; {FETCH_AGAIN}")
    return values.reshape(shape)


def _net_parameter(path: Path) -> Any:
    """The class of Caffe's message `NetParameter`, made of `_MESSAGES`."""
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ImportError:
        raise InputError(
            f'reading {path} needs protobuf; install it with: pip install "dextr-vos[caffe]"'
        ) from None
    kinds = descriptor_pb2.FieldDescriptorProto
    described = descriptor_pb2.FileDescriptorProto(name="caffe_weights.proto", package="caffe_weights")
    for name, fields in _MESSAGES.items():
        message = described.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".caffe_weights.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(described)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe_weights.NetParameter"))
