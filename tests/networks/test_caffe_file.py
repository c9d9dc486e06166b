"""OSVOS's Caffe weights; the files here are written by Protocol Buffers, with Caffe's field numbers."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import read_golden

from dextr_vos.errors import WeightsError
from dextr_vos.networks.caffe_file import read_caffemodel
from dextr_vos.networks.convert import osvos_state

pytest.importorskip("google.protobuf", reason='needs pip install "dextr-vos[caffe]"')

CONVS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "4_1", "4_2", "4_3", "5_1", "5_2", "5_3")
MODULES = (
    "stages.0.0",
    "stages.0.2",
    "stages.1.1",
    "stages.1.3",
    *(f"stages.{stage}.{position}" for stage in (2, 3, 4) for position in (1, 3, 5)),
)
VGG = {f"conv{name}": module for name, module in zip(CONVS, MODULES, strict=True)}
SIDES = {f"conv{name}_16": f"side_prep.{i}" for i, name in enumerate(("2_2", "3_3", "4_3", "5_3"))}
SCORES = {f"score-dsn_{i + 2}": f"score_dsn.{i}" for i in range(4)}
FUSE = {"new-score-weighting": "fuse"}


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, content: bytes | int) -> bytes:
    """A field of Protocol Buffers: a number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


# a shape of −2, −2
NEGATIVE = field(7, field(1, 2 * varint(2**64 - 2)))


def blob(array: np.ndarray, old: bool) -> bytes:
    if old:  # four sides, as Caffe wrote them before 2015
        sides = (1,) * (4 - array.ndim) + array.shape
        shape = b"".join(field(number, side) for number, side in enumerate(sides, start=1))
    else:
        shape = field(7, field(1, b"".join(varint(side) for side in array.shape)))
    return shape + field(5, array.astype("<f4").tobytes())


def caffemodel(layers: Mapping[str, list[np.ndarray]], old: bool = False) -> bytes:
    """A `NetParameter`; of Caffe's first version, if `old`, whose layers are another message."""
    layer, name, blobs = (2, 4, 6) if old else (100, 1, 7)
    content = field(1, b"OSVOS")
    for key, arrays in layers.items():
        inner = field(name, key.encode()) + b"".join(field(blobs, blob(array, old)) for array in arrays)
        content += field(layer, inner)
    return content


def arrays_of(state: Mapping[str, torch.Tensor], modules: Mapping[str, str]) -> dict[str, list[np.ndarray]]:
    return {
        layer: [state[f"{module}.weight"].numpy(), state[f"{module}.bias"].numpy()]
        for layer, module in modules.items()
    }


@pytest.fixture(scope="module")
def small() -> dict[str, torch.Tensor]:
    """A state with the keys of OSVOS and sides of 2, 3, 4 and 5: a wrong order of axes would show."""
    shapes = read_golden("osvos_keys.json")
    return {key: torch.rand([2, 3, 4, 5] if len(shape) == 4 else [7]) for key, shape in shapes.items()}


def written(path: Path, state: dict[str, torch.Tensor], modules: dict[str, str], old: bool = False) -> Path:
    others = {"relu1_1": [], "upsample2_": [np.ones((16, 16, 4, 4))], "fc6": [np.ones((2, 3)), np.ones(2)]}
    path.write_bytes(caffemodel(arrays_of(state, modules) | others, old))
    return path


@pytest.mark.parametrize("old", [False, True])
def test_every_layer_has_its_published_name(
    small: dict[str, torch.Tensor], old: bool, tmp_path: Path
) -> None:
    path = written(tmp_path / "OSVOS_parent.caffemodel", small, VGG | SIDES | SCORES | FUSE, old)
    found = read_caffemodel(path)
    assert found.keys() == {key for key in small if not key.startswith("upscale")}
    assert all(torch.equal(tensor, small[key]) for key, tensor in found.items())


@pytest.mark.parametrize(
    ("modules", "absent"), [(VGG | SIDES | FUSE, {"score_dsn"}), (VGG, {"score_dsn", "side_prep", "fuse"})]
)
def test_the_rest_of_the_network_starts_near_zero(
    modules: dict[str, str], absent: set[str], small: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """The networks of single clips lack the side scores, which their masks do not depend on."""
    path = written(tmp_path / "blackswan.caffemodel", small, modules)
    whole, again = (osvos_state(read_caffemodel(path), path) for _ in range(2))
    assert whole.keys() == small.keys()
    for key, tensor in whole.items():
        assert torch.equal(tensor, again[key])
        if key.split(".")[0] in absent:
            assert tensor.abs().max() < 0.01, key


@pytest.mark.parametrize("absent", ["conv3_2", "conv4_3_16", "new-score-weighting"])
def test_a_missing_layer_is_named(absent: str, small: dict[str, torch.Tensor], tmp_path: Path) -> None:
    modules = VGG | SIDES | FUSE
    rest = {layer: module for layer, module in modules.items() if layer != absent}
    path = written(tmp_path / "part.caffemodel", small, rest)
    with pytest.raises(WeightsError, match=f"has no {modules[absent]}.weight; expected all layers"):
        osvos_state(read_caffemodel(path), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>404</html>", "is not a caffemodel or is broken"),
        (caffemodel({"conv1_1": [np.ones((2, 3))]})[:-5], "is not a caffemodel or is broken"),
        (caffemodel({"ip1": [np.ones(2)]}), "has the layers ip1; expected conv1_1"),
        (b"", "has the layers none"),
        (
            field(100, field(1, b"conv1_1") + field(7, field(1, 1 << 40) + field(5, bytes(4)))),
            "1 values in conv1_1",
        ),
        (
            field(100, field(1, b"conv1_1") + field(7, NEGATIVE + field(5, bytes(16)))),
            r"4 values in conv1_1, expected \(-2, -2\)",
        ),
        (
            field(100, field(1, b"\xff") + field(7, field(7, field(1, 1)) + field(5, bytes(4)))),
            "is not a caffemodel or is broken",
        ),
    ],
    ids=["web page", "cut short", "another network", "empty", "shape", "negative sides", "name"],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.caffemodel").write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        read_caffemodel(tmp_path / "a.caffemodel")
