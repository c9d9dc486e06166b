import numpy as np
import pytest

from dextr_vos.propagation.confidence import confidence, expected_iou, soft_iou
from dextr_vos.propagation.keyframes import FramePrediction


def predicted(probs, agreement=None, estimates=None):
    probs = np.asarray(probs, np.float32)
    agreement = np.ones(len(probs), np.float32) if agreement is None else np.asarray(agreement, np.float32)
    return FramePrediction(0, np.zeros((20, 30, 3), np.uint8), probs, agreement, estimates)


def flat(*levels):
    return [np.full((10, 15), level) for level in levels]


def test_soft_iou_of_masks():
    left, right, none = np.zeros((3, 8, 10), np.float32)
    left[:, :6], right[:, 4:] = 1, 1
    one, other = np.stack([left, left, none, left]), np.stack([left, right, none, none])
    assert soft_iou(one, other).tolist() == pytest.approx([1.0, 0.2, 1.0, 0.0])
    assert soft_iou(other, one).tolist() == pytest.approx([1.0, 0.2, 1.0, 0.0])


def test_a_sure_mask_expects_more_of_itself_than_a_hazy_one():
    sure, hazy, wide = np.zeros((3, 20, 30))
    sure[5:15, 5:15] = 1.0
    hazy[5:15, 5:15] = 0.6
    wide[5:15, 5:15] = 0.6
    wide[15:, :] = 0.4
    first, second, third = expected_iou(np.stack([sure, hazy, wide]))
    assert first == 1.0
    assert second == pytest.approx(0.6)
    assert third == pytest.approx(60 / (100 + 0.4 * 150))
    assert expected_iou(np.zeros((1, 4, 4))) == [1.0]


def test_sure_masks_have_more_confidence_than_doubtful_ones():
    sure = np.zeros((10, 15))
    sure[2:8, 3:9] = 1
    softer = np.where(sure > 0, 0.7, 0.1)
    doubtful = np.where(sure > 0, 0.55, 0.4)
    one, two, three = confidence(predicted([sure, softer, doubtful]))
    assert one == 1.0
    assert one > two > three > 0


def test_confidence_is_the_expected_iou():
    # 4 pixels at 0.8 are taken, 2 pixels at 0.4 are left out: 3.2 of 4 + 0.8
    probs = np.zeros((1, 2, 5))
    probs[0, 0, :4], probs[0, 1, :2] = 0.8, 0.4
    assert confidence(predicted(probs)) == [pytest.approx(3.2 / 4.8, abs=1e-4)]


def test_passes_that_disagree_have_less_confidence():
    probs = flat(0.9, 0.9)
    agreeing, not_agreeing = confidence(predicted(probs, [1.0, 0.5]))
    assert not_agreeing == pytest.approx(agreeing / 2, abs=1e-4)


def test_what_the_network_expects_of_its_masks_counts_where_it_says_so():
    estimates = np.array([0.9, 0.25, 0.0], np.float32)
    found = confidence(predicted(flat(0.6, 0.9, 0.0), [1.0, 0.5, 1.0], estimates=estimates))
    assert found == [pytest.approx(0.9), pytest.approx(0.125), 0.0]


def test_an_object_that_both_passes_miss_is_surely_absent():
    assert confidence(predicted(flat(0.0))) == [1.0]
