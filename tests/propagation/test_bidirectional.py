import numpy as np
import pytest
from PIL import Image

from dextr_vos.clip import open_clip
from dextr_vos.errors import Interrupted
from dextr_vos.propagation import bidirectional as following
from dextr_vos.propagation.bidirectional import BidirectionalPropagator
from dextr_vos.propagation.clip_segmenter import frames_to_segment
from dextr_vos.propagation.settings import TrackingSettings
from dextr_vos.propagation.spans import Span, spans_between
from dextr_vos.propagation.tracker import MaskedFrame

SIZE_HW = (16, 24)
FRAMES = 12
FORTH, BACK = 204 / 255, 51 / 255
KEYFRAMES_ALONE = TrackingSettings(recent=0, trust=0.0)


def number_of(image: np.ndarray) -> int:
    """Which frame it is: frames are of one grey each."""
    return int(image[0, 0, 0]) // 10


class Recorder:
    """Stands in for the tracker: says whence it came to a frame, and notes what it was asked."""

    def __init__(self):
        self.steps, self.memories = [], {}

    def known_view(self, seen):
        return (None, seen.image_rgb)

    def view(self, before, image_rgb, objects):
        return (before, image_rgb)

    def remember(self, view, probs):
        return number_of(view[1])

    def segment(self, view, memories):
        before, image_rgb = view
        came, here = number_of(before.image_rgb), number_of(image_rgb)
        self.steps.append((came, here))
        self.memories[here] = list(memories)
        # it depends on the whole way: a pass that began elsewhere would be seen
        return before.probs * 0.5 + (FORTH if came < here else BACK) * 0.5


@pytest.fixture
def clip(tmp_path):
    (tmp_path / "clip").mkdir()
    for index in range(FRAMES):
        Image.fromarray(np.full((*SIZE_HW, 3), 10 * index, np.uint8)).save(
            tmp_path / "clip" / f"{index:05d}.png"
        )
    return open_clip(tmp_path / "clip")


@pytest.fixture
def make(clip, tmp_path):
    """Makes a follower of some keyframes and the tracker it asks."""

    def follower(*keyframes, folder="soft", how=KEYFRAMES_ALONE):
        recorder = Recorder()

        def read(index):
            return MaskedFrame(clip.read(index), np.full((2, *SIZE_HW), 1.0, np.float32))

        return BidirectionalPropagator(
            clip, SIZE_HW, recorder, how, keyframes, read, tmp_path / folder
        ), recorder

    return follower


def ignore():
    pass


def test_a_span_is_passed_from_both_keyframes(make):
    follower, recorder = make(2, 6)
    span = spans_between([2, 6], FRAMES)[1]
    found = list(follower.follow(span, span.first, ignore))
    assert [each.index for each in found] == [3, 4, 5]
    assert [number_of(each.image_rgb) for each in found] == [3, 4, 5]
    assert recorder.steps == [(6, 5), (5, 4), (4, 3), (2, 3), (3, 4), (4, 5)]


def test_passes_are_blended_by_the_distance_in_time(make):
    forth = back = 1.0
    forths, backs = [], []
    for _ in range(3):
        forth, back = (round(255 * (was + to) / 2) / 255 for was, to in ((forth, FORTH), (back, BACK)))
        forths.append(forth)
        backs.insert(0, back)
    follower, _ = make(2, 6)
    found = list(follower.follow(Span(3, 5, 2, 6), 3, ignore))
    for each, one, other, share in zip(found, forths, backs, (0.25, 0.5, 0.75), strict=True):
        assert each.probs == pytest.approx((1 - share) * one + share * other, abs=0.01)
        assert each.agreement == pytest.approx(min(one, other) / max(one, other), abs=0.01)


class TwoMinds(Recorder):
    """The pass forth finds two objects as `one` and `other`, the pass back as `other` and `one`."""

    def __init__(self, one, other):
        super().__init__()
        self.masks = np.stack([one, other]).astype(np.float32)

    def segment(self, view, memories):
        before, image_rgb = view
        forth = number_of(before.image_rgb) < number_of(image_rgb)
        return self.masks if forth else self.masks[::-1]


def blended(clip, folder, one, other, trust, index):
    """Soft masks of a frame between the keyframes 2 and 6, by two minds."""

    def read(index):
        return MaskedFrame(clip.read(index), np.full((2, *SIZE_HW), 1.0, np.float32))

    follower = BidirectionalPropagator(
        clip, SIZE_HW, TwoMinds(one, other), TrackingSettings(recent=0, trust=trust), (2, 6), read, folder
    )
    return list(follower.follow(Span(3, 5, 2, 6), 3, ignore))[index - 3].probs


