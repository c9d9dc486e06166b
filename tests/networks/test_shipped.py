from pathlib import Path

import pytest
import torch

from dextr_vos.errors import WeightsError
from dextr_vos.networks import shipped
from dextr_vos.networks.checkpoint_file import read_metadata
from dextr_vos.networks.checkpoints import load_into, read_state_dict, save
from dextr_vos.networks.lite_clicks import LiteClicks
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.shipped import CHECKSUMS, shipped_weights, write_fp16
from dextr_vos.propagation.models import LITE

MEGABYTE = 1 << 20
NETWORKS = {"lite-clicks": LiteClicks, "lite-parent": LiteTracker}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_shipped_weights_are_whole_and_fit(name: str) -> None:
    state = read_state_dict(shipped_weights(name))
    network = NETWORKS[name]()
    load_into(network, state, name)
    assert all(tensor.dtype == torch.float16 for tensor in state.values() if tensor.is_floating_point())
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


@pytest.mark.parametrize("name", CHECKSUMS)
def test_shipped_weights_say_what_they_are(name: str) -> None:
    assert read_metadata(shipped_weights(name))["network"] == name


def test_the_shipped_parent_is_a_trained_tracker() -> None:
    network = LITE.start(1, 0, shipped_weights("lite-parent"))
    assert isinstance(network, LiteTracker)
    assert network.pretrained


def test_a_tracker_starts_from_the_shipped_network_for_clicks_as_one_that_is_not_trained() -> None:
    network = LITE.start(1, 0, shipped_weights("lite-clicks"))
    assert isinstance(network, LiteTracker)
    assert not network.pretrained
    state = read_state_dict(shipped_weights("lite-clicks"))
    own = network.state_dict()
    encoder = {key: tensor for key, tensor in state.items() if key.startswith("encoder.")}
    assert len(encoder) > 100
    assert all(torch.equal(own[key], tensor.to(own[key].dtype)) for key, tensor in encoder.items())


def test_shipped_weights_are_small() -> None:
    assert sum(shipped_weights(name).stat().st_size for name in CHECKSUMS) < 40 * MEGABYTE


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tmp_path / "weights"
    weights.mkdir()
    monkeypatch.setattr(shipped, "files", lambda _: tmp_path)
    shipped_weights.cache_clear()
    with pytest.raises(WeightsError, match="are missing; install dextr-vos again"):
        shipped_weights("lite-clicks")
    (weights / "lite-clicks.safetensors").write_bytes(b"cut short")
    with pytest.raises(WeightsError, match="were changed; install"):
        shipped_weights("lite-clicks")
    shipped_weights.cache_clear()


def test_half_precision_keeps_metadata_and_says_its_checksum(tmp_path: Path) -> None:
    source, target = tmp_path / "full.safetensors", tmp_path / "last-fp16.safetensors"
    save(source, {"a": torch.tensor([1.5, 2.0]), "n": torch.tensor(3)}, {"network": "x"})
    checksum = write_fp16(source, target)
    state = read_state_dict(target)
    assert state["a"].dtype == torch.float16
    assert state["n"].dtype == torch.int64
    assert read_metadata(target) == {"network": "x"}
    assert write_fp16(source, target) == checksum


def test_weights_may_be_written_between_those_before_and_after_a_training(tmp_path: Path) -> None:
    start, source, target = (tmp_path / f"{name}.safetensors" for name in ("start", "last", "fp16"))
    tensors = {"a": torch.tensor([1.0, 2.0]).half(), "n": torch.tensor(3), "memory.keys": torch.ones(2)}
    save(start, tensors, {"network": "x"})  # fine-tuned on a clip
    save(source, {"a": torch.tensor([3.0, 2.5]), "n": torch.tensor(7)}, {"network": "y"})
    for alpha, expected in ((0.25, [1.5, 2.125]), (1.0, [3.0, 2.5])):
        write_fp16(source, target, start, alpha)
        assert read_state_dict(target)["a"].tolist() == expected
        assert read_state_dict(target)["n"] == 7
        assert read_metadata(target) == {"network": "y"} | ({"alpha": "0.25"} if alpha < 1 else {})
