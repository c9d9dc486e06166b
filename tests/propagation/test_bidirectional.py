import numpy as np
import pytest
import torch
from recording_tracker import (
    FRAMES,
    KEYFRAMES_ALONE,
    SIZE_HW,
    Recorder,
    annotated_clip,
    ignore,
    index_of,
    stop_at,
)

from dextr_vos.errors import InputError, Interrupted
from dextr_vos.propagation import bidirectional
from dextr_vos.propagation.bidirectional import BidirectionalPropagator, masked_frame
from dextr_vos.propagation.confidence import expected_iou
from dextr_vos.propagation.keyframes import Span, SpanPart, spans_between
from dextr_vos.propagation.settings import TrackingSettings


def frames_of(span: Span) -> list[int]:
    return list(range(span.first, span.last + 1))


@pytest.mark.parametrize("size_hw", [(16, 24), (8, 12), (16, 10)])
def test_a_keyframe_is_resized_and_no_share_of_an_object_is_lost(size_hw):
    image = np.random.default_rng(0).integers(0, 255, (*SIZE_HW, 3), dtype=np.uint8)
    labels = np.zeros(SIZE_HW, np.uint8)
    labels[3:9, 4:12], labels[11:14, 3:20] = 1, 2
    frame = masked_frame(image, labels, (1, 2, 9), size_hw)
    assert frame.image_rgb.shape == (*size_hw, 3)
    assert (frame.probs.shape, frame.probs.dtype) == ((3, *size_hw), torch.float32)
    scale = size_hw[0] * size_hw[1] / (SIZE_HW[0] * SIZE_HW[1])
    for channel, object_id in enumerate((1, 2, 9)):
        assert frame.probs[channel].sum().item() == pytest.approx(
            scale * (labels == object_id).sum(), rel=1e-3
        )
    assert frame.probs.sum(0).max() <= 1 + 1e-6


