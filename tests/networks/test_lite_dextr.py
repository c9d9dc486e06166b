import pytest
import torch

from dextr_vos.networks.lite_dextr import LiteDextr, is_lite_dextr
from dextr_vos.networks.lite_tracker import LiteTracker
from dextr_vos.networks.losses import plain_bce

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size_hw", [(32, 32), (64, 96), (47, 65)])
def test_logits_have_the_size_of_the_crop(size_hw: tuple[int, int]) -> None:
    network = LiteDextr().eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, 4, *size_hw) * 255)
    assert logits.shape == (2, 1, *size_hw)
    assert logits.isfinite().all()


def test_clicks_matter() -> None:
    network, inputs = LiteDextr().eval(), torch.rand(1, 4, 64, 64) * 255
    other = inputs.clone()
    other[:, 3] = 0
    with torch.inference_mode():
        assert not torch.allclose(network(inputs), network(other), atol=1e-3)


def test_every_parameter_learns() -> None:
    network = LiteDextr()
    targets = torch.zeros(2, 1, 64, 64)
    targets[..., 10:30, 10:30] = 1
    plain_bce(network(torch.rand(2, 4, 64, 64) * 255), targets, average="size").backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.any()]
    assert not idle


def test_it_is_a_few_million_parameters() -> None:
    assert 1_000_000 < sum(parameter.numel() for parameter in LiteDextr().parameters()) < 8_000_000


def test_normalisation_is_no_part_of_the_weights() -> None:
    assert not {"mean", "std"} & LiteDextr().state_dict().keys()


def test_it_is_known_by_its_keys() -> None:
    assert is_lite_dextr(LiteDextr().state_dict())
    assert not is_lite_dextr(LiteTracker().state_dict())
