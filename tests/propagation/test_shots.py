from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import tiny_frame
from recording_tracker import SIZE_HW, Recorder, annotated_clip, write_clip

from dextr_vos.clip import open_clip
from dextr_vos.errors import Interrupted
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.keyframes import Span, SpanPart
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.shots import FrameSummary, is_cut, typical_difference


def scene(seed: int, size_hw=(90, 160)) -> np.ndarray:
    """Coarse colours of one hue or another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 120, (12, 20, 3), dtype=np.uint8)
    coarse[..., seed % 3] += 120
    return cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)


def cut_between(before: np.ndarray, now: np.ndarray) -> bool:
    return is_cut(FrameSummary.of(before), FrameSummary.of(now))


def test_frames_of_two_scenes_are_divided_by_a_cut():
    for one in range(3):
        for other in range(3):
            assert cut_between(scene(one), scene(other)) == (one != other)


def test_an_object_that_moves_makes_no_cut():
    assert not any(cut_between(tiny_frame(index), tiny_frame(index + 1)) for index in range(5))


@pytest.mark.parametrize(("rows", "columns"), [(0, 20), (10, 0), (8, -18)])
def test_a_camera_that_moves_makes_no_cut(rows, columns):
    wide = scene(0, (150, 260))
    before, now = wide[30:120, 50:210], wide[30 + rows : 120 + rows, 50 + columns : 210 + columns]
    assert not cut_between(before, now)


def test_light_that_changes_a_little_makes_no_cut():
    assert not cut_between(scene(1), cv2.convertScaleAbs(scene(1), alpha=0.95, beta=2))


@pytest.mark.parametrize("size_hw", [(16, 16), (16, 60), (500, 90)])
def test_frames_of_any_size(size_hw):
    assert not cut_between(scene(0, size_hw), scene(0, size_hw))
    assert cut_between(scene(0, size_hw), scene(1, size_hw))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_frames_of_one_colour_are_alike(level):
    """A template of one colour correlates with nothing; still, black follows black without a cut."""
    flat = np.full((90, 160, 3), level, np.uint8)
    assert not cut_between(flat, flat)
    assert cut_between(flat, scene(0))
    assert cut_between(scene(0), flat)


def test_a_clip_whose_frames_all_differ_has_no_cuts():
    """As one of few frames a second."""
    frames = [scene(seed) for seed in (0, 1, 2, 0, 1)]
    typical = typical_difference(frames.__getitem__, len(frames))
    pairs = list(pairwise(map(FrameSummary.of, frames)))
    assert all(is_cut(*pair) for pair in pairs)
    assert not any(is_cut(*pair, typical) for pair in pairs)
    assert typical_difference(frames.__getitem__, 1) == 0.0


@pytest.fixture
def make(tmp_path):
    """Makes a propagator for a clip of shots, and its tracker."""
    clips = {}

    def propagator(shots, *keyframes, folder="soft", **settings):
        clip = clips.get(shots) or open_clip(write_clip(tmp_path / f"clip-{len(clips)}", shots))
        clips[shots] = clip
        tracking, tracker = TrackingSettings(**{"max_recent": 0, **settings}), Recorder()
        annotated = annotated_clip(clip, *keyframes)
        return BidirectionalPropagator(annotated, SIZE_HW, tracker, tracking, tmp_path / folder), tracker

    return propagator


def ignore():
    pass


def test_each_side_of_a_cut_is_tracked_from_its_own_keyframe(make):
    propagator, recorder = make((0, 0, 0, 1, 1, 1, 1), 0, 6)
    found = list(propagator.propagate(SpanPart(Span(1, 5, 0, 6), 1, 5), ignore))
    assert recorder.steps == [(6, 5), (5, 4), (4, 3), (0, 1), (1, 2)]
    assert [each.index for each in found] == [1, 2, 3, 4, 5]
    # with one pass there is nothing to agree with
    assert all((each.agreement == 1).all() for each in found)
    # and nothing of the other pass is in the masks
    forward, backward = make((0, 0, 0), 0, folder="a")[0], make((1, 1, 1, 1), 3, folder="b")[0]
    alone = [
        *forward.propagate(SpanPart(Span(1, 2, 0, None), 1, 2), ignore),
        *backward.propagate(SpanPart(Span(0, 2, None, 3), 0, 2), ignore),
    ]
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(one.probs, other.probs)
        assert np.array_equal(one.quality, other.quality)


def test_nothing_is_found_in_a_shot_without_a_keyframe(make):
    propagator, recorder = make((0, 0, 1, 1, 2, 2), 0, 5)
    found = list(propagator.propagate(SpanPart(Span(1, 4, 0, 5), 1, 4), ignore))
    assert recorder.steps == [(5, 4), (0, 1)]
    assert [bool(each.probs.any()) for each in found] == [True, False, False, True]
    assert [bool(each.quality.any()) for each in found] == [True, False, False, True]


@pytest.mark.parametrize(("keyframe", "span"), [(0, Span(1, 7, 0, None)), (7, Span(0, 6, None, 7))])
def test_a_pass_to_the_end_of_a_clip_ends_at_a_cut_too(make, keyframe, span):
    """Also where the first shot comes back: who is to know that it does?"""
    propagator, recorder = make((0, 0, 1, 1, 1, 1, 0, 0), keyframe)
    found = list(propagator.propagate(SpanPart(span, span.first, span.last), ignore))
    near = 1 if keyframe == 0 else 6
    assert [each.index for each in found if each.probs.any()] == [near]
    assert len(recorder.steps) == 1


def test_a_pass_goes_on_after_a_flash(make):
    propagator, recorder = make((0, 0, 1, 1, 1, 0, 0), 0)
    found = list(propagator.propagate(SpanPart(Span(1, 6, 0, None), 1, 6), ignore))
    assert [bool(each.probs.any()) for each in found] == [True, False, False, False, True, True]
    assert recorder.steps == [(0, 1), (1, 5), (5, 6)]


def test_the_shot_of_a_keyframe_may_have_one_frame(make):
    propagator, recorder = make((0, 1, 1, 1), 0, 3)
    found = list(propagator.propagate(SpanPart(Span(1, 2, 0, 3), 1, 2), ignore))
    assert recorder.steps == [(3, 2), (2, 1)]
    assert all(each.probs.any() for each in found)


def test_frames_beyond_a_cut_are_not_memorized(make):
    propagator, recorder = make((0, 0, 0, 1, 1, 1), 0, max_recent=2, mem_every=1)
    list(propagator.propagate(SpanPart(Span(1, 5, 0, None), 1, 5), ignore))
    assert sorted(recorder.memorized) == [0, 1, 2]


def test_cuts_are_ignored_if_asked(make):
    propagator, recorder = make((0, 0, 1, 1, 2, 2), 0, across_cuts=True)
    found = list(propagator.propagate(SpanPart(Span(1, 5, 0, None), 1, 5), ignore))
    assert recorder.steps == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert all(each.probs.any() for each in found)


@pytest.mark.parametrize("calls", range(9))
def test_a_pass_stopped_beyond_a_cut_resumes(make, calls):
    shots, span = (0, 0, 0, 1, 1, 1), Span(1, 4, 0, 5)
    expected = list(make(shots, 0, 5, folder="whole")[0].propagate(SpanPart(span, 1, span.last), ignore))
    left = iter(range(calls))

    def step():
        if next(left, None) is None:
            raise Interrupted("enough")

    made = []
    try:
        made.extend(make(shots, 0, 5)[0].propagate(SpanPart(span, 1, span.last), step))
    except Interrupted:
        assert calls < 8
    found = list(make(shots, 0, 5)[0].propagate(SpanPart(span, 1 + len(made), span.last), ignore))
    for one, other in zip(found, expected[len(made) :], strict=True):
        assert np.array_equal(one.probs, other.probs)
        assert np.array_equal(one.agreement, other.agreement)
