import pytest

from dextr_vos.training.schedule import rate_factor


def curve(decay, steps=10, warmup=0):
    return [rate_factor(step, steps, warmup, decay) for step in range(steps)]


def test_cosine_falls_from_one_to_almost_nothing():
    rates = curve("cosine")
    assert rates[0] == 1
    assert rates[5] == pytest.approx(0.5)
    assert rates == sorted(rates, reverse=True)
    assert 0 < rates[-1] < 0.03
    assert rate_factor(10, 10, 0, "cosine") == 0


def test_poly_is_that_of_deeplab():
    assert curve("poly") == pytest.approx([(1 - step / 10) ** 0.9 for step in range(10)])


def test_constant_stays():
    assert curve("constant") == [1] * 10


@pytest.mark.parametrize("decay", ["constant", "cosine", "poly"])
def test_warm_up_rises_in_a_line_to_the_full_rate(decay):
    rates = curve(decay, 12, 4)
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(0 < rate <= 1 for rate in rates)


@pytest.mark.parametrize("decay", ["constant", "cosine", "poly"])
def test_after_the_warm_up_the_curve_takes_the_steps_that_are_left(decay):
    assert curve(decay, 14, 4)[4:] == pytest.approx(curve(decay, 10))


@pytest.mark.parametrize("decay", ["constant", "cosine", "poly"])
def test_a_training_that_is_all_warm_up(decay):
    assert curve(decay, 3, 5) == pytest.approx([1 / 6, 2 / 6, 3 / 6])