@pytest.mark.parametrize(("index", "share"), [(3, 0.25), (4, 0.5), (5, 0.75)])
def test_the_surer_pass_gives_more(clip, tmp_path, index, share):
    sure, unsure = np.full(SIZE_HW, 0.9), np.full(SIZE_HW, 0.6)
    plain = blended(clip, tmp_path / "plain", sure, unsure, 0.0, index)[:, 0, 0]
    trusting = blended(clip, tmp_path / "trusting", sure, unsure, 4.0, index)[:, 0, 0]
    assert plain == pytest.approx(
        [(1 - share) * 0.9 + share * 0.6, (1 - share) * 0.6 + share * 0.9], abs=0.01
    )
    # of a mask of one value, that is what it expects of itself, but for one pixel
    ratio = ((0.6 * sure.size + 1) / (0.9 * sure.size + 1)) ** 4
    first, second = (share * ratio / (1 - share + share * ratio), share / ((1 - share) * ratio + share))
    expected = [(1 - first) * 0.9 + first * 0.6, (1 - second) * 0.6 + second * 0.9]
    assert trusting == pytest.approx(expected, abs=0.01)


def there():
    mask = np.zeros(SIZE_HW)
    mask[2:12, 2:12] = 0.95
    return mask


@pytest.mark.parametrize("residue", [0.0, 1 / 255, 0.05, 0.3])
def test_a_pass_that_lost_an_object_has_no_more_and_no_less_than_its_time(clip, tmp_path, residue):
    lost = np.full(SIZE_HW, residue)
    found = blended(clip, tmp_path, there(), lost, 8.0, 5)[:, 5, 5]
    expected = [0.25 * 0.95 + 0.75 * residue, 0.75 * 0.95 + 0.25 * residue]
    assert found == pytest.approx(expected, abs=0.01)


def test_one_object_may_be_lost_while_the_other_is_not(clip, tmp_path):
    """The pass forth has both, the pass back a haze of one; by its confidence alone it would not count."""
    haze = np.full(SIZE_HW, 0.4)

    class Halves(Recorder):
        def segment(self, view, memories):
            before, image_rgb = view
            forth = number_of(before.image_rgb) < number_of(image_rgb)
            return np.stack([there() if forth else haze, there()]).astype(np.float32)

    def read(index):
        return MaskedFrame(clip.read(index), np.full((2, *SIZE_HW), 1.0, np.float32))

    follower = BidirectionalPropagator(
        clip, SIZE_HW, Halves(), TrackingSettings(recent=0), (2, 6), read, tmp_path
    )
    middle = list(follower.follow(Span(3, 5, 2, 6), 3, ignore))[1].probs[:, 5, 5]
    assert middle == pytest.approx([(0.95 + 0.4) / 2, 0.95], abs=0.01)


def test_an_object_that_fades_away_does_not_flicker(clip, tmp_path):
    """A pass that finds less and less of it, step by step, down to nothing."""
    before = None
    for number, pixels in enumerate(range(100)):
        fading = np.zeros(SIZE_HW)
        rest = np.zeros((10, 10))
        rest.flat[:pixels] = 0.6
        fading[2:12, 2:12] = rest
        now = blended(clip, tmp_path / str(number), there(), fading, 8.0, 4)[:, 11, 11]
        assert before is None or np.abs(now - before).max() < 0.1
        before = now


def test_passes_of_which_neither_is_sure_are_blended_by_time(clip, tmp_path):
    haze = np.full(SIZE_HW, 0.4)
    haze[8, 8] = 0.51
    found = blended(clip, tmp_path, haze, haze, 40.0, 5)
    assert found[:, 8, 8] == pytest.approx([0.51, 0.51], abs=0.01)
    other = haze.copy()
    other[8, 8] = 0.6
    found = blended(clip, tmp_path / "other", haze, other, 1.0, 5)
    assert 0.51 < found[0, 8, 8] < 0.6


@pytest.mark.parametrize(
    ("span", "steps"),
    [
        (Span(0, 2, None, 3), [(3, 2), (2, 1), (1, 0)]),
        (Span(9, 11, 8, None), [(8, 9), (9, 10), (10, 11)]),
    ],
)
def test_where_the_clip_begins_or_ends_one_pass_does(make, span, steps):
    follower, recorder = make(3, 8)
    found = list(follower.follow(span, span.first, ignore))
    assert recorder.steps == steps
    assert [each.index for each in found] == list(range(span.first, span.last + 1))
    assert all((each.agreement == 1).all() for each in found)
    order = 1 if span.after is None else -1
    levels = [float(each.probs[0, 0, 0]) for each in found][::order]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == 3


@pytest.mark.parametrize("keyframes", [(3,), (0,), (11,), (3, 8), (0, 5, 11), (2, 4, 9)])
def test_every_frame_of_every_pass_is_told_once(make, keyframes):
    follower, recorder = make(*keyframes)
    for span in spans_between(keyframes, FRAMES):
        told = []
        list(follower.follow(span, span.first, lambda told=told: told.append(1)))
        assert len(told) == frames_to_segment(span, 2)
    assert len(recorder.steps) == len(set(recorder.steps))


