"""Polygons give back the masks that they were made of."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dextr_vos.export.formats.outlines import centre_polygons, edge_polygons, mask_of_centres, mask_of_edges
from dextr_vos.export.formats.run_lengths import (
    cvat_mask,
    label_studio_rle,
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
