import numpy as np
import pytest

from dextr_vos.propagation.postprocess import islands, supported_share


def drawn(*boxes, size_hw=(60, 80)) -> np.ndarray:
    """A mask of boxes, each (x, y, width, height)."""
    mask = np.zeros(size_hw, bool)
    for x, y, width, height in boxes:
        mask[y : y + height, x : x + width] = True
    return mask


BODY, ARM, SPECK = (10, 10, 20, 20), (50, 10, 10, 10), (5, 50, 2, 2)  # 400, 100 and 4 pixels


@pytest.mark.parametrize(
    ("share", "dropped"), [(0.0, []), (0.005, []), (0.2, [SPECK]), (0.25, [SPECK]), (0.3, [ARM, SPECK])]
)
def test_parts_smaller_than_a_share_of_the_largest_are_islands(share, dropped):
    assert np.array_equal(islands(drawn(BODY, ARM, SPECK), share), drawn(*dropped))


@pytest.mark.parametrize("mask", [drawn(), drawn(BODY), drawn(BODY, (30, 10, 5, 1)), drawn((0, 0, 80, 60))])
def test_what_hangs_together_has_no_islands(mask):
    assert not islands(mask, 0.9).any()


def test_parts_that_touch_at_a_corner_are_one():
    assert not islands(drawn(BODY, (30, 30, 2, 2)), 0.9).any()


def test_a_keyframe_that_shows_small_parts_lets_them_stay():
    whole, parted = drawn(BODY), drawn(BODY, (50, 10, 6, 10))  # a part of 60 pixels: 0.15 of the body
    assert supported_share([whole], 0.2) == 0.2
    assert supported_share([whole, parted], 0.2) == pytest.approx(0.075)
    assert not islands(parted, supported_share([parted], 0.2)).any()
    assert supported_share([parted], 0.0) == 0.0


def test_specks_and_empty_keyframes_support_nothing():
    assert supported_share([drawn(BODY, SPECK), drawn()], 0.2) == 0.2
