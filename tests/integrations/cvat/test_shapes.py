"""CVAT's points and shapes become prompts and masks, and masks become shapes."""

import sys

import numpy as np
import pytest

from dextr_vos.annotation.prompts import Click
from dextr_vos.errors import InputError
from dextr_vos.export.formats.outlines import mask_of_edges
from dextr_vos.integrations.cvat.shapes import cvat_sdk, mask_of_shape, outlines, prompt_of, shape_points

SIZE_HW = (40, 60)
IMAGE = np.zeros((*SIZE_HW, 3), np.uint8)
MASK = np.zeros(SIZE_HW, bool)
MASK[10:30, 20:50] = True
MASK[0:3, 0:4] = True


def test_points_and_a_box_are_the_pixels_under_them():
    prompt = prompt_of([(20.9, 10.0), (60, 40)], [(0, 0)], [(5.5, 6.5), (30.0, 20.2)], SIZE_HW)
    assert prompt.clicks == (Click(20, 10, True), Click(59, 39, True), Click(0, 0, False))
    assert prompt.box_xyxy == (5, 6, 29, 20)
    assert prompt.points_xy is None


def test_extreme_points_are_the_positive_ones():
    prompt = prompt_of([(20, 15), (49, 15), (30, 10), (30, 29)], [(3, 3)], None, SIZE_HW, extreme_points=True)
    assert prompt.points_xy.tolist() == [[20, 15], [49, 15], [30, 10], [30, 29]]
    assert prompt.clicks == (Click(3, 3, False),)


@pytest.mark.parametrize(
    ("positive", "extreme", "sentence"),
    [([], False, "at least one positive click"), ([(1, 1)] * 3, True, "3 points, expected at least four")],
)
def test_points_that_make_no_mask_are_refused(positive, extreme, sentence):
    with pytest.raises(InputError, match=sentence):
        prompt_of(positive, [], None, SIZE_HW, extreme)


def test_polygons_and_boxes_of_a_mask():
    corners = [set(zip(ring[::2], ring[1::2], strict=True)) for ring in outlines(MASK)]
    assert corners == [{(0, 0), (4, 0), (4, 3), (0, 3)}, {(20, 10), (50, 10), (50, 30), (20, 30)}]
    polygon = shape_points("polygon", MASK)
    assert mask_of_shape("polygon", polygon, IMAGE, "cpu").sum() == 20 * 30
    assert shape_points("rectangle", MASK) == [0, 0, 50, 30]


@pytest.mark.parametrize(
    "where",
    [np.s_[5:6, 7:8], np.s_[5:6, 7:27], np.s_[5:25, 7:8], (range(5, 25), range(7, 27))],
    ids=["pixel", "row", "column", "diagonal"],
)
def test_a_thin_mask_has_polygons_that_are_it(where):
    mask = np.zeros(SIZE_HW, bool)
    mask[where] = True
    polygons = outlines(mask)
    assert np.array_equal(mask_of_edges(polygons, SIZE_HW), mask)
    assert shape_points("polygon", mask) in polygons


def test_a_mask_comes_back_as_it_was():
    pytest.importorskip("cvat_sdk")
    points = shape_points("mask", MASK)
    assert points[-4:] == [0, 0, 49, 29]
    assert np.array_equal(mask_of_shape("mask", points, IMAGE, "cpu"), MASK)
    with pytest.raises(InputError, match="the mask cannot be read"):
        mask_of_shape("mask", points[:3], IMAGE, "cpu")


def test_a_rectangle_of_three_numbers_is_refused():
    with pytest.raises(InputError, match="the rectangle cannot be read"):
        mask_of_shape("rectangle", [1, 2, 3], IMAGE, "cpu")


def test_a_shape_outside_the_image_is_refused():
    with pytest.raises(InputError, match="the polygon covers nothing"):
        mask_of_shape("polygon", [100, 100, 120, 100, 120, 120], IMAGE, "cpu")


@pytest.mark.parametrize("value", [float("nan"), 1e308])
def test_a_polygon_with_a_corner_far_outside_is_refused(value):
    with pytest.raises(InputError, match="the polygon cannot be read: a point of a shape lies far outside"):
        mask_of_shape("polygon", [value, 1, 5, 5, 9, 9], IMAGE, "cpu")


def test_without_cvat_sdk_the_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", None)
    with pytest.raises(InputError, match=r'pip install "dextr-vos\[cvat\]"'):
        cvat_sdk("auto_annotation")
