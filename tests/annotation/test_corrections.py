import cv2
import numpy as np
import pytest

from dextr_vos.annotation.corrections import next_correction
from dextr_vos.annotation.prompts import Click

EMPTY = np.zeros((60, 80), dtype=bool)


def disk(x, y, radius):
    drawn = np.zeros(EMPTY.shape, np.uint8)
    cv2.circle(drawn, (x, y), radius, 1, -1)
    return drawn.view(bool)


def test_what_is_missed_gets_a_positive_click_in_its_middle():
    assert next_correction(EMPTY, disk(30, 20, 9), EMPTY) == Click(30, 20, True)


def test_what_spills_gets_a_negative_click():
    truth = disk(30, 20, 9)
    assert next_correction(truth | disk(60, 40, 7), truth, EMPTY) == Click(60, 40, False)


def test_the_largest_error_comes_first():
    assert next_correction(disk(60, 40, 7), disk(30, 20, 9), EMPTY) == Click(30, 20, True)


def test_void_and_seams_need_no_click():
    truth = disk(30, 20, 9)
    assert next_correction(EMPTY, truth, truth) is None
    assert next_correction(truth, truth, EMPTY) is None
    seam = truth.copy()
    seam[:, 30] = False
    assert next_correction(seam, truth, EMPTY) is None


def test_a_pixel_is_not_clicked_twice():
    truth = disk(30, 20, 9)
    first = next_correction(EMPTY, truth, EMPTY)
    second = next_correction(EMPTY, truth, EMPTY, before=[first])
    assert second is not None
    assert second != first


@pytest.mark.parametrize("seed", range(5))
def test_random_clicks_are_well_inside_the_error(seed):
    click = next_correction(EMPTY, disk(30, 20, 12), EMPTY, np.random.default_rng(seed))
    assert click.positive
    assert np.hypot(click.x - 30, click.y - 20) < 8
