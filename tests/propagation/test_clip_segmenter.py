import numpy as np
import pytest
from conftest import tiny_frame, tiny_mask
from tiny_run import stop_after

from dextr_vos.clip import open_clip
from dextr_vos.errors import InputError, Interrupted
from dextr_vos.propagation.clip_segmenter import ClipSegmenter, keyframe_iou
from dextr_vos.propagation.keyframes import AnnotatedClip, FramePrediction, keyframes_from_labels
from dextr_vos.propagation.settings import Callbacks


def two_objects(index):
    labels = 3 * tiny_mask(index)
    labels[38:46, 10:50] = 7
    return labels


class Truth:
    """A propagator of perfect masks, of one pass forward and one backward where there are two keyframes."""

    def __init__(self, masks=two_objects, ids=(3, 7), agreement=1.0, prob=1.0):
        self.masks, self.ids, self.agreement, self.prob, self.begun = masks, ids, agreement, prob, []

    def passes(self, span):
        return 1 if span.before is None or span.after is None else 2

    def steps(self, part):
        return (part.end + 1 - part.begin) * self.passes(part.span)

    def prediction(self, index):
        probs = np.stack([self.masks(index) == each for each in self.ids]) * np.float32(self.prob)
        agreement = np.full(len(self.ids), self.agreement, np.float32)
        return FramePrediction(index, tiny_frame(index), probs, agreement, np.ones_like(agreement))

    def propagate(self, part, on_step, on_known=lambda: None):
        self.begun.append(part.begin)
        for index in range(part.begin, part.end + 1):
            for _ in range(self.passes(part.span) - 1):
                on_step()
            yield self.prediction(index)
            on_step()

    def repeat(self, index):
        return self.prediction(index)


@pytest.fixture
def annotate(tiny_clip):
    def annotated(*indices, labels=two_objects):
        clip = open_clip(tiny_clip)
        return AnnotatedClip(clip, keyframes_from_labels({index: labels(index) for index in indices}, clip))

    return annotated


def test_every_frame_comes_in_order_with_labels_soft_masks_and_confidence(annotate):
    frames = list(ClipSegmenter(annotate(1, 4), Truth(agreement=0.5), {}).frames())
    assert [frame.index for frame in frames] == list(range(6))
    for frame in frames:
        assert frame.is_keyframe == (frame.index in (1, 4))
        assert frame.object_ids == (3, 7)
        assert frame.labels.dtype == np.uint8
        assert np.array_equal(frame.labels, two_objects(frame.index))
        assert (frame.probabilities.shape, frame.probabilities.dtype) == ((2, 48, 64), np.float32)
        assert np.array_equal(frame.probabilities, [two_objects(frame.index) == each for each in (3, 7)])
        assert frame.confidence == dict.fromkeys((3, 7), 1.0 if frame.is_keyframe else 0.5)


def test_labels_of_keyframes_are_those_given_void_too(annotate):
    def with_void(index):
        labels = two_objects(index)
        labels[:4] = 255
        return labels

    frames = list(ClipSegmenter(annotate(2, labels=with_void), Truth(), {}).frames([2]))
    assert [np.array_equal(frame.labels, with_void(2)) for frame in frames] == [True]


def test_small_components_are_removed_by_object(annotate):
    def with_specks(index):
        labels = two_objects(index)
        labels[0:2, 0:2], labels[0:2, 60:62] = 3, 7
        return labels

    (frame,) = ClipSegmenter(annotate(0), Truth(with_specks, prob=0.55), {7: 0.2}).frames([1])
    assert (frame.labels[0, 0], frame.labels[0, 60]) == (3, 0)


@pytest.mark.parametrize(
    ("wanted", "begun"),
    [
        ([], []),
        ([1, 4], []),  # keyframes need no network
        ([0], [0]),
        ([3], [3]),
        ([2, 3, 5], [2, 5]),
        (None, [0, 2, 5]),
    ],
)
def test_only_what_is_wanted_is_segmented(annotate, wanted, begun):
    truth = Truth()
    frames = list(ClipSegmenter(annotate(1, 4), truth, {}).frames(wanted))
    assert [frame.index for frame in frames] == (list(range(6)) if wanted is None else wanted)
    assert truth.begun == begun


@pytest.mark.parametrize(("wanted", "total"), [(None, 2 + 1 + 2 * 2 + 1), ([1], 1), ([3], 2), ([0, 4], 2)])
def test_progress_counts_each_pass_and_ends_at_its_total(annotate, wanted, total):
    reported = []
    callbacks = Callbacks(on_frame=lambda *counts: reported.append(counts))
    list(ClipSegmenter(annotate(1, 4), Truth(), {}, callbacks).frames(wanted))
    assert reported == [(done, total) for done in range(1, total + 1)]


def test_a_stop_is_an_interruption_that_counts_what_is_done(annotate):
    callbacks = Callbacks(stop_asked=stop_after(2))
    frames = ClipSegmenter(annotate(1, 4), Truth(), {}, callbacks).frames()
    found = []
    with pytest.raises(Interrupted, match="after 4 of 8 steps, everything is kept; the same command"):
        found.extend(frames)
    assert [frame.index for frame in found] == [0, 1, 2]
    assert next(frames, None) is None


def test_results_come_as_soon_as_they_are_there(annotate):
    steps = []
    callbacks = Callbacks(on_frame=lambda done, _: steps.append(done))
    frames = ClipSegmenter(annotate(0), Truth(), {}, callbacks).frames()
    assert next(frames).index == 0
    assert next(frames).index == 1
    assert len(steps) < 6


def test_an_unreadable_frame_is_an_error(annotate, tiny_clip):
    annotated = annotate(0)
    (tiny_clip / "00003.png").write_bytes(b"half")

    class Reading(Truth):
        def prediction(self, index):
            annotated.read(index)
            return super().prediction(index)

    with pytest.raises(InputError, match=r"00003\.png"):
        list(ClipSegmenter(annotated, Reading(), {}).frames())


def test_a_network_that_repeats_its_keyframes_has_an_iou_of_one(annotate):
    assert keyframe_iou(annotate(1, 4), Truth()) == {3: 1.0, 7: 1.0}


def test_the_iou_of_an_object_is_the_mean_over_the_keyframes_that_show_it(annotate):
    def found(index):  # half of object 3 in frame 4, and an object 7 that frame 1 does not show
        labels = two_objects(index)
        if index == 4:
            labels[24:34][labels[24:34] == 3] = 0
        return labels

    def truth(index):
        labels = two_objects(index)
        if index == 1:
            labels[labels == 7] = 0
        return labels

    assert keyframe_iou(annotate(1, 4, labels=truth), Truth(found)) == {3: pytest.approx(0.75), 7: 1.0}


def test_void_does_not_count_in_the_iou(annotate):
    def with_void(index):
        labels = two_objects(index)
        labels[24:34][labels[24:34] == 3] = 255
        return labels

    assert keyframe_iou(annotate(1, labels=with_void), Truth()) == {3: 1.0, 7: 1.0}
