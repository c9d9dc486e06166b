from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from tiny_training import ended, start_world
from torch import nn

from dextr_vos.training.processes import SyncBatchNorm2d, share_batch_norms

CPU = torch.device("cpu")
SHARES = ([0, 1], [2, 3, 4])  # which process has which images; not equally many


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(4, 3, 1), nn.BatchNorm2d(3, momentum=None, affine=False))
    network = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, momentum=0.3), nn.ReLU(), inner)
    return network.double()


def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(5, 2, 8, 7, generator=generator, dtype=torch.float64) * 3 + 50


def learn(network: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Two passes, of which the second one tells outputs and gradients."""
    for _ in range(2):
        network.zero_grad()
        x = x.detach().requires_grad_()
        y = network(x)
        (y**3 + y).sum().backward()
    gradients = {f"grad {name}": parameter.grad for name, parameter in network.named_parameters()}
    return {"y": y.detach(), "grad x": x.grad, **gradients, **network.state_dict()}


def learn_shared(out: Path) -> None:
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    network = small_network()
    share_batch_norms(network, CPU)
    found = learn(network, images()[SHARES[rank]])
    # a thousand times as far from zero as wide
    far = torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(rank)) + 1000
    norm = SyncBatchNorm2d(3)
    found["far"] = norm(far)
    half = norm(far.bfloat16())
    assert half.dtype == torch.bfloat16
    norm.eval()
    plain = nn.BatchNorm2d(3).eval()
    plain.load_state_dict(norm.state_dict())
    assert torch.equal(norm(far), plain(far))
    torch.save(found, out / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> list[dict[str, torch.Tensor]]:
    out = tmp_path_factory.mktemp("shared")
    assert ended(*start_world(2, learn_shared, out)) == [0, 0]
    return [torch.load(out / f"{rank}.pt") for rank in range(2)]


@pytest.fixture(scope="module")
def alone() -> dict[str, torch.Tensor]:
    return learn(small_network(), images())


@pytest.mark.parametrize("name", ["y", "grad x"])
def test_two_processes_see_what_one_with_the_whole_batch_sees(name, shared, alone):
    torch.testing.assert_close(torch.cat([part[name] for part in shared]), alone[name])


def test_gradients_of_both_add_up_to_those_of_the_whole_batch(shared, alone):
    names = [name for name in alone if name.startswith("grad ") and name != "grad x"]
    assert len(names) == 6
    for name in names:
        torch.testing.assert_close(shared[0][name] + shared[1][name], alone[name])


def test_running_statistics_are_those_of_the_whole_batch_in_every_process(shared, alone):
    names = [name for name in alone if "running" in name or "tracked" in name]
    assert len(names) == 6
    for name in names:
        torch.testing.assert_close(shared[0][name], alone[name])
        assert torch.equal(shared[0][name], shared[1][name])


def test_digits_are_kept_far_from_zero(shared):
    far = torch.cat([torch.randn(4, 3, 9, 9, generator=torch.Generator().manual_seed(n)) for n in (0, 1)])
    exact = nn.BatchNorm2d(3).double()((far + 1000).double())
    torch.testing.assert_close(torch.cat([part["far"] for part in shared]).double(), exact, rtol=0, atol=1e-3)


def test_alone_it_is_the_plain_layer():
    plain, shared = small_network(), small_network()
    share_batch_norms(shared, CPU)
    for (name, one), other in zip(
        learn(plain, images()).items(), learn(shared, images()).values(), strict=True
    ):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_parameters_and_names_stay(device):
    network = small_network().eval()
    network[1].requires_grad_(False)
    before, names = list(network.parameters()), list(network.state_dict())
    share_batch_norms(network, torch.device(device))
    kind = SyncBatchNorm2d if device == "cpu" else nn.SyncBatchNorm
    assert [type(module) for module in (network[1], network[3][1])] == [kind, kind]
    assert all(one is other for one, other in zip(before, network.parameters(), strict=True))
    assert list(network.state_dict()) == names
    assert not network[1].training
    assert not network[1].weight.requires_grad
    small_network().load_state_dict(network.state_dict())