def test_the_nearest_keyframes_are_remembered(make):
    keyframes = (0, 2, 5, 7, 9, 11)
    follower, recorder = make(*keyframes)
    for span in spans_between(keyframes, FRAMES):
        list(follower.follow(span, span.first, ignore))
    assert set(recorder.memories) == {1, 3, 4, 6, 8, 10}
    for index, memories in recorder.memories.items():
        assert len(memories) == KEYFRAMES_ALONE.memories
        assert memories == sorted(memories)
        beside = {max(each for each in keyframes if each < index), min(k for k in keyframes if k > index)}
        assert beside <= set(memories)
    assert recorder.memories[3] == recorder.memories[4] == [0, 2, 5, 7]
    assert recorder.memories[10] == [5, 7, 9, 11]


@pytest.mark.parametrize("piece", [1, 2, 3])
def test_long_spans_are_read_backward_piece_by_piece(make, monkeypatch, piece):
    span = Span(1, 9, 0, 10)
    at_once, _ = make(0, 10, folder="a")
    expected = [each.probs for each in at_once.follow(span, 1, ignore)]
    monkeypatch.setattr(following, "_FRAMES_AT_ONCE", piece)
    follower, recorder = make(0, 10, folder="b")
    found = [each.probs for each in follower.follow(span, 1, ignore)]
    assert recorder.steps[:9] == [(index + 1, index) for index in range(9, 0, -1)]
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


def stop_at(calls):
    left = iter(range(calls))

    def step():
        if next(left, None) is None:
            raise Interrupted("enough")

    return step


@pytest.mark.parametrize("span", [Span(3, 6, 2, 7), Span(0, 4, None, 5), Span(8, 11, 7, None)])
def test_a_pass_goes_on_where_it_was_stopped(make, span):
    keyframes = [each for each in (span.before, span.after) if each is not None]
    whole, recorder = make(*keyframes, folder="whole")
    expected = list(whole.follow(span, span.first, ignore))
    for calls in range(len(recorder.steps)):
        folder = f"stopped-{calls}"
        first, done = make(*keyframes, folder=folder)
        made = []
        with pytest.raises(Interrupted):
            made.extend(first.follow(span, span.first, stop_at(calls)))
        begin = span.first + len(made)
        second, rest = make(*keyframes, folder=folder)
        found = list(second.follow(span, begin, ignore))
        assert [each.index for each in found] == list(range(begin, span.last + 1))
        for one, other in zip(found, expected[len(made) :], strict=True):
            assert np.array_equal(one.probs, other.probs)
            assert np.array_equal(one.agreement, other.agreement)
        # nothing is followed twice but, at most, the frame at which it was stopped
        assert len(done.steps) + len(rest.steps) <= len(recorder.steps) + 1


def test_the_last_frames_of_a_pass_are_remembered(make):
    follower, recorder = make(0, how=TrackingSettings(recent=2, every=3))
    list(follower.follow(Span(1, 11, 0, None), 1, ignore))
    # every third frame of the pass, the last two of them, beside the keyframe
    assert recorder.memories[3] == [0]
    assert recorder.memories[4] == [0, 3]
    assert recorder.memories[7] == [0, 3, 6]
    assert recorder.memories[10] == recorder.memories[11] == [0, 6, 9]


def test_what_was_remembered_is_known_again_after_a_stop(make):
    how, span = TrackingSettings(recent=2, every=2), Span(1, 9, 0, 10)
    whole, expected = make(0, 10, folder="whole", how=how)
    list(whole.follow(span, 1, ignore))
    first, _ = make(0, 10, folder="stopped", how=how)
    with pytest.raises(Interrupted):
        list(first.follow(span, 1, stop_at(14)))
    second, recorder = make(0, 10, folder="stopped", how=how)
    list(second.follow(span, 6, ignore))
    assert {7, 8, 9} <= set(recorder.memories)  # 6 was done when it was stopped
    assert all(recorder.memories[index] == expected.memories[index] for index in recorder.memories)


def test_one_way_alone_if_asked(make):
    follower, recorder = make(2, 6, how=TrackingSettings(both_ways=False))
    found = list(follower.follow(Span(3, 5, 2, 6), 3, ignore))
    assert recorder.steps == [(2, 3), (3, 4), (4, 5)]
    assert [each.index for each in found] == [3, 4, 5]


@pytest.mark.parametrize("begin", [4, 6])
def test_what_is_missing_of_a_pass_is_made(make, begin):
    """Masks before `begin` are there, but what led to them is not."""
    span = Span(3, 6, 2, 7)
    whole, _ = make(2, 7, folder="whole")
    expected = list(whole.follow(span, span.first, ignore))
    follower, _ = make(2, 7, folder="empty")
    found = list(follower.follow(span, begin, ignore))
    assert [each.index for each in found] == list(range(begin, 7))
    for one, other in zip(found, expected[begin - 3 :], strict=True):
        assert np.array_equal(one.probs, other.probs)