def test_a_span_is_passed_from_both_keyframes(make):
    propagator, recorder = make(2, 6)
    span = spans_between([2, 6], FRAMES)[1]
    found = list(propagator.propagate(SpanPart(span, span.first, span.last), ignore))
    assert [each.index for each in found] == [3, 4, 5]
    assert [index_of(each.image_rgb) for each in found] == [3, 4, 5]
    assert recorder.steps == [(6, 5), (5, 4), (4, 3), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize(
    ("span", "steps"),
    [
        (Span(0, 2, None, 3), [(3, 2), (2, 1), (1, 0)]),
        (Span(9, 11, 8, None), [(8, 9), (9, 10), (10, 11)]),
    ],
)
def test_the_ends_of_a_clip_have_one_pass(make, span, steps):
    propagator, recorder = make(3, 8)
    found = list(propagator.propagate(SpanPart(span, span.first, span.last), ignore))
    assert recorder.steps == steps
    assert [each.index for each in found] == frames_of(span)
    assert all((each.agreement == 1).all() for each in found)
    assert all(each.iou_estimate == pytest.approx(expected_iou(each.probs), abs=0.01) for each in found)
    order = 1 if span.after is None else -1
    levels = [float(each.probs[0, 0, 0]) for each in found][::order]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 3


@pytest.mark.parametrize("keyframes", [(3,), (0,), (11,), (3, 8), (0, 5, 11), (2, 4, 9)])
@pytest.mark.parametrize("both", [True, False])
def test_every_frame_of_every_pass_is_reported_once(make, keyframes, both):
    propagator, recorder = make(
        *keyframes, tracking=TrackingSettings(max_recent=0, confidence_power=0.0, bidirectional=both)
    )
    for span in spans_between(keyframes, FRAMES):
        reported = []
        list(
            propagator.propagate(
                SpanPart(span, span.first, span.last), lambda reported=reported: reported.append(1)
            )
        )
        assert len(reported) == propagator.steps(SpanPart(span, span.first, span.last))
    assert len(recorder.steps) == len(set(recorder.steps))


def test_the_nearest_keyframes_are_in_memory(make):
    keyframes = (0, 2, 5, 7, 9, 11)
    propagator, recorder = make(*keyframes)
    for span in spans_between(keyframes, FRAMES):
        list(propagator.propagate(SpanPart(span, span.first, span.last), ignore))
    assert set(recorder.memories) == {1, 3, 4, 6, 8, 10}
    for index, memories in recorder.memories.items():
        assert len(memories) == KEYFRAMES_ALONE.max_keyframes
        assert memories == sorted(memories)
        beside = {max(each for each in keyframes if each < index), min(k for k in keyframes if k > index)}
        assert beside <= set(memories)
    assert recorder.memories[3] == recorder.memories[4] == [0, 2, 5, 7]
    assert recorder.memories[10] == [5, 7, 9, 11]
    assert sorted(recorder.memorized) == list(keyframes)  # once each


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_long_spans_are_read_backward_piece_by_piece(make, monkeypatch, piece):
    span = Span(1, 9, 0, 10)
    at_once, _ = make(0, 10, folder="a")
    expected = [each.probs for each in at_once.propagate(SpanPart(span, 1, span.last), ignore)]
    monkeypatch.setattr(bidirectional, "_FRAMES_AT_ONCE", piece)
    propagator, recorder = make(0, 10, folder="b")
    found = [each.probs for each in propagator.propagate(SpanPart(span, 1, span.last), ignore)]
    assert recorder.steps[:9] == [(index + 1, index) for index in range(9, 0, -1)]
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


@pytest.mark.parametrize("span", [Span(3, 6, 2, 7), Span(0, 4, None, 5), Span(8, 11, 7, None)])
def test_a_stopped_pass_resumes(make, span):
    keyframes = [each for each in (span.before, span.after) if each is not None]
    whole, recorder = make(*keyframes, folder="whole")
    expected = list(whole.propagate(SpanPart(span, span.first, span.last), ignore))
    for calls in range(len(recorder.steps)):
        folder = f"stopped-{calls}"
        first, done = make(*keyframes, folder=folder)
        made = []
        with pytest.raises(Interrupted):
            made.extend(first.propagate(SpanPart(span, span.first, span.last), stop_at(calls)))
        begin = span.first + len(made)
        second, rest = make(*keyframes, folder=folder)
        found = list(second.propagate(SpanPart(span, begin, span.last), ignore))
        assert [each.index for each in found] == list(range(begin, span.last + 1))
        for one, other in zip(found, expected[len(made) :], strict=True):
            assert np.array_equal(one.probs, other.probs)
            assert np.array_equal(one.agreement, other.agreement)
            assert np.array_equal(one.iou_estimate, other.iou_estimate)
        # nothing is segmented twice but, at most, the frame at which it was stopped
        assert len(done.steps) + len(rest.steps) <= len(recorder.steps) + 1


@pytest.mark.parametrize("span", [Span(3, 6, 2, 7), Span(0, 4, None, 5), Span(8, 11, 7, None)])
def test_frames_computed_ahead_are_the_same_and_kept_at_a_stop(make, span):
    """As on a GPU, which computes the next frame while masks are on their way."""
    keyframes = [each for each in (span.before, span.after) if each is not None]
    part = SpanPart(span, span.first, span.last)
    plain, recorder = make(*keyframes, folder="plain")
    expected = list(plain.propagate(part, ignore))
    ahead, _ = make(*keyframes, folder="ahead", tracker=Recorder(frames_ahead=1))
    assert same_predictions(ahead.propagate(part, ignore), expected)
    for calls in range(len(recorder.steps)):
        folder = f"stopped-{calls}"
        stopped, done = make(*keyframes, folder=folder, tracker=Recorder(frames_ahead=1))
        with pytest.raises(Interrupted):
            list(stopped.propagate(part, stop_at(calls)))
        resumed, rest = make(*keyframes, folder=folder, tracker=Recorder(frames_ahead=1))
        assert same_predictions(resumed.propagate(part, ignore), expected)
        assert len(done.steps) + len(rest.steps) == len(recorder.steps)  # none twice


@pytest.mark.parametrize(("frames_ahead", "segmented"), [(0, [1, 2, 3]), (1, [2, 3, 3])])
def test_a_frame_is_delivered_while_the_next_is_computed_where_that_helps(make, frames_ahead, segmented):
    propagator, recorder = make(2, tracker=Recorder(frames_ahead))
    found = propagator.propagate(SpanPart(Span(3, 5, 2, None), 3, 5), ignore)
    assert [(len(recorder.steps), each.index) for each in found] == list(
        zip(segmented, (3, 4, 5), strict=True)
    )


@pytest.mark.parametrize("frames_ahead", [0, 1])
def test_frames_before_an_error_are_delivered(make, frames_ahead):
    class Failing(Recorder):
        def encode_next(self, before, image_rgb, objects):
            if index_of(image_rgb) == 6:
                raise InputError("it is broken")
            return super().encode_next(before, image_rgb, objects)

    propagator, _ = make(2, tracker=Failing(frames_ahead))
    found = propagator.propagate(SpanPart(Span(3, 8, 2, None), 3, 8), ignore)
    assert [next(found).index for _ in range(3)] == [3, 4, 5]
    with pytest.raises(InputError, match="it is broken"):
        next(found)


def test_at_a_stop_all_is_written_at_once(make, tmp_path):
    """Not only when the error is forgotten."""
    propagator, recorder = make(2, tracker=Recorder(frames_ahead=1))
    with pytest.raises(Interrupted) as stop:
        list(propagator.propagate(SpanPart(Span(3, 8, 2, None), 3, 8), stop_at(1)))
    written = len(list((tmp_path / "soft").rglob("*.png")))
    assert stop.value is not None
    assert written == len(recorder.steps) == 3


def test_what_is_there_is_not_written_again(make, tmp_path):
    part = SpanPart(Span(3, 6, 2, 7), 3, 6)
    first, _ = make(2, 7)
    list(first.propagate(part, ignore))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "soft").rglob("*.png")}
    second, recorder = make(2, 7)
    list(second.propagate(part, ignore))
    assert not recorder.steps
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "soft").rglob("*.png")} == before


