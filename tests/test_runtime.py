import copy

import pytest
import torch
from torch import nn

from dextr_vos.errors import InputError
from dextr_vos.runtime import autocast, cast_weights, pick_device, true_float32

CPU = torch.device("cpu")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch):
    """Pretend to be a machine with so many CUDA devices, with or without MPS."""

    def pretend(cuda: int, mps: bool = False) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("name", "cuda", "mps", "expected"),
    [
        ("auto", 0, False, "cpu"),
        ("auto", 0, True, "mps"),
        ("auto", 2, False, "cuda"),
        ("cpu", 2, True, "cpu"),
        ("cuda", 1, False, "cuda"),
        ("cuda:1", 2, False, "cuda:1"),
        ("mps", 0, True, "mps"),
    ],
)
def test_device_is_the_one_asked_for(machine, name: str, cuda: int, mps: bool, expected: str) -> None:
    machine(cuda, mps)
    assert pick_device(name) == torch.device(expected)


@pytest.mark.parametrize(
    ("name", "cuda", "message"),
    [
        ("cuda", 0, "device cuda was asked for.* take auto or cpu"),
        ("cuda:1", 0, "device cuda:1 was asked for.* sees no CUDA"),
        ("cuda:2", 2, "cuda:2 was asked for, but the last one is cuda:1"),
        ("mps", 0, "device mps was asked for"),
        ("gpu", 1, "unknown device 'gpu'; take auto"),
        ("meta", 1, "unknown device 'meta'"),
        ("", 1, "unknown device ''"),
    ],
)
def test_absent_device_is_reported(machine, name: str, cuda: int, message: str) -> None:
    machine(cuda)
    with pytest.raises(InputError, match=message):
        pick_device(name)


def test_true_float32_holds_for_its_block_alone():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    with true_float32():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before


@pytest.fixture
def layers():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.GELU(), nn.ConvTranspose2d(4, 5, 2), nn.LayerNorm(9), nn.Linear(9, 2)
    )


def test_cast_weights_computes_what_autocast_does(monkeypatch, layers):
    monkeypatch.setattr("dextr_vos.runtime.bf16_is_faster", lambda device: True)
    images = torch.randn(2, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    cast = copy.deepcopy(layers)
    cast_weights(cast, CPU)
    assert (cast[0].weight.dtype, cast[3].weight.dtype) == (torch.bfloat16, torch.float32)
    with autocast(CPU), torch.inference_mode():
        assert torch.equal(cast(images), layers(images))


@pytest.mark.parametrize(("faster", "wanted"), [(True, False), (False, True)])
def test_weights_stay_where_bf16_is_not_wanted_or_not_faster(monkeypatch, layers, faster, wanted):
    monkeypatch.setattr("dextr_vos.runtime.bf16_is_faster", lambda device: faster)
    cast_weights(layers, CPU, wanted)
    assert {each.dtype for each in layers.parameters()} == {torch.float32}
