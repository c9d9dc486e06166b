"""A pass whose mask takes in what is beside the object."""

import numpy as np
import pytest
import torch
from recording_tracker import SIZE_HW, Recorder, index_of, write_clip

from dextr_vos.clip import open_clip
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.keyframes import AnnotatedClip, SpanPart, keyframes_from_labels, spans_between
from dextr_vos.propagation.settings import TrackingSettings

FRAMES, FIRST_GROWN = 8, 3
LABELS = np.zeros(SIZE_HW, np.uint8)
LABELS[4:10, 4:10] = 1


NEARER = np.zeros((1, *SIZE_HW), np.float32)
NEARER[:, 4:10, 4:11] = 0.9
TWICE = NEARER.copy()
TWICE[:, 4:10, 11:18] = 0.9


class Growing(Recorder):
    """An object that comes a little nearer, as flow says, too; one way, twice of it is found soon after."""

    def __init__(self, grows_forward):
        super().__init__()
        self.grows_forward = grows_forward

    def guides(self, before, image_rgb, objects):
        return torch.maximum(before.probs, torch.from_numpy(NEARER))

    def segment(self, features, memories):
        here = index_of(features.image_rgb)
        self.away = here if self.grows_forward else FRAMES - 1 - here
        return super().segment(features, memories)

    def probs(self, before, forward):
        return TWICE if forward == self.grows_forward and self.away >= FIRST_GROWN else NEARER

    def iou_estimate(self, probs, forward):
        return np.array([0.8], np.float32)


@pytest.fixture(params=[True, False], ids=["forward", "backward"])
def make(request, tmp_path):
    """Predictions in the order of the pass that grows, and how many frames were segmented."""
    clip = open_clip(write_clip(tmp_path / "clip", [0] * FRAMES))
    forward = request.param

    def propagated(both=False):
        keyframes = [0, FRAMES - 1] if both else [0] if forward else [FRAMES - 1]
        annotated = AnnotatedClip(clip, keyframes_from_labels(dict.fromkeys(keyframes, LABELS), clip))
        tracker = Growing(forward)
        propagator = BidirectionalPropagator(
            annotated, SIZE_HW, tracker, TrackingSettings(), tmp_path / "soft"
        )
        (span,) = spans_between(annotated.keyframes, FRAMES)
        found = list(propagator.propagate(SpanPart(span, span.first, span.last), lambda: None))
        return found[:: 1 if forward else -1], len(tracker.steps)

    return propagated


def test_a_mask_agrees_with_the_share_of_it_that_can_be_the_object(make):
    found, _ = make()
    agreement = [float(each.agreement[0]) for each in found]
    assert agreement[: FIRST_GROWN - 1] == [1, 1]
    assert agreement[FIRST_GROWN - 1 :] == pytest.approx([(1 + 1.25 * 7 / 14) / 2] * 5)
    # neither the masks nor the network's estimate change
    assert [float(each.iou_estimate[0]) for each in found] == pytest.approx([0.8] * 7, abs=0.01)
    assert np.array_equal(found[-1].probs > 0.5, TWICE > 0.5)


def test_each_pass_counts_as_much_as_its_masks(make):
    one, _, *grown = (float(each.agreement[0]) for each in make(both=True)[0])
    assert one == pytest.approx(1)
    # the mean of both masks has the object alone or, near the keyframe where it grows from, twice of it
    for share, agreement in zip([3 / 7, 4 / 7, 5 / 7, 6 / 7], grown, strict=True):
        mean = np.where(NEARER > 0.5, 0.9, np.where(TWICE > 0.5, (1 - share) * 0.9, 0))
        growing = np.minimum(TWICE, mean).sum() / np.maximum(TWICE, mean).sum() * (1 + 0.625) / 2
        other = np.minimum(NEARER, mean).sum() / np.maximum(NEARER, mean).sum()
        assert agreement == pytest.approx((1 - share) * growing + share * other, abs=0.01)


@pytest.mark.parametrize("both", [False, True])
def test_a_pass_that_resumes_knows_how_large_the_object_was(make, tmp_path, both):
    expected, steps = make(both)
    files = sorted((tmp_path / "soft").rglob("*.png"))
    assert len(files) == steps
    # each pass was stopped after its fourth frame
    stopped = [each for each in files if (int(each.stem) > 4) == each.parent.name.endswith("forward")]
    for file in stopped:
        file.unlink()
    found, steps = make(both)
    assert steps == len(stopped)
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.agreement, other.agreement)
