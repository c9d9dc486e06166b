import pytest
from made_results import result

from dextr_vos.benchmark.calibration import calibration
from dextr_vos.benchmark.result import ObjectSeries
from dextr_vos.benchmark.statistics import Series

DRAWN = Series("gt", "even", "lite")


def of(iou, confidence, keyframes=1):
    series = ObjectSeries(object=1, j=iou, f=iou, confidence=confidence)
    return result("bear", "gt", keyframes, 0.5, objects=(series,))


def test_expected_and_true_iou_are_compared_mask_by_mask():
    found = calibration([of((0.9, 0.5, 0.5, 0.7), (1.0, 0.7, 0.8, 0.6))], DRAWN, 1)
    assert found.masks == 4
    assert found.error == pytest.approx((0.1 + 0.2 + 0.3 + 0.1) / 4)
    assert found.bias == pytest.approx((0.1 + 0.2 + 0.3 - 0.1) / 4)
    assert (found.poor, found.poor_marked) == (2, 1)
    assert (found.marked, found.marked_rightly) == (2, 2)


def test_masks_of_keyframes_say_nothing():
    # frame 2 of 6 is the second scored one, and a keyframe
    found = calibration([of((0.9, 0.1, 0.9, 0.9), (0.9, 1.0, 0.9, 0.9), keyframes=3)], DRAWN, 3)
    assert found.masks == 2
    assert found.error == 0


def test_older_results_without_confidence_are_left_out():
    assert calibration([result("bear", "gt", 1, 0.5)], DRAWN, 1) is None
