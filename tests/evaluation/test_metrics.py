import json
import logging
import math
from pathlib import Path

import numpy as np
import pytest

from dextr_vos.evaluation.metrics import (
    Statistics,
    average,
    boundary,
    boundary_accuracy,
    region_similarity,
    statistics,
)
from dextr_vos.masks import read_labels

GOLDEN = Path(__file__).parent.parent / "golden" / "davis2016_osvos_scores.json"


def square(y, x, side=6, size_hw=(40, 60)):
    mask = np.zeros(size_hw, dtype=bool)
    mask[y : y + side, x : x + side] = True
    return mask


EMPTY = np.zeros((40, 60), dtype=bool)
FULL = ~EMPTY


def brute_boundary(mask):
    """The one-pixel rule, pixel by pixel, as DAVIS states it."""
    height, width = mask.shape
    edge = set()
    for y in range(height):
        for x in range(width):
            last_row, last_column = y == height - 1, x == width - 1
            neighbours = []
            if not last_column:
                neighbours.append((y, x + 1))
            if not last_row:
                neighbours.append((y + 1, x))
            if not last_row and not last_column:
                neighbours.append((y + 1, x + 1))
            if any(mask[y, x] != mask[at] for at in neighbours):
                edge.add((y, x))
    return edge


def brute_f(truth, mask):
    """F by the distance of every pair of boundary pixels."""
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    ours, theirs = brute_boundary(mask), brute_boundary(truth)
    if not ours or not theirs:
        return 1.0 if not ours and not theirs else 0.0

    def share(edge, other):
        near = [any((y - v) ** 2 + (x - u) ** 2 <= radius**2 for v, u in other) for y, x in edge]
        return sum(near) / len(near)

    precision, recall = share(ours, theirs), share(theirs, ours)
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("measure", [region_similarity, boundary_accuracy])
class TestBoth:
    @pytest.mark.parametrize(
        "mask",
        [square(10, 10), square(0, 0), square(34, 54), square(39, 59, 1), square(5, 59, 1), EMPTY, FULL],
        ids=["inside", "top-left", "bottom-right", "last-pixel", "last-column", "empty", "full"],
    )
    def test_a_mask_against_itself_is_one(self, measure, mask):
        assert measure(mask, mask) == 1.0

    @pytest.mark.parametrize("mask", [square(10, 10), square(20, 30, 1)], ids=["square", "pixel"])
    def test_one_empty_is_zero(self, measure, mask):
        assert measure(mask, EMPTY) == 0.0
        assert measure(EMPTY, mask) == 0.0

    def test_far_apart_is_zero(self, measure):
        assert measure(square(2, 2), square(30, 50)) == 0.0

    def test_both_ways_round_is_the_same(self, measure):
        rng = np.random.default_rng(0)
        first, second = rng.random((2, 40, 60)) > 0.7
        assert measure(first, second) == measure(second, first)

    def test_frame_around_does_not_matter_to_what_is_given(self, measure):
        first, second = square(10, 10), square(12, 11)
        before = first.copy(), second.copy()
        measure(first, second)
        assert (first == before[0]).all()
        assert (second == before[1]).all()

    def test_other_size_is_refused(self, measure):
        with pytest.raises(ValueError, match="one size"):
            measure(EMPTY, EMPTY[1:])


def test_j_counts_pixels():
    assert region_similarity(square(10, 10, 4), square(10, 12, 4)) == 8 / 24


def test_f_last_pixel_has_no_boundary():
    """The official rule never counts the last pixel, its west neighbour sees it."""
    assert boundary_accuracy(square(39, 59, 1), EMPTY) == 0.0
    assert boundary(square(39, 59, 1)).sum() == 3


@pytest.mark.parametrize(("shift", "expected"), [(1, 1.0), (3, 0.0)])
def test_f_tolerance_is_a_disk_of_the_diagonals_share(shift, expected):
    """On 40×60 the radius is 1: single pixels match one apart, and not three apart."""
    assert boundary_accuracy(square(20, 20, 1), square(20, 20 + shift, 1)) == expected


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 9), (9, 1), (13, 17), (90, 110)])
def test_boundary_equals_rule_pixel_by_pixel(size_hw):
    mask = np.random.default_rng(1).random(size_hw) > 0.5
    assert set(map(tuple, np.argwhere(boundary(mask)).tolist())) == brute_boundary(mask)


