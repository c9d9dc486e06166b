from itertools import chain, combinations

import pytest

from dextr_vos.propagation.spans import Span, spans_between

# every choice of keyframes, none and all among them, in clips of one to seven frames
CASES = [
    (count, keyframes)
    for count in range(1, 8)
    for keyframes in chain.from_iterable(combinations(range(count), size) for size in range(count + 1))
]


def frames_of(span: Span) -> list[int]:
    return list(range(span.first, span.last + 1))


def test_every_frame_is_a_keyframe_or_in_exactly_one_span():
    for count, keyframes in CASES:
        spans = spans_between(keyframes, count)
        inside = [index for span in spans for index in frames_of(span)]
        assert inside == [index for index in range(count) if index not in keyframes], (count, keyframes)
        assert all(span.first <= span.last for span in spans)


def test_a_span_has_the_nearest_keyframe_on_either_side():
    for count, keyframes in CASES:
        for span in spans_between(keyframes, count):
            for index in frames_of(span):
                assert span.before == max((each for each in keyframes if each < index), default=None)
                assert span.after == min((each for each in keyframes if each > index), default=None)


def test_the_order_of_keyframes_does_not_matter():
    assert spans_between([7, 2, 5], 10) == spans_between(iter([2, 5, 7]), 10)
    assert spans_between({3: "a", 0: "b"}, 6) == [Span(1, 2, 0, 3), Span(4, 5, 3, None)]


def test_another_keyframe_leaves_the_other_spans_unchanged():
    for count, keyframes in CASES:
        spans = spans_between(keyframes, count)
        for added in set(range(count)) - set(keyframes):
            now = spans_between([*keyframes, added], count)
            assert [span for span in spans if added not in frames_of(span)] == [
                span for span in now if added not in (span.before, span.after)
            ]


def test_the_nearer_keyframe_counts_more():
    span = Span(1, 3, 0, 4)
    assert [span.share_after(index) for index in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert [Span(5, 5, 4, 6).share_after(index) for index in (4, 5, 6)] == [0.0, 0.5, 1.0]


@pytest.mark.parametrize(("span", "share"), [(Span(0, 3, None, 4), 1.0), (Span(5, 8, 4, None), 0.0)])
def test_a_single_keyframe_counts_alone(span, share):
    assert {span.share_after(index) for index in frames_of(span)} == {share}
