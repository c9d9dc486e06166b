import numpy as np
import pytest

from dextr_vos.propagation.bidirectional import expected_overlap, soft_overlap


def test_overlap_of_soft_masks():
    left, right, none = np.zeros((3, 8, 10), np.float32)
    left[:, :6], right[:, 4:] = 1, 1
    one, other = np.stack([left, left, none, left]), np.stack([left, right, none, none])
    assert soft_overlap(one, other).tolist() == pytest.approx([1.0, 0.2, 1.0, 0.0])
    assert soft_overlap(other, one).tolist() == pytest.approx([1.0, 0.2, 1.0, 0.0])


def test_a_sure_mask_expects_more_of_itself_than_a_hazy_one():
    sure, hazy, wide = np.zeros((3, 20, 30))
    sure[5:15, 5:15] = 1.0
    hazy[5:15, 5:15] = 0.6
    wide[5:15, 5:15] = 0.6
    wide[15:, :] = 0.4
    first, second, third = expected_overlap(np.stack([sure, hazy, wide]))
    assert first == 1.0
    assert second == pytest.approx(0.6)
    assert third == pytest.approx(60 / (100 + 0.4 * 150))
    assert expected_overlap(np.zeros((1, 4, 4))) == [1.0]