@pytest.mark.parametrize("seed", range(12))
def test_f_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    size_hw = [(12, 15), (40, 60), (150, 130)][seed % 3]
    truth, mask = np.zeros((2, *size_hw), dtype=bool)
    for picture in (truth, mask):
        for _ in range(3):
            y, x = rng.integers(-4, size_hw[0]), rng.integers(-4, size_hw[1])
            picture[max(y, 0) : y + rng.integers(5, 12), max(x, 0) : x + rng.integers(5, 12)] ^= True
    assert boundary_accuracy(truth, mask) == pytest.approx(brute_f(truth, mask), abs=1e-12)


def test_statistics_by_hand():
    """Eight values: the quarters end at 3 and start at 6 (round half to even of 2.75 and 6.25)."""
    values = [1.0, 0.9, 0.8, 0.7, 0.5, 0.4, 0.3, 0.2]
    result = statistics(values)
    assert result.mean == pytest.approx(0.6)
    assert result.recall == 0.5  # 0.5 itself is not above the threshold
    assert result.decay == pytest.approx((1.0 + 0.9 + 0.8) / 3 - (0.4 + 0.3 + 0.2) / 3)


@pytest.mark.parametrize(("count", "first", "last"), [(1, 1, 0), (2, 1, 1), (300, 76, 224), (1000, 251, 749)])
def test_decay_of_long_and_short_clips(count, first, last):
    """Beyond 256 frames the official code wraps its 8-bit edges; ours are whole."""
    values = np.linspace(1, 0, count)
    expected = values[:first].mean() - values[last:].mean()
    assert statistics(values).decay == pytest.approx(expected, abs=1e-12)


def test_statistics_leave_nan_out_but_not_of_recall():
    assert statistics([math.nan, 1.0, 1.0, 0.0]) == Statistics(mean=2 / 3, recall=0.5, decay=0.5)
    assert math.isnan(statistics([math.nan]).mean)


def test_statistics_of_nothing_are_refused():
    with pytest.raises(ValueError, match="at least one value"):
        statistics([])
    with pytest.raises(ValueError, match="expected something"):
        average([])


def test_average_weighs_all_alike():
    assert average([Statistics(1.0, 1.0, 0.5), Statistics(0.0, 0.5, -0.5)]) == Statistics(0.5, 0.75, 0.0)


def golden_folders(root, clip):
    truths = root / "Annotations" / "480p" / clip
    results = root / ".." / "davis2016-osvos-results" / clip
    for folder in (truths, results):
        if not folder.is_dir():
            pytest.skip(f"DAVIS_ROOT is set, but there is no {folder} to compare on")
    return truths, results


@pytest.mark.parametrize("clip", sorted(json.loads(GOLDEN.read_text())))
def test_golden_scores_of_published_osvos(clip, davis_root, caplog):
    caplog.set_level(logging.INFO)
    truths, results = golden_folders(davis_root, clip)
    golden = json.loads(GOLDEN.read_text())[clip]
    pairs = [
        (read_labels(path) == 1, read_labels(results / path.name) != 0)
        for path in sorted(truths.glob("*.png"))[1:-1]
    ]
    for measure, name in ((region_similarity, "J"), (boundary_accuracy, "F")):
        values = np.array([measure(truth, mask) for truth, mask in pairs])
        difference = np.abs(values - golden[f"{name}_per_frame"]).max()
        logging.info("%s: %s differs from the golden by at most %.3g a frame", clip, name, difference)
        assert difference < 1e-12, f"{name} of {clip} is off by up to {difference:.3g} a frame"
        result = statistics(values)
        ours = [result.mean, result.recall, result.decay]
        assert ours == pytest.approx(golden[f"{name}_mean_recall_decay"], abs=1e-12)
