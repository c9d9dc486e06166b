import numpy as np
import pytest

from dextr_vos.evaluation.next_click import next_click, outline
from dextr_vos.geometry import extreme_points

NOTHING = np.zeros((60, 90), dtype=bool)


def block(y, x, height, width):
    mask = NOTHING.copy()
    mask[y : y + height, x : x + width] = True
    return mask


def blobs(seed):
    """A shape of blocks put together, some of them at the picture's edge."""
    rng = np.random.default_rng(seed)
    mask = NOTHING.copy()
    for _ in range(rng.integers(1, 6)):
        y, x = rng.integers(0, 50), rng.integers(0, 80)
        mask[y : y + rng.integers(1, 30), x : x + rng.integers(1, 30)] ^= True
    return mask if mask.any() else block(20, 20, 5, 5)


@pytest.mark.parametrize("seed", range(40))
def test_every_click_is_a_new_pixel_of_the_true_outline(seed):
    truth, mask = blobs(seed), blobs(seed + 1000)
    void = blobs(seed + 2000) & ~truth
    edge = outline(truth)
    points = extreme_points(truth)
    for _ in range(6):
        click = next_click(mask, truth, void, points)
        assert click == next_click(mask.copy(), truth.copy(), void.copy(), points.copy())
        if click is None:
            break
        x, y = click
        assert edge[y, x]
        assert click not in set(map(tuple, points.tolist()))
        points = np.concatenate([points, [click]])


@pytest.mark.parametrize("seed", range(12))
def test_place_in_the_picture_does_not_matter(seed):
    truth, mask = np.zeros((2, 100, 130), dtype=bool)
    truth[:60, :90], mask[:60, :90] = blobs(seed), blobs(seed + 1000)
    # away from the picture's edge, so that the outline stays what it is
    truth, mask = np.roll(truth, (5, 5), (0, 1)), np.roll(mask, (5, 5), (0, 1))
    void = np.zeros_like(truth)
    here = next_click(mask, truth, void, extreme_points(truth))
    moved = [np.roll(part, (20, 30), (0, 1)) for part in (mask, truth)]
    there = next_click(*moved, void, extreme_points(moved[1]))
    assert (here is None) == (there is None)
    if here is not None:
        assert there == (here[0] + 30, here[1] + 20)


def test_nothing_wrong_needs_no_click():
    truth = block(20, 20, 20, 30)
    assert next_click(truth, truth, NOTHING, extreme_points(truth)) is None
    assert next_click(truth | block(10, 10, 5, 5), truth, block(8, 8, 9, 9), extreme_points(truth)) is None


def test_missing_part_is_clicked_far_from_the_mask():
    """The right half is missing: its far end, but not beside the clicks at its extremes."""
    truth, mask = block(20, 20, 20, 40), block(20, 20, 20, 20)
    x, y = next_click(mask, truth, NOTHING, extreme_points(truth))
    assert x > 50
    assert y in (20, 39) or x == 59


def test_surplus_is_clicked_where_its_outline_should_be():
    """A bulge right of the object: the middle of the edge that it covers."""
    truth = block(20, 20, 30, 30)
    mask = truth | block(25, 50, 20, 20)
    x, y = next_click(mask, truth, NOTHING, [(20, 35), (49, 22), (35, 20), (35, 49)])
    assert x == 49
    assert 33 <= y <= 36


def test_larger_region_wins():
    truth = block(20, 20, 20, 40)
    mask = (truth & ~block(20, 20, 20, 4)) | block(22, 60, 16, 10)  # 80 missing left, 160 surplus right
    assert next_click(mask, truth, NOTHING, extreme_points(truth))[0] == 59
    mask = (truth & ~block(20, 20, 20, 10)) | block(22, 60, 16, 10)  # 200 missing
    assert next_click(mask, truth, NOTHING, extreme_points(truth))[0] < 30


def test_void_is_not_wrong():
    truth = block(20, 20, 20, 40)
    mask = (truth & ~block(20, 20, 20, 4)) | block(22, 60, 16, 10)
    assert next_click(mask, truth, block(22, 60, 16, 10), extreme_points(truth))[0] < 24


def test_void_ring_between_does_not_hide_the_outline():
    truth, around = block(20, 20, 20, 30), block(16, 16, 28, 38)
    void = around & ~truth
    mask = truth | block(16, 50, 28, 20)  # beyond the ring on the right
    assert next_click(mask, truth, void, [(20, 30), (49, 21), (35, 20), (35, 39)])[0] == 49


def test_hole_and_blob_apart_are_answered_from_the_nearest_outline():
    truth = block(10, 10, 40, 60)
    hole = truth & ~block(15, 30, 10, 10)
    assert next_click(hole, truth, NOTHING, extreme_points(truth))[1] == 10
    blob = truth | block(25, 80, 8, 8)
    assert next_click(blob, truth, NOTHING, [(10, 20), (69, 12), (30, 10), (30, 49)])[0] == 69


@pytest.mark.parametrize("mask", [NOTHING, ~NOTHING], ids=["empty", "full"])
def test_mask_without_an_edge_is_clicked_away_from_the_clicks(mask):
    truth = block(10, 10, 30, 30)
    click = next_click(mask, truth, NOTHING, [(10, 10), (39, 10), (10, 39), (20, 39)])
    assert click is not None
    assert min(click) >= 10
    assert max(click) == 39


def test_outside_clicks_do_no_harm():
    truth, mask = block(20, 20, 20, 30), block(20, 20, 20, 10)
    assert next_click(mask, truth, NOTHING, [(0, 0), (89, 59)]) is not None


def test_outline_fully_clicked_leaves_no_click():
    truth = block(20, 20, 2, 2)
    assert next_click(NOTHING, truth, NOTHING, [(20, 20), (21, 20), (20, 21), (21, 21)]) is None


def test_no_object_is_refused():
    with pytest.raises(ValueError, match="empty"):
        next_click(NOTHING, NOTHING, NOTHING, [(0, 0)])


def test_outline_counts_the_pictures_edge():
    assert outline(~NOTHING).sum() == 2 * 60 + 2 * 90 - 4
    assert outline(block(10, 10, 5, 6)).sum() == 2 * 5 + 2 * 6 - 4
