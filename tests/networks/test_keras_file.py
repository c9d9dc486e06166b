"""DEXTR's Keras weights: the files here have the structure that Keras 2 and 3 write, with narrow layers."""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import read_golden

from dextr_vos.errors import WeightsError
from dextr_vos.networks.checkpoints import load_into
from dextr_vos.networks.dextr import Dextr, Head
from dextr_vos.networks.keras_file import check_whole, read_keras

h5py = pytest.importorskip("h5py", reason='needs pip install "dextr-vos[keras]"')

HEADS: tuple[Head, Head] = ("psp", "atrous")
BATCH_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
PARAMETERS = ("weight", "bias", "running_mean", "running_var")
PSP_LEVELS = (1, 2, 3, 6)


def layers_of(head: Head, blocks: tuple[int, ...] = (3, 4, 23, 3)) -> Iterator[tuple[str, str]]:
    """Layers of the published Keras network, and our module for each."""
    yield from (("conv1", "conv1"), ("bn_conv1", "bn1"))
    for stage, count in enumerate(blocks):
        for index in range(count):
            block, module = f"{stage + 2}{chr(97 + index)}_branch", f"layer{stage + 1}.{index}"
            for position, letter in enumerate("abc", start=1):
                yield f"res{block}2{letter}", f"{module}.conv{position}"
                yield f"bn{block}2{letter}", f"{module}.bn{position}"
            if index == 0:
                yield from ((f"res{block}1", f"{module}.downsample.0"),)
                yield from ((f"bn{block}1", f"{module}.downsample.1"),)
    if head == "atrous":
        yield from ((f"class_atrous_{k + 1}_conv", f"layer5.conv2d_list.{k}") for k in range(4))
        return
    for stage, level in enumerate(PSP_LEVELS):
        yield f"class_psp_{level}_conv", f"layer5.stages.{stage}.1"
        yield f"class_psp_{level}_bn", f"layer5.stages.{stage}.2"
    yield from (
        ("class_psp_reduce_conv", "layer5.bottleneck.0"),
        ("class_psp_reduce_bn", "layer5.bottleneck.1"),
    )
    yield "class_psp_final_conv", "layer5.final"


def write_keras(
    path: Path, state: dict[str, torch.Tensor], layers: list[tuple[str, str]], keras: int
) -> None:
    """As `save_weights` of Keras 2 or `save` of Keras 3 writes a state."""
    with h5py.File(path, "w") as file:
        root = file if keras == 2 else file.create_group("model_weights")
        root.create_group("activation_1")  # layers without weights have empty groups
        for layer, module in layers:
            is_norm = "bn" in re.split(r"[_\d]", layer)
            names = dict(zip(PARAMETERS, BATCH_NORM, strict=True)) if is_norm else {"weight": "kernel"}
            for parameter, name in (names | {"bias": names.get("bias", "bias")}).items():
                if (tensor := state.get(f"{module}.{parameter}")) is not None:
                    values = tensor.numpy()
                    values = values.transpose(2, 3, 1, 0) if values.ndim == 4 else values
                    root[f"{layer}/{layer}/{name}{':0' if keras == 2 else ''}"] = values


@pytest.mark.parametrize("keras", [2, 3])
@pytest.mark.parametrize("head", HEADS)
def test_every_layer_has_its_published_name(head: Head, keras: int, tmp_path: Path) -> None:
    shapes = {k: s for k, s in read_golden(f"dextr_keys_{head}.json").items() if "num_batches" not in k}
    # sides of 2, 3, 4 and 5 in place of the true ones: a wrong order of axes would show
    state = {
        key: torch.rand([2, 3, 4, 5][: len(shape)]) if len(shape) == 4 else torch.rand(3)
        for key, shape in shapes.items()
    }
    write_keras(tmp_path / "dextr.h5", state, list(layers_of(head)), keras)
    found = read_keras(tmp_path / "dextr.h5")
    assert found.keys() == shapes.keys()
    for key, tensor in state.items():
        assert torch.equal(found[key], tensor), key


def test_logits_are_those_of_the_same_weights(tmp_path: Path) -> None:
    head, blocks = "psp", (1, 1, 1, 1)
    network = Dextr(head, blocks=blocks).eval()
    with torch.device("meta"):
        other = Dextr(head, blocks=blocks).to_empty(device="cpu").eval()
    write_keras(tmp_path / "dextr.h5", network.state_dict(), list(layers_of(head, blocks)), 2)
    load_into(other, read_keras(tmp_path / "dextr.h5"), "dextr.h5")
    inputs = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (1, 4, 64, 64)).astype(np.float32))
    with torch.inference_mode():
        assert (other(inputs) - network(inputs)).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["dense_1/dense_1/kernel:0"],
            "holds dense_1/dense_1/kernel:0, expected the layers of DEXTR's Keras",
        ),
        (["res6a_branch2a/kernel:0"], "res6a_branch2a"),
        (["conv1/conv1/alpha:0"], "holds conv1/conv1/alpha:0"),
        ([], "holds no weights"),
    ],
)
def test_other_networks_are_refused(names: list[str], message: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for name in names:
            file[name] = np.zeros(3)
    with pytest.raises(WeightsError, match=message):
        read_keras(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model_weights", [1.0], "model_weights is an array"),
        ("conv1/conv1/kernel:0", "text", "is not a Keras file or is broken"),
        ("conv1/conv1/kernel:0", None, "has 1099511627776 values in conv1"),
    ],
)
def test_arrays_of_no_network_are_refused(
    name: str, content: list[float] | str | None, message: str, tmp_path: Path
) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        if content is None:
            file.create_dataset(name, (2**20, 2**20), "f4", chunks=(16, 16))
        else:
            file[name] = content
    with pytest.raises(WeightsError, match=message):
        read_keras(tmp_path / "other.h5")


@pytest.mark.parametrize("cut", [0, 1])
def test_a_cut_is_found_without_the_library(cut: int, tmp_path: Path) -> None:
    for libver in ("earliest", "latest"):
        path = tmp_path / f"{libver}.h5"
        with h5py.File(path, "w", libver=libver) as file:
            file["conv1"] = np.zeros(999)
        path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
        with pytest.raises(WeightsError, match="bytes, expected") if cut else nullcontext():
            check_whole(path)


@pytest.mark.parametrize("kept", [0.1, 0.6])
def test_broken_files_are_refused(kept: float, tmp_path: Path) -> None:
    path = tmp_path / "dextr.h5"
    write_keras(path, {"conv1.weight": torch.rand(64, 4, 7, 7)}, [("conv1", "conv1")], 2)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(WeightsError, match=r"is not a Keras file or is broken .*fetch it again") as caught:
        read_keras(path)
    assert "\n" not in str(caught.value)
