import random

import numpy as np
import pytest
import torch

from dextr_vos.errors import InputError
from dextr_vos.runtime import pick_device, seed_everything, true_float32


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
        ("cuda:2", 2, "there are 2: cuda:0 to cuda:1"),
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


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), torch.rand(1).item()  # noqa: NPY002


def test_one_seed_gives_one_sequence() -> None:
    seed_everything(7)
    first = draw()
    assert draw() != first
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert draw() != first


def test_deterministic_holds_cudnn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    seed_everything(0)
    assert torch.backends.cudnn.benchmark
    seed_everything(0, deterministic=True)
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(InputError, match="from 0 to 4294967295"):
        seed_everything(seed)


def test_true_float32_holds_for_its_block_alone():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    with true_float32():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before
