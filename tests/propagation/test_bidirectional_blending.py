"""What two passes make of a frame together."""

import numpy as np
import pytest
from recording_tracker import BACKWARD, FORWARD, SIZE_HW, Recorder, TwoWays, ignore

from dextr_vos.propagation.keyframes import Span, SpanPart
from dextr_vos.propagation.settings import TrackingSettings

HALF = np.zeros(SIZE_HW)  # as large as an object in the keyframes
HALF[:, : SIZE_HW[1] // 2] = 1


def test_passes_are_blended_by_the_distance_in_time(make):
    forward = backward = 1.0  # inside the first object, as in both keyframes
    forwards, backwards = [], []
    for _ in range(3):
        forward, backward = (
            round(255 * (was + to) / 2) / 255 for was, to in ((forward, FORWARD), (backward, BACKWARD))
        )
        forwards.append(forward)
        backwards.insert(0, backward)
    propagator, _ = make(2, 6)
    found = list(propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore))
    for each, one, other, share in zip(found, forwards, backwards, (0.25, 0.5, 0.75), strict=True):
        inside = each.probs[0, :, : SIZE_HW[1] // 2]
        assert inside == pytest.approx((1 - share) * one + share * other, abs=0.01)


def test_agreement_is_the_soft_iou_of_both_passes_with_their_mean(make):
    """A pass that counts little, since its keyframe is far away, may be as different as it likes."""
    propagator, _ = make(2, 6, tracker=TwoWays(0.9 * HALF, 0.6 * HALF))
    found = list(propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore))
    for each, share in zip(found, (0.25, 0.5, 0.75), strict=True):
        for k, (one, other) in enumerate(((0.9, 0.6), (0.6, 0.9))):
            mean = (1 - share) * one + share * other
            expected = sum(
                weight * min(value, mean) / max(value, mean)
                for weight, value in ((1 - share, one), (share, other))
            )
            assert each.agreement[k] == pytest.approx(expected, abs=0.01)


@pytest.fixture
def blended(make):
    """A frame between the keyframes 2 and 6, of two passes that disagree."""

    def blend(one, other, confidence_power, index, folder="soft", qualities=None):
        tracking = TrackingSettings(max_recent=0, confidence_power=confidence_power)
        tracker = TwoWays(one, other, qualities)
        propagator, _ = make(2, 6, folder=folder, tracking=tracking, tracker=tracker)
        return list(propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore))[index - 3]

    return blend


@pytest.mark.parametrize(("index", "share"), [(3, 0.25), (4, 0.5), (5, 0.75)])
@pytest.mark.parametrize("qualities", [(0.8, 0.4), (0.4, 0.8)])
def test_the_pass_that_the_network_thinks_better_counts_more(blended, index, share, qualities):
    """However sure its soft masks are."""
    sure, unsure = 0.9 * HALF, 0.6 * HALF
    plain = blended(sure, unsure, 0.0, index, "plain", qualities).probs[:, 0, 0]
    weighted = blended(sure, unsure, 4.0, index, "weighted", qualities)
    assert plain == pytest.approx(
        [(1 - share) * 0.9 + share * 0.6, (1 - share) * 0.6 + share * 0.9], abs=0.01
    )
    ratio = (qualities[1] / qualities[0]) ** 4
    shares = np.array([share * ratio / (1 - share + share * ratio), share / ((1 - share) * ratio + share)])
    there, back = np.array([0.9, 0.6]), np.array([0.6, 0.9])
    assert weighted.probs[:, 0, 0] == pytest.approx((1 - shares) * there + shares * back, abs=0.01)
    there = np.array(qualities)
    assert weighted.iou_estimate == pytest.approx((1 - shares) * there + shares * there[::-1], abs=0.01)


def present():
    mask = np.zeros(SIZE_HW)
    mask[2:12, 2:12] = 0.95
    return mask


@pytest.mark.parametrize("residue", [0.0, 1 / 255, 0.05, 0.3])
def test_a_pass_that_lost_an_object_counts_by_time_alone(blended, residue):
    lost = np.full(SIZE_HW, residue)
    found = blended(present(), lost, 8.0, 5).probs[:, 5, 5]
    expected = [0.25 * 0.95 + 0.75 * residue, 0.75 * 0.95 + 0.25 * residue]
    assert found == pytest.approx(expected, abs=0.01)


def test_one_object_may_be_lost_while_the_other_is_not(make):
    """The forward pass has both, the backward one a haze of one, with no confidence in it."""
    haze = np.full(SIZE_HW, 0.4)

    class OneLost(Recorder):
        def probs(self, before, forward):
            return np.stack([present() if forward else haze, present()]).astype(np.float32)

    propagator, _ = make(2, 6, tracking=TrackingSettings(max_recent=0), tracker=OneLost())
    middle = list(propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore))[1].probs[:, 5, 5]
    assert middle == pytest.approx([(0.95 + 0.4) / 2, 0.95], abs=0.01)


def test_an_object_that_fades_does_not_flicker(blended):
    """A pass that finds less and less of it, step by step, down to nothing."""
    before = None
    for pixels in range(100):
        fading = np.zeros(SIZE_HW)
        rest = np.zeros((10, 10))
        rest.flat[:pixels] = 0.6
        fading[2:12, 2:12] = rest
        now = blended(present(), fading, 8.0, 4, str(pixels)).probs[:, 11, 11]
        assert before is None or np.abs(now - before).max() < 0.1
        before = now


def test_two_passes_of_no_confidence_are_blended_by_time(blended):
    haze = np.full(SIZE_HW, 0.4)
    haze[8, 8] = 0.51
    found = blended(haze, haze, 40.0, 5)
    assert found.probs[:, 8, 8] == pytest.approx([0.51, 0.51], abs=0.01)
    other = haze.copy()
    other[8, 8] = 0.6
    found = blended(haze, other, 1.0, 5, "other")
    assert 0.51 < found.probs[0, 8, 8] < 0.6
