import numpy as np
import pytest

from dextr_vos.datasets.instances import PackedMask, connected_parts


def masks():
    rng = np.random.default_rng(0)
    full = np.ones((9, 13), dtype=bool)
    corner = np.zeros((9, 13), dtype=bool)
    corner[8, 12] = True
    return {
        "empty": np.zeros((9, 13), dtype=bool),
        "full": full,
        "corner": corner,
        "noise": rng.random((40, 31)) > 0.6,
        "row": full[:1],
        "column": full[:, :1],
        "transposed": (rng.random((40, 31)) > 0.6).T,
    }


@pytest.mark.parametrize("name", masks())
def test_a_mask_comes_back(name):
    mask = masks()[name]
    cutout = PackedMask.of(mask)
    np.testing.assert_array_equal(cutout.mask(), mask)
    assert cutout.mask().dtype == bool
    assert cutout.area == mask.sum()


@pytest.mark.parametrize("name", masks())
def test_parts_are_disjoint_and_make_the_mask(name):
    mask = masks()[name]
    parts = [part.mask() for part in connected_parts(mask)]
    np.testing.assert_array_equal(np.sum([np.zeros_like(mask, dtype=int), *parts], axis=0), mask)
    for part in parts:
        assert len(list(connected_parts(part))) == 1


def test_corners_connect_and_small_parts_are_dropped():
    mask = np.zeros((10, 10), dtype=bool)
    mask[[5, 6], [5, 6]] = True
    mask[2, 1] = True
    assert [part.area for part in connected_parts(mask)] == [1, 2]
    assert [part.area for part in connected_parts(mask, min_area=2)] == [2]


def test_a_mask_is_kept_small():
    mask = np.zeros((480, 640), dtype=bool)
    mask[100:300, 200:400] = True
    assert len(PackedMask.of(mask).bits) < 100
