import numpy as np
import pytest
import torch

from dextr_vos.propagation.confidence import (
    confidence,
    expected_iou,
    explained_share,
    mask_areas,
    possible_areas,
    soft_iou,
)
from dextr_vos.propagation.keyframes import FramePrediction


def predicted(probs, agreement=None, estimates=None):
    probs = np.asarray(probs, np.float32)
    agreement = np.ones(len(probs), np.float32) if agreement is None else np.asarray(agreement, np.float32)
    return FramePrediction(0, np.zeros((20, 30, 3), np.uint8), probs, agreement, estimates)


def flat(*levels):
    return [np.full((10, 15), level) for level in levels]


def test_soft_iou_of_masks():
    left, right, none = torch.zeros((3, 8, 10))
    left[:, :6], right[:, 4:] = 1, 1
    one, other = torch.stack([left, left, none, left]), torch.stack([left, right, none, none])
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


SQUARE = torch.zeros((1, 20, 30))
SQUARE[:, 5:15, 5:15] = 0.9
TWICE = SQUARE.clone()
TWICE[:, 5:15, 15:25] = 0.9


class Areas:
    """What a pass knows of the areas, step by step."""

    def __init__(self, probs):
        self.areas = mask_areas(probs)

    def explained(self, before, guides, probs):
        self.areas = possible_areas(self.areas, before, guides, probs)
        return explained_share(self.areas, probs)


def test_a_mask_that_grows_at_once_is_not_explained_until_it_shrinks():
    areas = Areas(SQUARE)
    assert areas.explained(SQUARE, SQUARE, SQUARE).tolist() == [1]
    assert areas.explained(SQUARE, SQUARE, TWICE).tolist() == pytest.approx([(1 + 0.625) / 2])
    assert areas.explained(TWICE, TWICE, TWICE).tolist() == pytest.approx([(1 + 0.625) / 2])
    assert areas.explained(TWICE, TWICE, SQUARE).tolist() == [1]


def test_a_mask_may_grow_by_a_quarter_or_as_its_surroundings_do():
    a_quarter = SQUARE.clone()
    a_quarter[:, 15:18, 5:13] = 0.9
    assert Areas(SQUARE).explained(SQUARE, SQUARE, a_quarter).tolist() == [1]
    areas, before = Areas(SQUARE), SQUARE
    for side in range(11, 15):  # nearer and nearer: 100 pixels to 196
        carried = torch.zeros_like(SQUARE)
        carried[:, 2 : 2 + side, 5 : 5 + side] = 0.9
        assert areas.explained(before, carried, carried).tolist() == [1]
        before = carried


def test_flow_is_not_believed_beyond_its_bounds():
    assert Areas(SQUARE).explained(SQUARE, TWICE, TWICE).tolist() == pytest.approx([(1 + 1.25 * 1.3 / 2) / 2])
    # an object that flow sees shrink, as where something passes before it, is soon as large as it was
    half, areas = SQUARE.clone(), Areas(SQUARE)
    half[:, :10] = 0
    assert areas.explained(SQUARE, half, half).tolist() == [1]
    assert areas.explained(half, half, SQUARE).tolist() == [1]


def test_an_object_that_comes_in_or_was_not_there_has_any_size():
    at_border, before, nothing = torch.zeros((3, *SQUARE.shape))
    at_border[:, 5:15, :2] = 0.9
    areas = Areas(at_border)
    for right in range(3, 12):  # a column of pixels comes in with each frame, and flow carries the others
        before, carried = at_border.clone(), at_border.roll(1, dims=2)
        at_border[:, 5:15, :right] = 0.9
        assert areas.explained(before, carried, at_border).tolist() == [1]
    areas = Areas(nothing)
    assert areas.explained(nothing, nothing, SQUARE).tolist() == [1]
    assert areas.explained(SQUARE, SQUARE, TWICE).tolist() == pytest.approx([(1 + 0.625) / 2])
    # once lost, for which the guide is 0.5 everywhere, it may come back at any size
    lost, areas = torch.full_like(SQUARE, 0.5), Areas(SQUARE)
    assert areas.explained(SQUARE, lost, nothing).tolist() == [1]
    assert areas.explained(nothing, lost, TWICE).tolist() == [1]
    assert areas.explained(TWICE, TWICE, TWICE).tolist() == [1]


def test_noise_of_the_flow_does_not_add_up():
    rng, areas, before = np.random.default_rng(0), Areas(SQUARE), SQUARE
    for _ in range(200):
        now = torch.zeros_like(SQUARE)
        now[:, 5:15, 5 : 15 + int(rng.integers(-1, 2))] = 0.9
        assert areas.explained(before, now, now).tolist() == [1]
        before = now
    assert areas.explained(before, before, TWICE)[0] < 0.86


def test_each_object_has_its_own_size():
    both, grown = torch.cat([SQUARE, TWICE]), torch.cat([TWICE, TWICE])
    assert Areas(both).explained(both, both, grown).tolist() == pytest.approx([(1 + 0.625) / 2, 1])
