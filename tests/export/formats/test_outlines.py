"""Polygons give back the masks that they were made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dextr_vos.export.formats.outlines import (
    centre_polygons,
    edge_polygons,
    mask_of_centres,
    mask_of_edges,
    mask_of_ellipse,
)
from dextr_vos.export.formats.run_lengths import (
    coco_mask,
    cvat_mask,
    label_studio_rle,
    mask_of_coco,
    mask_of_cvat,
    mask_of_label_studio,
)

MASKS = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@settings(deadline=None)
@given(MASKS)
def test_polygons_along_edges(mask):
    polygons = [[value for point in ring for value in point] for ring in edge_polygons(mask)]
    assert (mask_of_edges(polygons, mask.shape) == mask).all()


@settings(deadline=None)
@given(MASKS)
def test_polygons_through_centres(mask):
    polygons = [np.array(ring, dtype=np.float64) for ring in centre_polygons(mask)]
    assert (mask_of_centres(polygons, mask.shape) == mask).all()


@settings(deadline=None)
@given(MASKS)
def test_run_lengths(mask):
    assert (mask_of_label_studio(label_studio_rle(mask), mask.shape) == mask).all()
    assert (mask_of_coco(coco_mask(mask)["segmentation"], mask.shape) == mask).all()
    if mask.any():
        assert (mask_of_cvat(cvat_mask(mask), mask.shape) == mask).all()


def test_a_hole_of_an_island_in_a_hole_is_the_islands():
    mask = np.zeros((15, 15), dtype=bool)
    for margin in range(1, 7):
        mask[margin:-margin, margin:-margin] = margin % 2 == 1
    edges = [[value for point in ring for value in point] for ring in edge_polygons(mask)]
    assert (mask_of_edges(edges, mask.shape) == mask).all()
    centres = [np.array(ring, dtype=np.float64) for ring in centre_polygons(mask)]
    assert (mask_of_centres(centres, mask.shape) == mask).all()
    for ring in edges:  # each part on its own, too, as editors show them
        part = mask_of_edges([ring], mask.shape)
        assert (part & ~mask).sum() == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e308, -1e8])
def test_a_shape_with_a_point_far_outside_is_refused(value):
    far = "far outside the image, or is no number"
    with pytest.raises(ValueError, match=far):
        mask_of_edges([[1, 1, 9, 1, 9, 9], [1, 1, value, 5, 9, 9]], (48, 64))
    with pytest.raises(ValueError, match=far):
        mask_of_ellipse((value, 5), (3, 3), 0, (48, 64))
    with pytest.raises(ValueError, match=far):
        mask_of_ellipse((5, 5), (3, value), 0, (48, 64))


def test_a_polygon_longer_than_any_outline_is_refused():
    with pytest.raises(ValueError, match="longer than that of any mask"):
        mask_of_edges([[0, 0, 6000, 6000] * 1000], (48, 64))
    assert mask_of_edges([[-6000, -6000, 6000, -6000, 6000, 6000, -6000, 6000]], (48, 64)).all()


def test_the_rotation_of_an_ellipse_is_a_number_and_one_without_a_radius_covers_nothing():
    with pytest.raises(ValueError, match="nan degrees"):
        mask_of_ellipse((5, 5), (3, 3), np.nan, (48, 64))
    assert not mask_of_ellipse((5.5, 5.5), (0, 0), 0, (48, 64)).any()
    assert not mask_of_ellipse((5.5, 5.5), (0, 3), 0, (48, 64)).any()


LARGE = np.zeros((48, 64), bool)
LARGE[10:20, 30:40] = LARGE[15:40, 5:28] = True
COUNTS = coco_mask(LARGE)["segmentation"]["counts"]


@pytest.mark.parametrize(
    "counts",
    [
        *(COUNTS[:-1], COUNTS[:-10], COUNTS * 2, COUNTS + "11", COUNTS + "o", "o" * 99 + "0", "~", "\n", ""),
        *([3000], [3080, -8], [*[1 << 62] * 4, 3072]),
    ],
)
def test_damaged_run_lengths_of_coco_are_refused(counts):
    with pytest.raises(ValueError, match="run lengths"):
        mask_of_coco({"size": [48, 64], "counts": counts}, (48, 64))
