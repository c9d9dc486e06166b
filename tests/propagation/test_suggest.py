import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dextr_vos.propagation.suggest import suggest


def brute_force(doubts, keyframes):
    """The doubt that each frame leaves, reckoned frame by frame."""

    def left(known):
        total = 0.0
        for place, doubt in enumerate(doubts):
            before = min(abs(place - each) for each in keyframes)
            now = min(abs(place - each) for each in known)
            total += (doubt + before / len(doubts)) * now / before if before else 0.0
        return total

    candidates = [index for index in range(len(doubts)) if index not in keyframes]
    lost = [index for index in candidates if doubts[index] > 0.7]
    candidates = lost or candidates
    return {index: left([*keyframes, index]) for index in candidates}


@pytest.mark.parametrize(
    ("count", "keyframes", "expected"),
    [
        (11, [0, 10], 5),
        (101, [0, 100], 50),
        (13, [0, 4, 12], 8),  # the larger of two gaps
        (9, [0, 8], 4),
        (3, [0, 2], 1),
        (2, [1], 0),
    ],
)
def test_equal_doubt_asks_for_the_middle_of_the_largest_gap(count, keyframes, expected):
    (chosen,) = suggest([0.5] * count, keyframes)
    assert abs(chosen - expected) <= 1  # its neighbour may take as much doubt away
    assert chosen not in keyframes


def test_doubt_attracts():
    doubts = [0.1] * 21
    for index in (14, 15, 16):
        doubts[index] = 0.9
    assert suggest(doubts, [0, 20]) == [15]
    assert 9 <= suggest([0.1] * 21, [0, 20])[0] <= 11


def test_the_doubt_of_a_keyframe_does_not_count():
    doubts = [0.2] * 21
    doubts[4] = 1.0  # it is annotated: nothing can be gained there
    with_doubt = suggest(doubts, [0, 4, 20])
    doubts[4] = 0.0
    assert with_doubt == suggest(doubts, [0, 4, 20])
    assert 11 <= with_doubt[0] <= 13


@settings(deadline=None)
@given(st.data())
def test_it_is_the_frame_that_leaves_least_doubt_and_never_a_keyframe(data):
    doubts = data.draw(st.lists(st.integers(0, 8).map(lambda eighths: eighths / 8), min_size=2, max_size=12))
    places = st.integers(0, len(doubts) - 1)
    keyframes = data.draw(st.lists(places, min_size=1, max_size=len(doubts) - 1, unique=True))
    (chosen,) = suggest(doubts, keyframes)
    left = brute_force(doubts, keyframes)
    assert chosen in left
    assert left[chosen] == pytest.approx(min(left.values()), abs=1e-4)


@settings(deadline=None)
@given(st.data())
def test_several_are_all_different_and_none_is_a_keyframe(data):
    total = data.draw(st.integers(1, 12))
    keyframes = data.draw(st.sets(st.integers(0, total - 1), min_size=1))
    count = data.draw(st.integers(1, 15))
    chosen = suggest([0.3] * total, keyframes, count)
    assert len(set(chosen)) == len(chosen) == min(count, total - len(keyframes))
    assert not set(chosen) & set(keyframes)


def test_several_are_chosen_as_if_those_before_were_annotated():
    first, *others = suggest([0.5] * 33, [0, 32], 3)
    assert abs(first - 16) <= 1
    assert np.abs(np.sort(others) - [8, 24]).max() <= 3  # one on either side
    doubts = [0.1, 0.2, 0.8, 0.3, 0.9, 0.1, 0.6, 0.2]
    first, second = suggest(doubts, [0], 2)
    assert [first] == suggest(doubts, [0])
    assert second != first


def test_nothing_is_left_where_all_are_annotated():
    assert suggest([0.5, 0.5], [0, 1], 3) == []


def test_no_doubt_at_all_still_names_a_frame():
    assert suggest([0.0] * 5, [2]) != [2]
    assert len(suggest([0.0] * 5, [2])) == 1


def test_frames_in_which_the_object_is_lost_come_before_all_others():
    doubts = [0.6] * 21
    doubts[2] = 0.8
    assert suggest(doubts, [0, 20], 2)[0] == 2
    doubts[2] = 0.6
    assert 9 <= suggest(doubts, [0, 20])[0] <= 11
    # a lost frame that one chosen before is expected to find is lost no more
    doubts[9:12] = [1.0] * 3
    first, second = suggest(doubts, [0, 20], 2)
    assert first in (9, 10, 11)
    assert second not in (9, 10, 11)


def test_what_is_annotated_in_one_shot_does_not_help_in_another():
    doubts = [0.0] * 10 + [1.0] * 10 + [1.0] * 4
    one, other = suggest(doubts, [0], 2, cuts=[10, 20])
    assert 10 <= one < 20
    assert 20 <= other < 24
    # without cuts, the frame near the first one is taken to be found already
    assert suggest([0.2] * 20, [9], 1, cuts=[10])[0] >= 10


def test_flashes_are_never_suggested_and_draw_no_attention_to_their_neighbors():
    doubts = [0.2] * 21
    doubts[3] = 1.0
    assert suggest(doubts, [0, 20]) == [3]
    quiet = [*doubts[:3], 0.0, *doubts[4:]]
    assert suggest(doubts, [0, 20], 2, flashes=[3]) == suggest(quiet, [0, 20], 2)
    assert suggest([0.5, 1.0, 0.5], [0, 2], 3, flashes=[1]) == []
