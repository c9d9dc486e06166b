import numpy as np
import pytest

from dextr_vos.propagation.keyframes import FramePrediction
from dextr_vos.propagation.postprocess import (
    doubtful_components,
    full_size,
    labels_of,
    labels_of_probs,
    supported_share,
)


def drawn(*boxes, size_hw=(60, 80)) -> np.ndarray:
    """A mask of boxes, each (x, y, width, height)."""
    mask = np.zeros(size_hw, bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


def small_components(mask, share, prob=0.55):
    return doubtful_components(mask, np.where(mask, prob, 0.1).astype(np.float32), share)


BODY, ARM, SPECK = (10, 10, 20, 20), (50, 10, 10, 10), (5, 50, 2, 2)  # 400, 100 and 4 pixels


@pytest.mark.parametrize(
    ("share", "removed"), [(0.0, []), (0.005, []), (0.2, [SPECK]), (0.25, [SPECK]), (0.3, [ARM, SPECK])]
)
def test_components_smaller_than_a_share_of_the_largest_are_small(share, removed):
    assert np.array_equal(small_components(drawn(BODY, ARM, SPECK), share), drawn(*removed))


@pytest.mark.parametrize("mask", [drawn(), drawn(BODY), drawn(BODY, (30, 10, 5, 1)), drawn((0, 0, 80, 60))])
def test_a_connected_mask_has_no_small_components(mask):
    assert not small_components(mask, 0.9).any()


def test_parts_that_touch_at_a_corner_are_connected():
    assert not small_components(drawn(BODY, (30, 30, 2, 2)), 0.9).any()


def test_a_small_component_stays_where_the_network_is_sure_of_it():
    arm, speck = (36, 10, 10, 10), (5, 35, 2, 2)
    mask = drawn(BODY, arm, speck)
    assert not small_components(mask, 0.9, prob=0.61).any()
    probs = np.where(drawn(arm), 0.9, 0.55).astype(np.float32)
    assert np.array_equal(doubtful_components(mask, probs, 0.9), drawn(speck))
    probs[10:15, 36:46] = 0.2  # of a component the mean counts
    assert np.array_equal(doubtful_components(mask, probs, 0.9), drawn(arm, speck))


@pytest.mark.parametrize(
    ("box", "removed"),
    [
        ((40, 15, 5, 5), False),  # 10 px from a body of 20×20
        ((41, 15, 5, 5), True),
        ((38, 38, 5, 5), True),  # 8 px down and 8 px to the right
        ((37, 37, 5, 5), False),
        ((0, 45, 80, 1), True),
        ((5, 33, 70, 1), False),
    ],
)
def test_a_small_component_that_the_network_is_sure_of_stays_near_the_largest_one(box, removed):
    mask = drawn(BODY, box)
    assert doubtful_components(mask, mask.astype(np.float32), 0.9).any() == removed


def test_a_keyframe_that_shows_small_components_lets_them_stay():
    whole, parted = drawn(BODY), drawn(BODY, (50, 10, 6, 10))  # a part of 60 pixels: 0.15 of the body
    assert supported_share([whole], 0.2) == 0.2
    assert supported_share([whole, parted], 0.2) == pytest.approx(0.075)
    assert not small_components(parted, supported_share([parted], 0.2)).any()
    assert supported_share([parted], 0.0) == 0.0


def test_specks_and_empty_keyframes_support_nothing():
    assert supported_share([drawn(BODY, SPECK), drawn()], 0.2) == 0.2


def predicted(probs, size_hw=(20, 30)):
    probs = np.asarray(probs, np.float32)
    return FramePrediction(0, np.zeros((*size_hw, 3), np.uint8), probs, np.ones(len(probs), np.float32))


def flat(*levels):
    return [np.full((10, 15), level) for level in levels]


def test_labels_have_the_size_of_the_frame_and_the_ids_of_the_objects():
    soft = np.zeros((2, 10, 15), np.float32)
    soft[0, :, :5], soft[1, :, 10:] = 0.9, 0.8
    prediction = predicted(soft, size_hw=(40, 60))
    labels = labels_of(prediction, [3, 200])
    assert (labels.shape, labels.dtype) == ((40, 60), np.uint8)
    assert [np.unique(labels[:, start : start + 16]).tolist() for start in (0, 22, 44)] == [[3], [0], [200]]
    probs = full_size(prediction)
    assert (probs.shape, probs.dtype) == ((2, 40, 60), np.float32)
    assert 0 <= probs.min() <= probs.max() <= 1
    assert np.array_equal(labels_of_probs(probs, [3, 200]), labels)


def test_one_object_is_a_threshold():
    soft = np.tile(np.linspace(0, 1, 30, dtype=np.float32), (1, 20, 1))
    assert np.array_equal(labels_of(predicted(soft), [7]), np.where(soft[0] > 0.5, 7, 0))


def test_the_likelier_object_wins():
    assert np.unique(labels_of(predicted(flat(0.6, 0.7)), [1, 2])).tolist() == [2]
    assert np.unique(labels_of(predicted(flat(0.4, 0.3)), [1, 2])).tolist() == [0]


def test_small_components_are_removed_from_labels_and_not_from_soft_masks():
    soft = np.zeros((1, 20, 30), np.float32)
    soft[0, 2:12, 2:12], soft[0, 15:17, 20:23] = 0.9, 0.55
    before = soft.copy()
    whole, cleaned = labels_of(predicted(soft), [5]), labels_of_probs(soft, [5], {5: 0.2})
    assert np.array_equal(whole == 5, soft[0] > 0.5)
    assert np.array_equal(cleaned == 5, soft[0] > 0.85)
    assert np.array_equal(soft, before)


def test_a_removed_component_goes_to_the_next_likely_object():
    soft = np.zeros((2, 20, 30), np.float32)
    soft[0, :, :10], soft[1, :, 10:] = 0.9, 0.52
    soft[0, 5:8, 20:23] = 0.55  # a false speck of the first within the second
    labels = labels_of(predicted(soft), [2, 7], {2: 0.2})
    assert np.array_equal(labels == 2, np.broadcast_to(np.arange(30) < 10, (20, 30)))
    assert np.array_equal(labels == 7, np.broadcast_to(np.arange(30) >= 10, (20, 30)))
    assert np.count_nonzero(labels_of(predicted(soft), [2, 7], {7: 0.2}) == 2) == 209
