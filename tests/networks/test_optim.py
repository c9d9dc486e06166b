import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from dextr_vos.networks.optim import QuickAdamW, lite_optimizer, rate_factor

DECAYS = ["constant", "linear", "cosine", "poly"]


def curve(decay, steps=10, warmup=0):
    return [rate_factor(step, decay, warmup, steps, warmup) for step in range(steps)]


def test_cosine_falls_from_one_to_almost_nothing():
    rates = curve("cosine")
    assert rates[0] == 1
    assert rates[5] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.03
    assert rate_factor(10, "cosine", 0, 10) == 0


def test_poly_is_that_of_deeplab():
    assert curve("poly") == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])


def test_constant_stays():
    assert curve("constant") == [1] * 10


def test_linear_falls_in_equal_steps_after_the_last_full_one_and_ends_at_nothing():
    assert [rate_factor(step, "linear", 9, 14) for step in (0, 9)] == [1.0, 1.0]
    assert [rate_factor(step, "linear", 9, 14) for step in range(10, 14)] == pytest.approx(
        [0.8, 0.6, 0.4, 0.2]
    )
    assert [rate_factor(step, "linear", 9, 14) for step in (14, 99)] == [0.0, 0.0]


@pytest.mark.parametrize("decay", DECAYS)
def test_warm_up_rises_in_a_line_to_the_full_rate(decay):
    rates = curve(decay, 12, 4)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("decay", DECAYS)
def test_after_the_warm_up_the_curve_takes_the_steps_that_are_left(decay):
    assert curve(decay, 14, 4)[4:] == pytest.approx(curve(decay, 10))


@pytest.mark.parametrize("decay", DECAYS)
def test_a_training_that_is_all_warm_up(decay):
    assert curve(decay, 3, 5) == pytest.approx([1 / 6, 2 / 6, 3 / 6])


def test_weight_decay_is_on_kernels_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    optimizer = lite_optimizer(network, 0.1, 0.05)
    decay = {id(each): group["weight_decay"] for group in optimizer.param_groups for each in group["params"]}
    assert {name: decay[id(each)] for name, each in network.named_parameters()} == {
        "0.weight": 0.05, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0,
    }  # fmt: skip
    assert isinstance(optimizer, torch.optim.AdamW)


def trained_by(make, steps, state=None, save_after=None):
    """A linear layer after some steps, and the optimizer's state on the way."""
    torch.manual_seed(0)
    layer, inputs = nn.Linear(5, 3), torch.randn(4, 5)
    unused = nn.Parameter(torch.ones(2))  # never has a gradient
    optimizer = make([*layer.parameters(), unused])
    saved = None
    if state is not None:
        layer.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
    for step in range(steps):
        optimizer.zero_grad()
        layer(inputs).square().sum().backward()
        optimizer.step()
        if step + 1 == save_after:
            saved = copy.deepcopy((layer.state_dict(), optimizer.state_dict()))
    assert torch.equal(unused, torch.ones(2))
    return layer.state_dict(), saved


def quick(parameters):
    return QuickAdamW([(parameters, 0.01)], weight_decay=0.1)


def usual(parameters):
    return torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1, fused=True)


def quick_at_two_rates(parameters):
    return QuickAdamW([(parameters[1:], 0.01), (parameters[:1], 0.002)], weight_decay=0.1)


def usual_at_two_rates(parameters):
    groups = [{"params": parameters[1:]}, {"params": parameters[:1], "lr": 0.002}]
    return torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1, fused=True)


BOTH = [(quick, usual), (quick_at_two_rates, usual_at_two_rates)]


@pytest.mark.parametrize(("ours", "theirs"), BOTH)
def test_quick_adamw_is_that_of_pytorch(ours, theirs):
    one, other = trained_by(ours, 5)[0], trained_by(theirs, 5)[0]
    assert all(torch.equal(one[key], other[key]) for key in other)


@pytest.mark.parametrize(("ours", "first"), [(pair[0], first) for pair in BOTH for first in pair])
def test_quick_adamw_goes_on_from_its_state_and_from_that_of_pytorch(ours, first):
    whole, saved = trained_by(first, 5, save_after=2)
    resumed, _ = trained_by(ours, 3, state=saved)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)


def test_quick_adamw_refuses_the_state_of_other_parameters():
    _, saved = trained_by(quick, 2, save_after=2)
    with pytest.raises(ValueError, match="other parameters"):
        quick([nn.Parameter(torch.ones(3))]).load_state_dict(saved[1])
    with pytest.raises(ValueError, match="other parameters"):
        quick([nn.Parameter(torch.ones(size)) for size in (7, 3, 2)]).load_state_dict(saved[1])
    with pytest.raises(ValueError, match="other parameters"):
        quick([nn.Parameter(torch.ones(3, 5))]).load_state_dict(saved[1])  # one of its three
    with pytest.raises(ValueError, match="other parameters"):
        quick_at_two_rates([nn.Parameter(torch.ones(size)) for size in ((3, 5), 3, 2)]).load_state_dict(
            saved[1]
        )


def test_quick_adamw_does_not_import_the_compiler():
    script = """
import sys, torch
from dextr_vos.networks.optim import QuickAdamW
layer = torch.nn.Linear(2, 2)
optimizer = QuickAdamW([(layer.parameters(), 0.1)], 0.0)
layer(torch.ones(1, 2)).sum().backward()
optimizer.step()
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
