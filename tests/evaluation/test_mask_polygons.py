import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from dextr_vos.evaluation.mask_polygons import longest_outline

GOLDEN = Path(__file__).parent.parent / "golden" / "mask_polygons.json"


def rough_mask(name):
    """Noise of 0 and 1, each pixel the majority of `side` × `side`; many of its blobs touch at corners."""
    side, seed, *inverted = name.split("-")
    noise = np.random.default_rng(int(seed)).integers(0, 2, (44, 64))
    windows = np.lib.stride_tricks.sliding_window_view(noise, (int(side), int(side)))
    mask = windows.sum(axis=(2, 3)) * 2 > int(side) ** 2
    return np.pad(~mask, 4, constant_values=True) if inverted else mask


def drawn(*rows):
    return np.array([[letter == "#" for letter in row] for row in rows])


def outline_of(mask):
    outline = longest_outline(mask)
    return None if outline is None else outline.tolist()


def test_a_rectangle_has_four_corners_clockwise_from_the_top_left():
    mask = np.zeros((9, 12), dtype=bool)
    mask[2:6, 3:10] = True
    assert outline_of(mask) == [[2, 3], [2, 10], [6, 10], [6, 3], [2, 3]]


def test_the_whole_image_has_an_outline_along_its_border():
    assert outline_of(np.ones((5, 7), dtype=bool)) == [[0, 0], [0, 7], [5, 7], [5, 0], [0, 0]]


def test_a_step_of_one_pixel_is_smoothed_away():
    mask = np.zeros((20, 30), dtype=bool)
    mask[5:15, 5:25] = True
    mask[4, 10:20] = True
    assert len(longest_outline(mask)) < 8


def test_the_outline_of_a_hole_counts_when_it_has_more_vertices():
    mask = np.ones((40, 40), dtype=bool)
    star = np.array([[20, 5], [23, 17], [35, 20], [23, 23], [20, 35], [17, 23], [5, 20], [17, 17]])
    hole = cv2.fillPoly(np.zeros((40, 40), np.uint8), [star], 1) > 0
    outline = longest_outline(mask & ~hole)
    assert len(outline) > 8
    assert outline[:, 0].min() >= 4


def test_blobs_that_meet_at_a_corner_have_outlines_of_their_own():
    mask = np.zeros((24, 24), dtype=bool)
    mask[2:12, 2:12] = mask[12:22, 12:22] = True
    outline = longest_outline(mask)
    assert len(outline) == 5
    assert np.ptp(outline, axis=0).tolist() == [10, 10]


@pytest.mark.parametrize(
    "mask",
    [np.zeros((6, 8), dtype=bool), drawn("....", ".#..", "...."), drawn("#...", ".#..", "..#.")],
    ids=["empty", "a pixel", "pixels"],
)
def test_no_outline_where_only_single_pixels_are(mask):
    assert longest_outline(mask) is None


def test_a_moved_mask_has_a_moved_outline():
    mask = np.zeros((90, 120), dtype=bool)
    mask[10:50, 20:80] = rough_mask("5-0")
    assert (
        longest_outline(np.roll(mask, (11, -7), (0, 1))) == longest_outline(mask) + np.array([11, -7])
    ).all()


@pytest.mark.parametrize("name", sorted(json.loads(GOLDEN.read_text())))
def test_outlines_are_those_of_the_toolbox(name):
    assert outline_of(rough_mask(name)) == json.loads(GOLDEN.read_text())[name]
