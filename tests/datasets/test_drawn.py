import cv2
import numpy as np
import pytest

from dextr_vos.datasets.drawn import drawn_openings, drawn_structure


@pytest.mark.parametrize("size_px", [8, 60, 200])
def test_structures_are_thin_and_never_empty(size_px):
    shares = []
    for seed in range(40):
        structure, again = (drawn_structure(size_px, np.random.default_rng(seed)) for _ in range(2))
        assert structure.shape == (size_px, size_px)
        assert structure.dtype == np.bool_
        assert structure.any()
        assert np.array_equal(structure, again)
        shares.append(structure.mean())
    assert np.mean(shares) < 0.35
    if size_px >= 60:  # smaller ones have no room for holes
        inner = cv2.distanceTransform(structure.astype(np.uint8), cv2.DIST_L2, 3).max()
        assert inner < 0.15 * size_px


def test_openings_lie_in_the_mask_and_leave_the_rest():
    rows, columns = np.indices((90, 120))
    mask = ((columns - 60) / 40) ** 2 + ((rows - 45) / 30) ** 2 <= 1
    shares = []
    for seed in range(40):
        openings = drawn_openings(mask, np.random.default_rng(seed))
        assert openings.dtype == np.bool_
        assert not (openings & ~mask).any()
        shares.append(np.count_nonzero(openings) / np.count_nonzero(mask))
    assert 0.02 < np.mean(shares) < 0.5


def test_openings_of_a_single_pixel():
    mask = np.zeros((9, 9), dtype=bool)
    mask[4, 4] = True
    assert not (drawn_openings(mask, np.random.default_rng(0)) & ~mask).any()
