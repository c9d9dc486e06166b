import pytest

from dextr_vos.propagation.keyframes import spans_between
from dextr_vos.propagation.origins import MaskOrigin, origins_in, outdated_frames, recorded_origins, run_spans
from dextr_vos.run_files import RunClip, RunRecord, RunSpan, RunTraining

NAMES = tuple(f"{index:05d}" for index in range(6))


def origins(direction="both", base="base", **digests):
    """Origins given the digests of the keyframes: `k0="a"` is frame 00000."""
    by_name = {f"{int(key[1:]):05d}": digest for key, digest in digests.items()}
    spans = spans_between([int(name) for name in by_name], 6, direction)
    return origins_in(spans, NAMES, by_name, base)


EARLIER = origins(k0="a", k3="b")


@pytest.mark.parametrize(
    ("now", "same"),
    [
        (origins(k0="a", k3="b"), [1, 2, 4, 5]),
        (origins(k0="x", k3="b"), [4, 5]),
        (origins(k0="a", k3="x"), []),
        (origins(k0="b", k3="a"), []),
        (origins(k0="a", k3="b", k5="c"), [1, 2]),
        (origins(k0="a", k1="c", k3="b"), [4, 5]),
        (origins(k0="a"), []),
        (origins(k3="b"), [4, 5]),
        (origins(k0="a", k2="b"), []),  # the same mask, but of another frame
        (origins(k0="a", k3="b", base="other settings"), []),
        (origins("forward", k0="a", k3="b"), [4, 5]),
        (origins("backward", k0="a", k3="b"), []),
    ],
)
def test_origins_are_the_same_where_the_keyframes_on_both_sides_are(now, same):
    assert [index for index in sorted(EARLIER) if now.get(index) == EARLIER[index]] == same


def test_in_one_direction_frames_have_one_keyframe_or_none():
    forward = {index: each[:2] for index, each in origins("forward", k1="a", k4="b").items()}
    assert forward == {2: ("00001", None), 3: ("00001", None), 5: ("00004", None)}
    backward = {index: each[:2] for index, each in origins("backward", k1="a", k4="b").items()}
    assert backward == {0: (None, "00001"), 2: (None, "00004"), 3: (None, "00004")}


def record(spans, **changes):
    whole = RunRecord(
        model="lite",
        clip=RunClip(path="clip", frames=6, size_hw=(48, 64), identity=""),
        objects=(),
        keyframes=("00000", "00003"),
        longest_side=480,
        settings={},
        parent=None,
        seed=0,
        training=RunTraining(steps=1, stop="converged", loss=0.1, seconds=1.0),
        fingerprint="",
        base_fingerprint="base",
        keyframe_digests={"00000": "a", "00003": "b"},
        spans=spans,
        frames_digest="frames",
    )
    return whole.model_copy(update=changes)


def test_origins_come_back_from_a_record():
    one, other = MaskOrigin("00000", None, "x"), MaskOrigin(None, "00003", "y")
    mixed = {1: one, 2: other, 4: other, 5: other}
    spans = run_spans(mixed, NAMES)
    assert spans == (
        RunSpan(first="00001", last="00001", before="00000", after=None, digest="x"),
        RunSpan(first="00002", last="00002", before=None, after="00003", digest="y"),
        RunSpan(first="00004", last="00005", before=None, after="00003", digest="y"),
    )
    assert recorded_origins(record(spans), NAMES) == mixed
    assert recorded_origins(record(()), NAMES) == {}


def test_in_an_older_record_all_masks_were_made_from_both_sides():
    assert recorded_origins(record(None), NAMES) == EARLIER


NOW = "base frames"  # the settings and frames of the record


def outdated(origins, made=NAMES, **changes):
    return outdated_frames(record(run_spans(origins, NAMES), **changes), NAMES, made)


def test_masks_of_earlier_keyframes_settings_or_one_direction_are_outdated():
    current = origins(base=NOW, k0="a", k3="b")
    assert outdated(current) == set()
    assert outdated(current | {1: origins(base=NOW, k0="x", k3="b")[1]}) == {1}
    assert outdated(origins(k0="a", k3="b", base="other settings")) == {1, 2, 4, 5}
    assert outdated(origins("forward", base=NOW, k0="a", k3="b")) == {1, 2}
    assert outdated({1: current[1]}) == {2, 4, 5}
    assert outdated({1: current[1]}, made=NAMES[:2]) == set(), "frames without masks are not outdated"


@pytest.mark.parametrize(
    ("changes", "cut_counts"),
    [
        ({}, True),
        ({"settings": {"tracking": {"across_cuts": True}}}, False),
        ({"model": "paper"}, False),
    ],
)
def test_masks_made_across_a_cut_are_outdated_where_nothing_is_tracked_across_one(changes, cut_counts):
    across = origins(base=NOW, k0="a", k3="b")
    assert outdated(across, cuts=("00002",), **changes) == ({1, 2} if cut_counts else set())


def test_masks_of_an_earlier_version_which_did_not_look_at_every_frame_are_outdated():
    assert outdated(EARLIER, frames_digest="") == {1, 2, 4, 5}
    assert outdated_frames(record(None, frames_digest=""), NAMES, NAMES[:3]) == {1, 2}


def test_frames_that_a_record_names_and_the_clip_has_not_are_left_out():
    spans = run_spans(EARLIER, NAMES)
    assert recorded_origins(record(spans), NAMES[:3]) == {1: EARLIER[1], 2: EARLIER[2]}
    assert outdated_frames(record(()), NAMES[:2], NAMES) == {1}
