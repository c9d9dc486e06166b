from pathlib import Path

import numpy as np
import pytest
import torch
from golden_weights import set_golden_weights
from safetensors.torch import save_file
from scipy.io import savemat

from dextr_vos.errors import InputError, WeightsError
from dextr_vos.networks.checkpoints import read_state_dict
from dextr_vos.networks.convert import convert
from dextr_vos.networks.osvos import Osvos


@pytest.fixture(scope="module")
def osvos() -> Osvos:
    network = Osvos()
    set_golden_weights(network)
    return network


def vgg_cells(network: Osvos) -> dict[str, list[np.ndarray]]:
    convs = [module for module in network.stages.modules() if isinstance(module, torch.nn.Conv2d)]
    return {
        "weights": [conv.weight.detach().numpy() for conv in convs],
        "biases": [conv.bias.detach().numpy()[:, None] for conv in convs],
    }


def write_mat(path: Path, cells: dict[str, list[np.ndarray]]) -> None:
    arrays = {}
    for name, kernels in cells.items():
        arrays[name] = np.empty((1, len(kernels)), dtype=object)
        for index, kernel in enumerate(kernels):
            arrays[name][0, index] = kernel.T
    savemat(path, arrays)


def write_mat_7_3(path: Path, cells: dict[str, list[np.ndarray]]) -> None:
    h5py = pytest.importorskip("h5py", reason='needs pip install "dextr-vos[keras]"')
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, kernels in cells.items():
            for index, kernel in enumerate(kernels):
                file[f"#refs#/{name}{index}"] = kernel
            references = [[file[f"#refs#/{name}{index}"].ref] for index in range(len(kernels))]
            file.create_dataset(name, data=references, dtype=h5py.ref_dtype)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64")


@pytest.mark.parametrize("write", [write_mat, write_mat_7_3])
def test_the_start_of_caffe_becomes_a_parent(write, osvos: Osvos, tmp_path: Path) -> None:
    write(tmp_path / "vgg_caffe.mat", vgg_cells(osvos))
    assert convert(tmp_path / "vgg_caffe.mat", tmp_path / "vgg.safetensors") == "OSVOS"
    found = read_state_dict(tmp_path / "vgg.safetensors")
    for key, tensor in osvos.stages.state_dict(prefix="stages.").items():
        assert torch.equal(found[key], tensor), key


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("absent.pth", "a.safetensors", "there is no checkpoint"),
        ("other.pth", "a.pth", "expected a file that ends in .safetensors to write"),
        ("other.pth", "a.safetensors", r"does not fit the network Osvos: 52 missing"),
        ("lite.safetensors", "a.safetensors", "is a safetensors file, which every command reads"),
        ("dextr.pth", "a.safetensors", r"does not fit the network Dextr: \d+ missing .*1 unexpected"),
    ],
)
def test_what_cannot_be_converted_leaves_nothing(
    source: str, target: str, message: str, tmp_path: Path
) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "other.pth")
    save_file({"weight": torch.ones(1)}, tmp_path / "lite.safetensors")
    torch.save({"layer5.conv2d_list.9.weight": torch.ones(1)}, tmp_path / "dextr.pth")
    with pytest.raises(WeightsError, match=message):
        convert(tmp_path / source, tmp_path / target)
    assert not (tmp_path / target).exists()


def test_a_file_that_is_there_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"weight": torch.ones(1)}, path, {"crop": "9"})
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="is there already"):
        convert(path, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "start", "module", "extra"),
    [
        ("a.h5", b"\x89HDF", "h5py", "keras"),
        ("a.mat", b"MATLAB 7.3 MAT-file", "h5py", "keras"),
        ("a.caffemodel", b"", "google.protobuf", "caffe"),
    ],
)
def test_a_missing_library_is_named(
    name: str, start: bytes, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)  # as if it were not installed
    (tmp_path / name).write_bytes(start)
    with pytest.raises(InputError, match=rf'{name} needs .*pip install "dextr-vos\[{extra}\]"'):
        convert(tmp_path / name, tmp_path / "a.safetensors")
