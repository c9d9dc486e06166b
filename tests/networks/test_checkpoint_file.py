from pathlib import Path

import pytest
import torch

from dextr_vos.errors import WeightsError
from dextr_vos.networks.checkpoint_file import is_lite_clicks, tensor_names
from dextr_vos.networks.checkpoints import read_state_dict, save
from dextr_vos.networks.shipped import shipped_weights


@pytest.mark.parametrize(("name", "clicks"), [("lite-clicks", True), ("lite-parent", False)])
def test_a_network_is_known_by_the_names_of_its_tensors(name: str, clicks: bool) -> None:
    names = tensor_names(shipped_weights(name))
    assert names == read_state_dict(shipped_weights(name)).keys()
    assert is_lite_clicks(names) is clicks


def test_names_are_read_of_safetensors_alone(tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", {"one": torch.zeros(1), "two": torch.zeros(2)})
    (tmp_path / "a.pth").write_bytes((tmp_path / "a.safetensors").read_bytes())
    torch.save({"one": torch.zeros(1)}, tmp_path / "b.pth")
    assert tensor_names(tmp_path / "a.safetensors") == tensor_names(tmp_path / "a.pth") == {"one", "two"}
    assert tensor_names(tmp_path / "b.pth") == tensor_names(tmp_path / "absent") == frozenset()


def test_a_file_that_was_cut_short_is_told(tmp_path: Path) -> None:
    (tmp_path / "b.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{ cut")
    with pytest.raises(WeightsError, match="fetch it again"):
        tensor_names(tmp_path / "b.safetensors")
