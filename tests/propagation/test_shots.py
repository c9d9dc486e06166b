import cv2
import numpy as np
import pytest
from conftest import tiny_frame
from recording_tracker import SIZE_HW, Recorder, annotated_clip, write_clip

from dextr_vos.clip import open_clip
from dextr_vos.errors import Interrupted
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.keyframes import spans_between, wanted_parts
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.shots import Shots, StreamedShots, find_shots


def scene(seed: int, size_hw=(90, 160)) -> np.ndarray:
    """Coarse colours of one hue or another."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 120, (12, 20, 3), dtype=np.uint8)
    coarse[..., seed % 3] += 120
    return cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC)


def shots_of(*frames: np.ndarray) -> Shots:
    return find_shots(frames.__getitem__, len(frames))


def cut_between(before: np.ndarray, now: np.ndarray) -> bool:
    return shots_of(before, before, before, now, now, now) == Shots((3,))


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
    assert shots_of(*(scene(seed) for seed in (0, 1, 2, 0, 1))) == Shots()


def test_a_clip_of_one_frame_has_no_cuts():
    assert shots_of(scene(0)) == Shots()


@pytest.mark.parametrize(
    ("scenes", "shots"),
    [
        ((0, 0, 1, 1, 2, 2), Shots((2, 4))),
        ((0, 1, 1, 1, 1), Shots((1,))),
        ((0, 0, 0, 0, 1), Shots((4,))),
        ((0, 0, 1, 1, 1, 0, 0), Shots((), frozenset([2, 3, 4]))),
        ((0, 0, 0, 0, 1, 2, 0, 0, 0), Shots((), frozenset([4, 5]))),
        # who is to know that a shot comes back that was gone for longer?
        ((0, 0, 1, 1, 1, 1, 0, 0), Shots((2, 6))),
        ((0, 0, 1, 0, 0, 2, 2, 2), Shots((5,), frozenset([2]))),
    ],
)
def test_cuts_are_found_and_flashes_are_none(scenes, shots):
    assert shots_of(*map(scene, scenes)) == shots


@pytest.mark.parametrize("last_keyframe", [0, 2, 4, 5])
@pytest.mark.parametrize("scenes", ["000000000", "000111000", "000100000", "001122200", "000200111"])
def test_streamed_shots_lose_the_same_frames(scenes, last_keyframe):
    frames = [scene(int(each)) for each in scenes]
    after = range(last_keyframe + 1, len(frames))
    whole, streamed = shots_of(*frames), StreamedShots(frames.__getitem__, len(frames), last_keyframe)

    def lost(shots):
        cuts = [cut for cut in shots.cuts if cut > last_keyframe]
        return [index for index in after if shots.is_outside_shot(index) or any(cut <= index for cut in cuts)]

    assert lost(streamed) == lost(whole)
    assert [cut for cut in streamed.cuts if cut <= last_keyframe] == [
        cut for cut in whole.cuts if cut <= last_keyframe
    ]


def test_streamed_shots_read_nothing_ahead():
    read = []
    shots = StreamedShots(lambda index: read.append(index) or scene(0), 100, last_keyframe=3)
    assert shots.cuts == ()
    assert max(read) == 3
    assert not any(shots.is_outside_shot(index) for index in range(4, 10))
    assert max(read) == 9


def test_frames_are_read_once_and_around_cuts_again():
    frames, read = [scene(seed) for seed in (0,) * 10 + (1,) * 10], []
    find_shots(lambda index: read.append(index) or frames[index], 20)
    assert read == [*range(20), 9, 11, 12, 13]


@pytest.fixture
def make(tmp_path):
    """Makes a function that propagates through a clip of scenes, and its tracker."""
    clips = {}

    def propagator(scenes, *keyframes, folder="soft", **settings):
        clip = clips.get(scenes) or open_clip(write_clip(tmp_path / f"clip-{len(clips)}", scenes))
        clips[scenes] = clip
        tracking, tracker = TrackingSettings(**{"max_recent": 0, **settings}), Recorder()
        annotated = annotated_clip(clip, *keyframes)
        made = BidirectionalPropagator(annotated, SIZE_HW, tracker, tracking, tmp_path / folder)
        cuts = () if tracking.across_cuts else annotated.shots.cuts
        spans = spans_between(keyframes, len(clip), cuts=cuts)

        def propagate(wanted=None, step=ignore):
            for part in wanted_parts(spans, range(len(clip)) if wanted is None else wanted):
                yield from made.propagate(part, step)

        return propagate, tracker

    return propagator


def ignore():
    pass


def test_each_side_of_a_cut_is_tracked_from_its_own_keyframe(make):
    propagate, recorder = make((0, 0, 0, 1, 1, 1, 1), 0, 6)
    found = list(propagate())
    assert recorder.steps == [(0, 1), (1, 2), (6, 5), (5, 4), (4, 3)]
    assert [each.index for each in found] == [1, 2, 3, 4, 5]
    # with one pass there is nothing to agree with
    assert all((each.agreement == 1).all() for each in found)
    # and nothing of the other pass is in the masks
    alone = [*make((0, 0, 0), 0, folder="a")[0](), *make((1, 1, 1, 1), 3, folder="b")[0]()]
    for one, other in zip(found, alone, strict=True):
        assert np.array_equal(one.probs, other.probs)
        assert np.array_equal(one.iou_estimate, other.iou_estimate)


@pytest.mark.parametrize(
    ("scenes", "keyframes", "found"),
    [
        ((0, 0, 1, 1, 2, 2), (0, 5), [1, 4]),
        ((0, 0, 1, 1, 1, 1, 0, 0), (0,), [1]),
        ((0, 0, 1, 1, 1, 1, 0, 0), (7,), [6]),
        ((0, 1, 1, 1), (0, 3), [1, 2]),
    ],
)
def test_nothing_is_found_in_a_shot_without_a_keyframe(make, scenes, keyframes, found):
    propagate, recorder = make(scenes, *keyframes)
    made = list(propagate())
    assert [each.index for each in made if each.probs.any()] == found
    assert {each.index for each in made if each.iou_estimate.any()} <= set(found)
    assert len(recorder.steps) == len(found)
    assert [each.index for each in made] == [i for i in range(len(scenes)) if i not in keyframes]


def test_a_pass_goes_on_after_a_flash(make):
    propagate, recorder = make((0, 0, 1, 1, 1, 0, 0), 0)
    assert [bool(each.probs.any()) for each in propagate()] == [True, False, False, False, True, True]
    assert recorder.steps == [(0, 1), (1, 5), (5, 6)]


def test_frames_beyond_a_cut_are_not_memorized(make):
    propagate, recorder = make((0, 0, 0, 1, 1, 1), 0, max_recent=2, mem_every=1)
    list(propagate())
    assert sorted(recorder.memorized) == [0, 1, 2]


def test_cuts_are_ignored_if_asked(make):
    propagate, recorder = make((0, 0, 1, 1, 2, 2), 0, across_cuts=True)
    assert all(each.probs.any() for each in propagate())
    assert recorder.steps == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize("calls", range(6))
def test_a_pass_stopped_around_a_flash_resumes(make, calls):
    scenes = (0, 0, 0, 1, 0, 0)
    expected = list(make(scenes, 0, 5, folder="whole")[0]())
    left = iter(range(calls))

    def step():
        if next(left, None) is None:
            raise Interrupted("enough")

    made = []
    with pytest.raises(Interrupted):
        made.extend(make(scenes, 0, 5)[0](step=step))
    found = list(make(scenes, 0, 5)[0](range(1 + len(made), 6)))
    for one, other in zip(found, expected[len(made) :], strict=True):
        assert np.array_equal(one.probs, other.probs)
        assert np.array_equal(one.agreement, other.agreement)
