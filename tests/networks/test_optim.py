import pytest
import torch
from torch import nn

from dextr_vos.networks.optim import lite_optimizer, rate_factor

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
