"""DEXTR's Keras network, built and saved by Keras itself: what it computes and what is read from its file."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_weights import set_golden_weights

from dextr_vos.networks.checkpoints import load_into, read_state_dict
from dextr_vos.networks.convert import convert
from dextr_vos.networks.dextr import RESNET101_BLOCKS, Dextr
from dextr_vos.networks.keras_file import _PARAMETERS, _module

keras = pytest.importorskip("keras", reason="needs pip install keras jax, and KERAS_BACKEND=jax")
pytest.importorskip("h5py", reason='needs pip install "dextr-vos[keras]"')

SIDE = 384  # the features' side, 48, can be divided by every number of bins; others are pooled differently


def norm(x: Any, name: str) -> Any:
    return keras.layers.BatchNormalization(epsilon=1e-5, name=name)(x)


def conv(x: Any, filters: int, side: int, name: str, **more: Any) -> Any:
    return keras.layers.Conv2D(filters, side, use_bias=more.pop("bias", False), name=name, **more)(x)


def relu(x: Any) -> Any:
    return keras.layers.ReLU()(x)


class Resize(keras.layers.Layer):
    """Bilinear with the corners aligned, as a product of matrices."""

    def __init__(self, bins: int, side: int) -> None:
        super().__init__()
        at = np.linspace(0, bins - 1, side)
        weights = np.clip(1 - np.abs(at[:, None] - np.arange(bins)), 0, 1)
        self.weights_of_bins = weights.astype(np.float32)

    def call(self, x: Any) -> Any:
        return keras.ops.einsum("ih,bhwc,jw->bijc", self.weights_of_bins, x, self.weights_of_bins)


def bottleneck(x: Any, name: str, width: int, stride: int, dilation: int, project: bool) -> Any:
    shortcut = x
    if project:
        shortcut = norm(conv(x, 4 * width, 1, f"res{name}1", strides=stride), f"bn{name}1")
    x = relu(norm(conv(x, width, 1, f"res{name}2a", strides=stride), f"bn{name}2a"))
    x = keras.layers.ZeroPadding2D(dilation)(x)
    x = relu(norm(conv(x, width, 3, f"res{name}2b", dilation_rate=dilation), f"bn{name}2b"))
    x = norm(conv(x, 4 * width, 1, f"res{name}2c"), f"bn{name}2c")
    return relu(keras.layers.Add()([x, shortcut]))


def published() -> Any:
    """Channels last, with the layers' published names."""
    inputs = keras.layers.Input((SIDE, SIDE, 4))
    x = conv(keras.layers.ZeroPadding2D(3)(inputs), 64, 7, "conv1", strides=2)
    x = keras.layers.MaxPooling2D(3, 2)(keras.layers.ZeroPadding2D(1)(relu(norm(x, "bn_conv1"))))
    plan = zip(RESNET101_BLOCKS, (64, 128, 256, 512), (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
    for stage, (count, width, stride, dilation) in enumerate(plan, start=2):
        for index in range(count):
            first = index == 0
            name = f"{stage}{chr(97 + index)}_branch"
            x = bottleneck(x, name, width, stride if first else 1, dilation, project=first)
    side, parts = SIDE // 8, []
    for bins in (1, 2, 3, 6):
        pooled = keras.layers.AveragePooling2D(side // bins)(x)
        pooled = relu(norm(conv(pooled, 512, 1, f"class_psp_{bins}_conv"), f"class_psp_{bins}_bn"))
        parts.append(Resize(bins, side)(pooled))
    x = conv(keras.layers.Concatenate()([*parts, x]), 512, 1, "class_psp_reduce_conv")
    x = relu(norm(x, "class_psp_reduce_bn"))
    return keras.Model(inputs, conv(x, 1, 1, "class_psp_final_conv", bias=True))


def ours(path: Path, image: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    network = Dextr("psp")
    load_into(network, read_state_dict(path), str(path))
    inputs = torch.from_numpy(image).permute(0, 3, 1, 2).contiguous().to(dtype)
    with torch.inference_mode():
        return network.eval().to(dtype)(inputs).permute(0, 2, 3, 1).double().numpy()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Keras and its backend
def test_the_file_of_keras_gives_the_logits_of_keras_and_of_the_pth(tmp_path: Path) -> None:
    network, model = Dextr("psp"), published()
    set_golden_weights(network)
    state = network.state_dict()
    torch.save(state, tmp_path / "dextr.pth")
    for layer in model.layers:
        for variable in layer.weights:
            values = state[f"{_module(layer.name)}.{_PARAMETERS[variable.name]}"].numpy()
            variable.assign(values.transpose(2, 3, 1, 0) if values.ndim == 4 else values)
    model.save(tmp_path / "dextr.h5")
    convert(tmp_path / "dextr.h5", tmp_path / "dextr.safetensors")
    image = np.random.default_rng(0).uniform(0, 255, (1, SIDE, SIDE, 4)).astype(np.float32)
    h5, pth = (ours(tmp_path / f"dextr.{kind}", image, torch.float32) for kind in ("safetensors", "pth"))
    assert np.array_equal(h5, pth)
    exact = ours(tmp_path / "dextr.pth", image, torch.float64)
    largest = np.abs(exact).max()
    for what, found in (("Keras", np.asarray(model.predict(image, verbose=0))), ("here", pth)):
        difference = np.abs(found - exact).max()
        told = (
            f"{what}, float32 against float64: {difference:.1e}, of {largest:.0f}, {difference / largest:.1e}"
        )
        logging.getLogger("golden").info(told)
        assert difference / largest < 1e-5, what