def test_predictions_have_the_image_at_its_full_size(clip, tmp_path):
    propagator = BidirectionalPropagator(
        annotated_clip(clip, 2, 6), (8, 12), Recorder(), KEYFRAMES_ALONE, tmp_path / "small"
    )
    for each in propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore):
        assert (each.image_rgb.shape, each.probs.shape) == ((*SIZE_HW, 3), (2, 8, 12))


def same_predictions(found, expected):
    return all(
        one.index == other.index
        and np.array_equal(one.image_rgb, other.image_rgb)
        and np.array_equal(one.probs, other.probs)
        and np.array_equal(one.agreement, other.agreement)
        and np.array_equal(one.iou_estimate, other.iou_estimate)
        for one, other in zip(found, expected, strict=True)
    )


def test_frames_found_before_a_stop_are_reported_as_known(make):
    span = Span(3, 6, 2, 7)
    first, _ = make(2, 7)
    with pytest.raises(Interrupted):
        list(
            first.propagate(SpanPart(span, 3, span.last), stop_at(3))
        )  # the fourth frame of the backward pass
    second, recorder = make(2, 7)
    steps, known = [], []
    list(second.propagate(SpanPart(span, 3, span.last), lambda: steps.append(1), lambda: known.append(1)))
    assert (len(known), len(steps)) == (4, 4)
    assert len(recorder.steps) == 4


def test_the_last_frames_of_a_pass_are_memorized(make):
    propagator, recorder = make(0, tracking=TrackingSettings(max_recent=2, mem_every=3))
    list(propagator.propagate(SpanPart(Span(1, 11, 0, None), 1, 11), ignore))
    # every third frame of the pass, the last two of them, beside the keyframe
    assert recorder.memories[3] == [0]
    assert recorder.memories[4] == [0, 3]
    assert recorder.memories[7] == [0, 3, 6]
    assert recorder.memories[10] == recorder.memories[11] == [0, 6, 9]


def test_a_resumed_pass_memorizes_the_same_frames(make):
    tracking, span = TrackingSettings(max_recent=2, mem_every=2), Span(1, 9, 0, 10)
    whole, expected = make(0, 10, folder="whole", tracking=tracking)
    list(whole.propagate(SpanPart(span, 1, span.last), ignore))
    first, _ = make(0, 10, folder="stopped", tracking=tracking)
    with pytest.raises(Interrupted):
        list(first.propagate(SpanPart(span, 1, span.last), stop_at(14)))
    second, recorder = make(0, 10, folder="stopped", tracking=tracking)
    list(second.propagate(SpanPart(span, 6, span.last), ignore))
    assert {7, 8, 9} <= set(recorder.memories)  # 6 was done when it was stopped
    assert all(recorder.memories[index] == expected.memories[index] for index in recorder.memories)


def test_only_a_forward_pass_if_asked(make):
    propagator, recorder = make(2, 6, tracking=TrackingSettings(bidirectional=False))
    found = list(propagator.propagate(SpanPart(Span(3, 5, 2, 6), 3, 5), ignore))
    assert recorder.steps == [(2, 3), (3, 4), (4, 5)]
    assert [each.index for each in found] == [3, 4, 5]


@pytest.mark.parametrize("begin", [4, 6])
def test_missing_frames_of_a_pass_are_computed(make, begin):
    """Masks before `begin` are there, but not the soft masks that led to them."""
    span = Span(3, 6, 2, 7)
    whole, _ = make(2, 7, folder="whole")
    expected = list(whole.propagate(SpanPart(span, span.first, span.last), ignore))
    propagator, _ = make(2, 7, folder="empty")
    found = list(propagator.propagate(SpanPart(span, begin, span.last), ignore))
    assert [each.index for each in found] == list(range(begin, 7))
    for one, other in zip(found, expected[begin - 3 :], strict=True):
        assert np.array_equal(one.probs, other.probs)


def test_keyframes_are_memorized_again_once_the_network_has_changed(make):
    propagator, recorder = make(0, 4)
    list(propagator.propagate(SpanPart(Span(1, 3, 0, 4), 1, 3), ignore))
    propagator.forget()
    list(propagator.propagate(SpanPart(Span(5, 11, 4, None), 5, 11), ignore))
    assert sorted(recorder.memorized) == [0, 0, 4, 4]
    assert recorder.forgotten == 1
