import numpy as np
import pytest

from dextr_vos.propagation.postprocess import confidence, finished_labels
from dextr_vos.propagation.spans import FramePrediction


def followed(probs, agreement=None, size_hw=(20, 30)):
    probs = np.asarray(probs, np.float32)
    agreement = np.ones(len(probs), np.float32) if agreement is None else np.asarray(agreement, np.float32)
    return FramePrediction(0, np.zeros((*size_hw, 3), np.uint8), probs, agreement)


def flat(*levels):
    return [np.full((10, 15), level) for level in levels]


def test_sure_masks_are_trusted_and_doubtful_ones_less():
    sure = np.zeros((10, 15))
    sure[2:8, 3:9] = 1
    softer = np.where(sure > 0, 0.7, 0.1)
    doubtful = np.where(sure > 0, 0.55, 0.4)
    one, two, three = confidence(followed([sure, softer, doubtful]))
    assert one == 1.0
    assert one > two > three > 0


def test_confidence_is_the_overlap_that_is_to_be_expected():
    # 4 pixels at 0.8 are taken, 2 pixels at 0.4 are left out: 3.2 of 4 + 0.8
    probs = np.zeros((1, 2, 5))
    probs[0, 0, :4], probs[0, 1, :2] = 0.8, 0.4
    assert confidence(followed(probs)) == [pytest.approx(3.2 / 4.8, abs=1e-4)]


def test_passes_that_disagree_are_trusted_less():
    probs = flat(0.9, 0.9)
    agreeing, not_agreeing = confidence(followed(probs, [1.0, 0.5]))
    assert not_agreeing == pytest.approx(agreeing / 2, abs=1e-4)


def test_an_object_that_both_passes_miss_is_surely_gone():
    assert confidence(followed(flat(0.0))) == [1.0]


def test_labels_have_the_size_of_the_frame_and_the_numbers_of_the_objects():
    soft = np.zeros((2, 10, 15), np.float32)
    soft[0, :, :5], soft[1, :, 10:] = 0.9, 0.8
    labels = finished_labels(followed(soft, size_hw=(40, 60)), [3, 200])
    assert (labels.shape, labels.dtype) == ((40, 60), np.uint8)
    assert [np.unique(labels[:, start : start + 16]).tolist() for start in (0, 22, 44)] == [[3], [0], [200]]


def test_the_likelier_object_wins():
    labels = finished_labels(followed(flat(0.6, 0.7)), [1, 2])
    assert np.unique(labels).tolist() == [2]
    labels = finished_labels(followed(flat(0.4, 0.3)), [1, 2])
    assert np.unique(labels).tolist() == [0]


def test_labels_lack_parts_too_small_to_stay():
    soft = np.zeros((1, 20, 30), np.float32)
    soft[0, 2:12, 2:12], soft[0, 15:17, 20:23] = 0.9, 0.8
    whole, cleaned = finished_labels(followed(soft), [5]), finished_labels(followed(soft), [5], {5: 0.2})
    assert np.array_equal(whole == 5, soft[0] > 0.5)
    assert np.array_equal(cleaned == 5, soft[0] > 0.85)


def test_what_an_island_leaves_is_the_next_likely_object_s():
    soft = np.zeros((2, 20, 30), np.float32)
    soft[0, :, :10], soft[1, :, 10:] = 0.9, 0.8
    soft[0, 5:8, 20:23] = 0.95  # a false speck of the first within the second
    labels = finished_labels(followed(soft), [2, 7], {2: 0.2})
    assert np.array_equal(labels == 2, np.broadcast_to(np.arange(30) < 10, (20, 30)))
    assert np.array_equal(labels == 7, np.broadcast_to(np.arange(30) >= 10, (20, 30)))
    assert np.count_nonzero(finished_labels(followed(soft), [2, 7], {7: 0.2}) == 2) == 209
