import pytest
import torch

from dextr_vos.errors import InputError
from dextr_vos.runtime import pick_device, true_float32


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


def test_true_float32_holds_for_its_block_alone():
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled
    with true_float32():
        assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == (False, True)
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cudnn.enabled) == before
