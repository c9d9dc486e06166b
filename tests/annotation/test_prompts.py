import numpy as np
import pytest

from dextr_vos.annotation.dextr_input import ClickCrop
from dextr_vos.annotation.prompt_segmenter import tokens
from dextr_vos.annotation.prompts import Click, Prompt, coverage, mask_input, unit_box, unit_points
from dextr_vos.networks.prompt_decoder import BOX_END, BOX_START, EXTREME, NEGATIVE, POSITIVE

POINTS = np.array([[10, 20], [29, 22], [18, 12], [20, 31]])
CROP = ClickCrop(size_px=64, relax_px=3, relax_share=0.0)


def test_the_crop_holds_what_is_known_and_positive_clicks_beyond_it():
    assert Prompt(POINTS).crop_box(CROP, (100, 120)) == (7, 9, 32, 34)
    clicks = (Click(50, 20, True), Click(90, 90, False))
    assert Prompt(POINTS, clicks).crop_box(CROP, (100, 120)) == (7, 9, 53, 34)
    assert Prompt(box_xyxy=(4, 5, 8, 9)).crop_box(CROP, (100, 120)) == (1, 2, 11, 12)
    mask = np.zeros((100, 120), np.float32)
    mask[40:50, 60:70] = 0.9
    assert Prompt(mask=mask).crop_box(CROP, (100, 120)) == (57, 37, 72, 52)


def test_clicks_alone_and_an_empty_mask_take_the_whole_image():
    for prompt in (Prompt(clicks=(Click(5, 5, True),)), Prompt(mask=np.zeros((100, 120), np.float32))):
        assert prompt.crop_box(CROP, (100, 120)) == (0, 0, 119, 99)


def test_points_are_shares_of_the_box_with_pixel_centres():
    box = (10, 20, 19, 39)  # 10×20 pixels
    np.testing.assert_allclose(unit_points([(10, 20), (19, 39)], box), [(0.05, 0.025), (0.95, 0.975)])
    # the box of two pixels covers both
    np.testing.assert_allclose(unit_box([(10, 20), (19, 39)], box), [(0, 0), (1, 1)])


def test_every_kind_of_point_is_told_apart():
    clicks = (Click(12, 15, True), Click(30, 30, False))
    points, kinds = tokens(Prompt(POINTS, clicks), (0, 0, 99, 99))
    assert kinds == [EXTREME] * 4 + [BOX_START, BOX_END, POSITIVE, NEGATIVE]
    np.testing.assert_allclose(points[4:6], [(0.10, 0.12), (0.30, 0.32)], atol=1e-6)
    assert tokens(Prompt(box_xyxy=(1, 2, 3, 4)), (0, 0, 9, 9))[1] == [BOX_START, BOX_END]
    assert tokens(Prompt(mask=np.ones((4, 4), np.float32)), (0, 0, 3, 3))[0].shape == (0, 2)


@pytest.mark.parametrize("side", [32, 200])
def test_a_mask_keeps_its_share_when_it_is_resized(side):
    mask = np.zeros((100, 100), bool)
    mask[25:75, 25:75] = True
    resized = coverage(mask, (0, 0, 99, 99), side)
    assert resized.shape == (side, side)
    assert resized.mean() == pytest.approx(0.25, abs=0.01)
    assert mask_input(mask, (0, 0, 99, 99), 64).shape == (16, 16)
