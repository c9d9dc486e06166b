import numpy as np
import pytest
from made_results import result

from dextr_vos.benchmark.annotation_time import AnnotationTime
from dextr_vos.benchmark.statistics import (
    Series,
    bootstrap,
    by_clip,
    clip_value,
    comparisons,
    curve,
    difference,
    sentence,
    within_the_time,
)

DEXTR = Series("dextr", "even", "lite")


def test_bootstrap_of_equal_values_is_a_point_and_seeded():
    assert bootstrap([3.0, 3.0, 3.0]) == bootstrap([3.0])
    interval = bootstrap([1.0, 5.0, 3.0, 9.0])
    assert interval == bootstrap([1.0, 5.0, 3.0, 9.0])
    assert interval.low < interval.mean == 4.5 < interval.high


def test_bootstrap_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(10, 2, 200)
    interval = bootstrap(values)
    error = values.std() / np.sqrt(len(values))
    assert interval.low == pytest.approx(values.mean() - 1.96 * error, abs=0.05)
    assert interval.high == pytest.approx(values.mean() + 1.96 * error, abs=0.05)


def test_differences_are_between_the_same_clips():
    assert difference({"a": 80.0, "b": 70.0}, {"b": 75.0, "c": 10.0}).mean == -5
    assert difference({"a": 80.0}, {"b": 75.0}) is None


def test_values_are_points_and_can_leave_keyframes_out():
    one = result("bear", "gt", 2, 0.5, 0.9)
    assert [clip_value(one, measure) for measure in ("jf", "j", "f")] == pytest.approx([70, 50, 90])
    objects = one.objects[0].model_copy(update={"j": (1.0, 0.5, 0.5, 0.5)})
    assert clip_value(one.model_copy(update={"objects": (objects,)}), "j", without_keyframes=True) == 50


def test_seeds_of_a_clip_are_averaged_first():
    one, other = result("bear", "dextr", 1, 0.4), result("bear", "dextr", 1, 0.6)
    assert by_clip([one, other], DEXTR, 1, "j") == {"bear": pytest.approx(50)}


def test_a_curve_goes_over_seconds_of_people():
    results = [result(clip, "dextr", n, 0.5 + n / 10) for clip in ("bear", "dog") for n in (1, 3)]
    points = curve(results, DEXTR, "jf", AnnotationTime(click_s=10))
    assert [(point.keyframes, point.seconds) for point in points] == [(1, 10), (3, 30)]
    assert [point.value.mean for point in points] == pytest.approx([60, 80])


def test_sentences_say_the_gap_with_its_interval_and_the_time():
    results = [result(clip, "gt", 1, 0.9) for clip in ("bear", "dog", "cat")]
    results += [result(clip, "dextr", 1, 0.8 + up) for clip, up in (("bear", 0), ("dog", 0.04))]
    results += [result(clip, "dextr", 3, 0.95) for clip in ("bear", "dog")]
    (same,) = comparisons(results, AnnotationTime())
    assert (same.clips, same.keyframes) == (2, 1)
    told = sentence(same)
    assert "within 8.0 points" in told
    assert "over 2 clips −10.0 to −6.0" in told
    assert "7.5 s of a person's time in place of 79 s" in told
    (by_time,) = within_the_time(results, AnnotationTime())
    assert (by_time.keyframes, by_time.drawn_keyframes) == (3, 1)
    assert "5.0 points above" in sentence(by_time)
