import numpy as np
import pytest

from dextr_vos.propagation.finetune import has_converged


@pytest.mark.parametrize(
    ("losses", "converged"),
    [
        ([], False),
        ([1.0] * 7, False),  # one short of two windows
        ([1.0] * 8, True),
        ([1.0] * 4 + [0.96] * 4, True),
        ([1.0] * 4 + [0.94] * 4, False),
        ([1.0] * 4 + [2.0] * 4, True),  # rising is not falling
        ([9.0] * 50 + [1.0] * 8, True),  # what was long ago does not count
        ([1.0] * 50 + [0.5] * 4, False),
        ([0.0] * 8, True),  # nothing is left to learn
    ],
)
def test_the_loss_has_converged_when_it_fell_by_less_than_the_tolerance(losses, converged):
    assert has_converged(losses, window=4, tolerance=0.05) is converged


def test_one_outlier_does_not_matter_much():
    falling = np.geomspace(1, 0.1, 100)
    falling[95] *= 1.5
    assert not has_converged(falling.tolist(), window=20, tolerance=0.05)
