"""A pass whose mask takes in what is beside the object."""

import numpy as np
import pytest
from recording_tracker import SIZE_HW, Recorder, index_of, write_clip

from dextr_vos.clip import open_clip
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.keyframes import AnnotatedClip, Span, SpanPart, keyframes_from_labels
from dextr_vos.propagation.settings import TrackingSettings

FRAMES, FIRST_GROWN = 8, 3
LABELS = np.zeros(SIZE_HW, np.uint8)
LABELS[4:10, 4:10] = 1


NEARER = np.zeros((1, *SIZE_HW), np.float32)
NEARER[:, 4:10, 4:11] = 0.9
TWICE = NEARER.copy()
TWICE[:, 4:10, 11:18] = 0.9


class Growing(Recorder):
    """An object that comes a little nearer, as flow says, too; forward, twice of it is found soon after."""

    def guides(self, before, image_rgb, objects):
        return np.maximum(before.probs, NEARER)

    def segment(self, features, memories):
        self.here = index_of(features.image_rgb)
        return super().segment(features, memories)

    def probs(self, before, forward):
        return TWICE if forward and self.here >= FIRST_GROWN else NEARER

    def iou_estimate(self, probs, forward):
        return np.array([0.8], np.float32)


@pytest.fixture
def make(tmp_path):
    clip = open_clip(write_clip(tmp_path / "clip", [0] * FRAMES))

    def propagated(*keyframes):
        annotated = AnnotatedClip(clip, keyframes_from_labels(dict.fromkeys(keyframes, LABELS), clip))
        propagator = BidirectionalPropagator(
            annotated, SIZE_HW, Growing(), TrackingSettings(), tmp_path / "soft"
        )
        span = Span(1, 6, 0, 7) if 7 in keyframes else Span(1, 7, 0, None)
        return list(propagator.propagate(SpanPart(span, span.first, span.last), lambda: None))

    return propagated


def test_what_it_expects_of_a_mask_falls_with_the_share_that_can_be_the_object(make):
    estimates = [float(each.iou_estimate[0]) for each in make(0)]
    assert estimates[: FIRST_GROWN - 1] == pytest.approx([0.8] * 2, abs=0.01)
    assert estimates[FIRST_GROWN - 1 :] == pytest.approx([0.8 * 1.25 * 1.15 * 36 / 84] * 5, abs=0.01)


def test_the_other_pass_is_preferred(make):
    for each in make(0, 7):
        assert np.array_equal(each.probs > 0.5, NEARER > 0.5)


def test_a_pass_that_resumes_knows_how_large_the_object_was(make, tmp_path):
    expected = make(0)
    files = sorted((tmp_path / "soft").rglob("*.png"))
    assert len(files) == len(expected)
    for file in files[4:]:
        file.unlink()
    for one, other in zip(make(0), expected, strict=True):
        assert np.array_equal(one.iou_estimate, other.iou_estimate)
