import numpy as np
import pytest

from dextr_vos.evaluation.failure_sheet import WORST, FailureSheet
from dextr_vos.geometry import extreme_points
from dextr_vos.images import read_image


def shown(sheet, iou, size_hw=(80, 120), place=(20, 30), grey=90, name="p"):
    truth = np.zeros(size_hw, dtype=bool)
    truth[place[0] : place[0] + 30, place[1] : place[1] + 40] = True
    image = np.full((*size_hw, 3), grey, dtype=np.uint8)
    mask, points = np.roll(truth, 5, axis=1), extreme_points(truth)
    sheet.add(iou, f"{name} 1 cat", image, truth, mask, points)


def test_outlines_and_clicks_are_seen(tmp_path):
    sheet = FailureSheet()
    shown(sheet, 0.5)
    sheet.write(tmp_path / "worst.png")
    image = read_image(tmp_path / "worst.png").astype(int)
    red, _, blue = (image[..., channel] for channel in range(3))
    assert (blue - red > 100).any()  # true
    assert (red - blue > 100).any()  # predicted


@pytest.mark.parametrize("count", [1, 3, WORST, 40])
def test_only_the_worst_are_kept(tmp_path, count):
    sheet = FailureSheet()
    ious = np.random.default_rng(0).permutation(count) / count
    for iou in ious:
        shown(sheet, float(iou))
    kept = sorted(-entry[0] for entry in sheet._heap)
    assert kept == sorted(ious)[:WORST]
    sheet.write(tmp_path / "worst.jpg")
    rows = -(-min(count, WORST) // 4)
    assert read_image(tmp_path / "worst.jpg").shape[0] > rows * 300


def test_worst_comes_first_and_of_equal_ones_the_earlier(tmp_path):
    """Grey levels tell the tiles apart."""
    sheet = FailureSheet()
    for iou, grey in ((0.5, 50), (0.1, 250), (0.5, 100), (0.3, 150)):
        shown(sheet, iou, grey=grey)
    sheet.write(tmp_path / "worst.png")
    image = read_image(tmp_path / "worst.png")
    corners = [int(image[60, 8 + 408 * place + 60, 0]) for place in range(4)]
    assert corners == [250, 150, 50, 100]


@pytest.mark.parametrize(
    ("size_hw", "place"), [((60, 60), (0, 0)), ((31, 41), (1, 1)), ((40, 900), (5, 850)), ((900, 60), (3, 3))]
)
def test_any_shape_and_place_fits(tmp_path, size_hw, place):
    sheet = FailureSheet()
    shown(sheet, 0.5, size_hw, place, name="größe/0")
    sheet.write(tmp_path / "worst.jpg")


def test_empty_sheet_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one object"):
        FailureSheet().write(tmp_path / "worst.jpg")
