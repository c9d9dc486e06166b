import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dextr_vos.geometry import (
    box_around,
    box_size_hw,
    clip_box,
    crop,
    extreme_points,
    fit_longest_side,
    paste,
    pixel_under,
    points_into_crop,
    sort_extremes,
    touched_box,
)

coordinates = st.integers(-30, 60)


@given(x=coordinates, y=coordinates, width=st.integers(1, 50), height=st.integers(1, 50))
@settings(deadline=None)
def test_crop_then_paste_restores_what_lies_in_the_box(x: int, y: int, width: int, height: int) -> None:
    picture = np.arange(1, 20 * 30 + 1).reshape(20, 30)
    box = (x, y, x + width - 1, y + height - 1)
    patch = crop(picture, box)
    assert patch.shape == (height, width)
    restored = paste(patch, box, (20, 30))
    rows, columns = np.mgrid[:20, :30]
    inside = (columns >= x) & (columns <= box[2]) & (rows >= y) & (rows <= box[3])
    assert (restored == np.where(inside, picture, 0)).all()


def test_crop_pads_with_zeros_and_keeps_channels_and_type() -> None:
    patch = crop(np.full((4, 5, 3), 7, dtype=np.uint8), (-1, -2, 1, 1))
    assert patch.shape == (4, 3, 3)
    assert patch.dtype == np.uint8
    assert (patch[:2] == 0).all()
    assert (patch[:, 0] == 0).all()
    assert (patch[2:, 1:] == 7).all()


def test_boxes_are_inclusive() -> None:
    assert box_around([(3, 4), (7, 5)]) == (3, 4, 7, 5)
    assert box_around([(3, 4), (7, 5)], relax=50) == (-47, -46, 57, 55)
    assert box_size_hw((3, 4, 7, 5)) == (2, 5)
    assert clip_box((-3, -4, 70, 5), (10, 20)) == (0, 0, 19, 5)


def test_a_place_belongs_to_a_pixel_of_the_image() -> None:
    assert [pixel_under(place, (40, 60)) for place in ((20.9, 10.0), (60, 40), (-3, 1e308))] == [
        (20, 10),
        (59, 39),
        (0, 39),
    ]
    assert touched_box((5.5, 6.5, 30.0, 20.2), (40, 60)) == (5, 6, 29, 20)
    assert touched_box((50, 30, 70, 20), (40, 60)) == (50, 30, 59, 30)


def test_points_move_into_a_crop_by_truncation() -> None:
    # golden/dextr_forward.json, case "inside"
    points = [(160, 262), (624, 268), (300, 90), (405, 374)]
    moved = points_into_crop(points, (110, 40, 674, 424), (512, 512))
    assert moved.tolist() == [[45, 295], [465, 303], [172, 66], [267, 444]]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4)))[::5])
def test_clicks_come_in_any_order(order: tuple[int, ...]) -> None:
    sorted_xy = np.array([(2, 10), (30, 12), (15, 1), (14, 25)])
    extra = np.array([(16, 12), (17, 13)])
    shuffled = np.concatenate([extra[:1], sorted_xy[list(order)], extra[1:]])
    assert (sort_extremes(shuffled) == np.concatenate([sorted_xy, extra])).all()


def test_a_corner_point_serves_one_side() -> None:
    ordered = sort_extremes([(0, 0), (1, 20), (20, 10), (10, 1)])
    assert sorted(ordered.tolist()) == [[0, 0], [1, 20], [10, 1], [20, 10]]
    assert box_around(ordered) == (0, 0, 20, 20)
    assert ordered[1].tolist() == [20, 10]
    assert ordered[3].tolist() == [1, 20]


@given(st.integers(0, 10_000), st.integers(0, 6))
@settings(deadline=None, max_examples=40)
def test_simulated_clicks_lie_on_the_mask_and_near_its_sides(seed: int, jitter: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 50), dtype=bool)
    mask[rng.integers(0, 40, 30), rng.integers(0, 50, 30)] = True
    points = extreme_points(mask, jitter, rng)
    assert mask[points[:, 1], points[:, 0]].all()
    rows, columns = np.nonzero(mask)
    left, right, top, bottom = points
    assert left[0] - columns.min() <= jitter
    assert columns.max() - right[0] <= jitter
    assert top[1] - rows.min() <= jitter
    assert rows.max() - bottom[1] <= jitter


def test_without_jitter_the_median_pixel_is_clicked() -> None:
    mask = np.zeros((20, 20), dtype=bool)
    mask[5:12, 3:15] = True
    assert extreme_points(mask).tolist() == [[3, 8], [14, 8], [8, 5], [8, 11]]


def test_extreme_points_refuse_what_has_none() -> None:
    with pytest.raises(ValueError, match="empty mask"):
        extreme_points(np.zeros((4, 4), dtype=bool))
    with pytest.raises(ValueError, match="generator"):
        extreme_points(np.ones((4, 4), dtype=bool), jitter_px=2)


@pytest.mark.parametrize(
    ("size_hw", "longest", "multiple", "expected"),
    [
        ((480, 854), 480, 1, (270, 480)),
        ((100, 50), 480, 1, (100, 50)),
        ((480, 854), 480, 32, (256, 480)),
        ((3, 4000), 100, 8, (8, 96)),
    ],
)
def test_fit_longest_side(
    size_hw: tuple[int, int], longest: int, multiple: int, expected: tuple[int, int]
) -> None:
    assert fit_longest_side(size_hw, longest, multiple) == expected
