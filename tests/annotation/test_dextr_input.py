"""What a network sees of an image, and back: every variant of the paper's ablation."""

from dataclasses import replace

import numpy as np
import pytest

from dextr_vos.annotation.dextr_input import ClickCrop, distance_map, gaussian_heatmap
from dextr_vos.geometry import extreme_points, points_into_crop

SIZE_HW = (90, 120)
SMALL = ClickCrop(size_px=64, relax_px=10)
VARIANTS = {
    "paper": SMALL,
    "whole": replace(SMALL, whole=True),
    "no clicks": replace(SMALL, points="none"),
    "corners": replace(SMALL, points="corners"),
    "distance": replace(SMALL, heat="distance"),
    "lite": replace(SMALL, relax_px=4, relax_share=0.15, fwhm_px=8, cubic=False, overlap_share=0.03),
}


def scene(centre_xy=(70, 40), radii=(30, 20)):
    """An image, and an ellipse in it."""
    rows, columns = np.indices(SIZE_HW)
    mask = ((columns - centre_xy[0]) / radii[0]) ** 2 + ((rows - centre_xy[1]) / radii[1]) ** 2 <= 1
    image = np.random.default_rng(0).integers(2, 255, (*SIZE_HW, 3), dtype=np.uint8)
    image[mask] = (200, 60, 50)
    return image, mask


def iou(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("centre_xy", [(70, 40), (8, 85), (118, 3)])
def test_a_mask_survives_the_way_into_the_crop_and_back(name, centre_xy):
    click_crop = VARIANTS[name]
    image, mask = scene(centre_xy)
    points = extreme_points(mask)
    inputs = click_crop.inputs(image, points)
    assert inputs.shape == (64, 64, 4)
    assert inputs.dtype == np.float32
    assert inputs.min() >= 0
    assert inputs.max() <= 255
    # the mask as an image takes the same way as the image
    shown = click_crop.crop_image(
        np.where(mask[..., None], 255, np.zeros(3)).astype(np.uint8), click_crop.box(points, SIZE_HW)
    )
    prob = click_crop.paste_back((shown[..., 0] / 255).astype(np.float32), points, SIZE_HW)
    assert prob.shape == SIZE_HW
    assert prob.dtype == np.float32
    assert 0 <= prob.min() <= prob.max() <= 1
    assert iou(prob > 0.5, mask) > 0.93


def test_a_whole_image_is_seen_whole_and_the_mask_still_stays_in_the_clicks_box():
    click_crop = VARIANTS["whole"]
    image, mask = scene()
    points = extreme_points(mask)
    assert click_crop.box(points, SIZE_HW) == (0, 0, 119, 89)
    inputs = click_crop.inputs(image, points)
    assert np.array_equal(inputs[..., :3], click_crop.crop_image(image, (0, 0, 119, 89)))
    heat = inputs[..., 3]
    for x, y in points:
        assert heat[int(y * 64 / 90), int(x * 64 / 120)] > 254
    prob = click_crop.paste_back(np.ones((64, 64), np.float32), points, SIZE_HW)
    rows, columns = np.nonzero(prob)
    left, right, top, bottom = points[0, 0], points[1, 0], points[2, 1], points[3, 1]
    assert (columns.min(), columns.max(), rows.min(), rows.max()) == (left, right, top, bottom)


@pytest.mark.parametrize(("share", "beyond_px"), [(0.0, 0), (0.1, 5)])
def test_the_mask_may_reach_beyond_the_clicks_by_a_share_of_their_box(share, beyond_px):
    _, mask = scene()
    click_crop = replace(SMALL, overlap_share=share)  # the box is 61×41 pixels, 51 on the mean
    prob = click_crop.paste_back(np.ones((64, 64), np.float32), extreme_points(mask), SIZE_HW)
    rows, columns = np.nonzero(prob)
    assert (columns.min(), columns.max()) == (40 - beyond_px, 100 + beyond_px)
    assert (rows.min(), rows.max()) == (20 - beyond_px, 60 + beyond_px)


def test_without_clicks_nothing_is_drawn_and_the_crop_follows_the_box():
    image, mask = scene()
    points = extreme_points(mask)
    inputs = VARIANTS["no clicks"].inputs(image, points)
    assert not inputs[..., 3].any()
    assert np.array_equal(inputs[..., :3], SMALL.inputs(image, points)[..., :3])


@pytest.mark.parametrize("heat", ["gaussian", "distance"])
def test_corners_stand_where_the_clicks_box_has_them(heat):
    image, mask = scene()
    points = extreme_points(mask)
    click_crop = replace(SMALL, points="corners", heat=heat)
    drawn = click_crop.inputs(image, points)[..., 3]
    corners = points_into_crop(
        np.array([(40, 20), (100, 20), (40, 60), (100, 60)]), click_crop.box(points, SIZE_HW), (64, 64)
    )
    expected = (
        gaussian_heatmap(corners, (64, 64), 10) if heat == "gaussian" else distance_map(corners, (64, 64))
    )
    assert np.array_equal(drawn, expected)
    # a further click inside changes nothing
    assert np.array_equal(click_crop.inputs(image, np.vstack([points, [(60, 40)]]))[..., 3], drawn)


def test_gaussians_and_distances_are_those_of_their_formulas():
    points = np.array([(5, 9), (40, 30), (63, 0), (70, 12)])  # the last one lies outside
    rows, columns = np.indices((48, 64))
    squares = [(columns - x) ** 2 + (rows - y) ** 2 for x, y in points]
    raw = np.max([np.exp(-4 * np.log(2) * square / 10**2) for square in squares], axis=0)
    expected = 255 * (raw - raw.min()) / (raw.max() - raw.min())
    assert np.allclose(gaussian_heatmap(points, (48, 64), 10), expected, atol=1e-4)
    squares[3] = (columns - 63) ** 2 + (rows - 12) ** 2  # counts as the pixel at the edge
    assert np.allclose(distance_map(points, (48, 64)), np.sqrt(np.min(squares, axis=0)), atol=1e-4)


def test_distances_end_where_a_byte_ends():
    assert distance_map([(0, 0)], (400, 400)).max() == 255


def test_the_margin_grows_with_the_object_where_it_is_a_share():
    _, small = scene(radii=(10, 10))
    _, large = scene(radii=(30, 30))
    click_crop = ClickCrop(relax_px=2, relax_share=0.1)
    for mask, margin in ((small, 4), (large, 8)):
        x0, y0, x1, y1 = click_crop.box(extreme_points(mask), SIZE_HW)
        rows, columns = np.nonzero(mask)
        assert (columns.min() - x0, rows.min() - y0, x1 - columns.max(), y1 - rows.max()) == (margin,) * 4


def test_beyond_the_image_a_crop_is_black():
    image, mask = scene((5, 5), (12, 12))
    box = SMALL.box(extreme_points(mask), SIZE_HW)
    assert box == (-10, -10, 27, 27)  # 38 pixels become 64
    shown = SMALL.crop_image(image, box)
    assert not shown[:14].any()
    assert not shown[:, :14].any()
    assert shown[19:, 19:].any(axis=2).all()
