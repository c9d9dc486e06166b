import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dextr_vos.propagation.crops import (
    NOWHERE,
    ObjectCrop,
    VisiblePart,
    input_pixels,
    object_crops,
    object_windows,
    visible_parts,
)
from dextr_vos.propagation.settings import CropSettings

SIZE_HW = (120, 200)
PIXELS = 60 * 100
STEP = 112  # sides are multiples of that


def probs_with(*boxes, size_hw=SIZE_HW):
    """An object a box: top, left, bottom, right; none of it where there is no box."""
    probs = np.zeros((len(boxes), *size_hw), np.float32)
    for each, box in zip(probs, boxes, strict=True):
        if box is not None:
            each[box[0] : box[2], box[1] : box[3]] = 0.9
    return probs


def sides(crop):
    return crop.rows.stop - crop.rows.start, crop.columns.stop - crop.columns.start


def inside(crop):
    mask = np.zeros(SIZE_HW, bool)
    mask[crop.rows, crop.columns] = True
    return mask


def crops_of(probs, how, pixels):
    return object_crops(visible_parts(torch.from_numpy(probs)), probs.shape[1:], how, pixels)


def windows_in(crop, probs, how):
    return object_windows(visible_parts(torch.from_numpy(probs)), probs.shape[1:], crop, how)


def test_visible_parts_are_the_boxes_of_what_is_more_likely_than_not():
    probs = probs_with((50, 90, 70, 110), None, (0, 0, 120, 200), (119, 199, 120, 200))
    probs[0, 5, 5] = 0.5
    probs[0, 60:64, 95:99] = 0.2
    assert visible_parts(torch.from_numpy(probs)) == [
        VisiblePart(20 * 20 - 16, slice(50, 70), slice(90, 110)),
        NOWHERE,
        VisiblePart(120 * 200, slice(0, 120), slice(0, 200)),
        VisiblePart(1, slice(119, 120), slice(199, 200)),
    ]


@settings(deadline=None)
@given(st.data())
def test_a_crop_holds_all_objects_and_lies_in_the_frame(data):
    boxes = []
    for _ in range(data.draw(st.integers(1, 3))):
        top, left = data.draw(st.integers(0, 100)), data.draw(st.integers(0, 180))
        height, width = data.draw(st.integers(5, 119 - top)), data.draw(st.integers(5, 199 - left))
        boxes.append((top, left, top + height, left + width))
    probs = probs_with(*boxes)
    crop_settings = CropSettings(margins=(data.draw(st.sampled_from([1.0, 1.8, 4.0])),))
    (crop,) = crops_of(probs, crop_settings, PIXELS)
    assert 0 <= crop.rows.start < crop.rows.stop <= SIZE_HW[0]
    assert 0 <= crop.columns.start < crop.columns.stop <= SIZE_HW[1]
    assert not ((probs > 0.5).any(0) & ~inside(crop)).any()
    assert min(crop.size_hw) >= STEP
    assert all(side % STEP == 0 for side in crop.size_hw)


def test_a_larger_margin_shows_more_around_the_object():
    probs = probs_with((50, 90, 70, 110))
    crops = crops_of(probs, CropSettings(margins=(1.2, 2.0, 3.0), least=0.05), PIXELS)
    heights = [sides(crop)[0] for crop in crops]
    assert heights == sorted(heights)
    assert heights[0] == pytest.approx(24, abs=2)
    assert heights[2] == pytest.approx(60, abs=2)


def test_a_small_object_still_has_surroundings():
    (crop,) = crops_of(probs_with((58, 98, 63, 103)), CropSettings(margins=(1.5,), least=0.5), PIXELS)
    height, width = sides(crop)
    assert height >= 59
    assert width >= 99


@pytest.mark.parametrize(
    "probs",
    [
        probs_with(None),
        probs_with(None, None),
        probs_with((10, 10, 13, 13)),  # nine pixels do not count
        np.full((1, *SIZE_HW), 0.5, np.float32),
    ],
)
def test_without_a_visible_object_the_crop_is_the_whole_frame(probs):
    assert all(inside(crop).all() for crop in crops_of(probs, CropSettings(), PIXELS))


def test_crops_are_never_very_steep_or_very_flat():
    for box in ((10, 100, 110, 104), (60, 5, 64, 195)):
        (crop,) = crops_of(probs_with(box), CropSettings(margins=(1.0,), least=0.01), PIXELS)
        height, width = sides(crop)
        assert 0.75 < width / height < 2.1


@pytest.mark.parametrize("box", [(50, 90, 70, 110), (5, 5, 115, 195), (40, 60, 80, 140)])
def test_every_crop_enters_the_network_with_about_as_many_pixels(box):
    pixels = 1200 * 2000  # so many that steps matter little
    (crop,) = crops_of(probs_with(box), CropSettings(margins=(1.8,), enlarge=100.0, least=0.01), pixels)
    assert crop.size_hw[0] * crop.size_hw[1] == pytest.approx(pixels, rel=0.1)
    assert crop.size_hw[0] / crop.size_hw[1] == pytest.approx(sides(crop)[0] / sides(crop)[1], rel=0.1)


@pytest.mark.parametrize("pixels", [PIXELS, 480 * 270, 854 * 480])
def test_sides_are_rounded_to_the_nearest_step(pixels):
    probs = probs_with((40, 60, 80, 140))
    (crop,) = crops_of(probs, CropSettings(margins=(1.8,), enlarge=100.0, least=0.01), pixels)
    scale = (pixels / (sides(crop)[0] * sides(crop)[1])) ** 0.5
    for side, exact in zip(crop.size_hw, (scale * side for side in sides(crop)), strict=True):
        assert abs(side - max(STEP, exact)) <= STEP / 2


def test_pixels_are_enlarged_no_more_than_allowed():
    """But for the rounding."""
    (crop,) = crops_of(
        probs_with((50, 80, 80, 120)), CropSettings(margins=(1.8,), enlarge=12.0, least=0.01), 10**8
    )
    assert crop.size_hw[0] == pytest.approx(12 * sides(crop)[0], abs=STEP / 2)


def smooth(count, size_hw=SIZE_HW):
    ys, xs = np.indices(size_hw, dtype=np.float32)
    return np.stack([0.5 + 0.4 * np.sin(xs / 17 + shift) * np.cos(ys / 13) for shift in range(count)])


@pytest.mark.parametrize("size_hw", [(60, 80), (40, 54), (90, 120)])
def test_cut_and_paste_restore(size_hw):
    crop = ObjectCrop(slice(20, 80), slice(100, 180), size_hw)
    maps = smooth(2)
    cut = crop.cut(torch.from_numpy(maps))
    assert (cut.shape, cut.dtype) == ((2, *size_hw), torch.float32)
    back = crop.paste(cut, SIZE_HW).numpy()
    assert (back.shape, back.dtype) == ((2, *SIZE_HW), np.float32)
    assert np.abs(back - maps)[:, inside(crop)].max() < 0.02
    assert not back[:, ~inside(crop)].any()


def test_images_and_maps_are_cut_alike():
    crop = ObjectCrop(slice(20, 80), slice(100, 180), (45, 60))
    maps = smooth(1)
    image = np.repeat((maps[0] * 255).astype(np.uint8)[..., None], 3, axis=2)
    cut = crop.cut_image(image)
    assert (cut.shape, cut.dtype) == ((45, 60, 3), np.uint8)
    assert np.abs(cut[..., 1] / 255 - crop.cut(torch.from_numpy(maps))[0].numpy()).max() < 0.01


def test_a_pasted_ramp_is_exact_up_to_the_border_of_the_crop():
    crop = ObjectCrop(slice(20, 80), slice(100, 180), (120, 160))
    ramp = (torch.arange(160) + 0.5) / 2  # in pixels of the frame, from the left of the crop
    part = crop.paste(ramp.expand(1, 120, 160), SIZE_HW)[0, 20:80, 100:180]
    assert torch.allclose(part, (torch.arange(80) + 0.5).expand(60, 80), atol=1e-4)


def test_every_pixel_counts_where_maps_become_smaller():
    crop = ObjectCrop(slice(0, 120), slice(0, 200), (24, 40))
    for row, column in ((60, 100), (61, 103), (37, 59)):
        maps = torch.zeros((1, *SIZE_HW))
        maps[0, row, column] = 1
        assert crop.cut(maps).sum().item() == pytest.approx(1 / 25, rel=0.05)


def test_pixels_of_the_input_are_those_of_a_wide_frame():
    assert input_pixels(480) == 480 * 270
    assert input_pixels(256) == 256 * 144


def seen_in(window, crop):
    """The part of the frame that a window of a crop shows, as a mask."""
    mask = np.zeros(crop.size_hw, np.float32)
    rows, columns = window.rows, window.columns
    mask[16 * rows.start : 16 * rows.stop, 16 * columns.start : 16 * columns.stop] = 1
    return crop.paste(torch.from_numpy(mask)[None], SIZE_HW)[0].numpy() > 0.5


def windows_of(*boxes, **changes):
    probs = probs_with(*boxes)
    how = CropSettings(**{"margins": (2.0,), "least": 0.05} | changes)
    (crop,) = crops_of(probs, how, 200 * 400)
    return windows_in(crop, probs, how), crop


@settings(deadline=None)
@given(st.data())
def test_a_window_holds_its_object_and_lies_in_the_crop(data):
    boxes = []
    for _ in range(data.draw(st.integers(2, 4))):
        height, width = data.draw(st.integers(5, SIZE_HW[0])), data.draw(st.integers(5, SIZE_HW[1]))
        top = data.draw(st.integers(0, SIZE_HW[0] - height))
        left = data.draw(st.integers(0, SIZE_HW[1] - width))
        boxes.append((top, left, top + height, left + width))
    found, crop = windows_of(*boxes, margins=(data.draw(st.sampled_from([1.0, 2.0])),))
    for (top, left, bottom, right), window in zip(boxes, found or [], strict=bool(found)):
        for part, side in zip((window.rows, window.columns), crop.size_hw, strict=True):
            assert part.start >= 0
            assert part.stop <= side // 16
            assert part.stop - part.start >= STEP // 16
        # the outermost pixels may be cut by less than one of theirs
        assert seen_in(window, crop)[top + 1 : bottom - 1, left + 1 : right - 1].all()


def test_windows_are_around_their_objects_and_equally_large():
    first, second = (20, 20, 50, 50), (50, 150, 110, 190)
    found, crop = windows_of(first, second)
    assert found[0].size_hw == found[1].size_hw
    for (top, left, bottom, right), window in zip((first, second), found, strict=True):
        rows, columns = (np.flatnonzero(seen_in(window, crop).any(axis)) for axis in (1, 0))
        # one and a half times as high as the higher object, and as wide as the wider one, or a little more
        assert len(rows) == pytest.approx(1.5 * 60, abs=16)
        assert len(columns) == pytest.approx(1.5 * 40, abs=16)
        assert (columns[0] + columns[-1]) / 2 == pytest.approx((left + right) / 2, abs=8)
        assert rows[0] <= top < bottom <= rows[-1] + 1


def test_a_window_shows_at_least_the_least_share_of_the_frame():
    found, crop = windows_of((30, 20, 36, 26), (60, 150, 66, 156), least=0.5)
    for window in found:
        rows, columns = (np.flatnonzero(seen_in(window, crop).any(axis)) for axis in (1, 0))
        assert len(columns) >= 0.5 * SIZE_HW[1] - 8
        assert len(rows) >= 0.5 * SIZE_HW[0] - 8


def test_a_window_at_the_border_is_not_smaller():
    (corner, _), _ = windows_of((0, 0, 6, 6), (110, 190, 119, 199))
    assert corner.rows == slice(0, STEP // 16)
    assert corner.columns == slice(0, STEP // 16)


def test_an_object_whose_place_is_unknown_is_looked_for_in_the_whole_crop():
    probs = probs_with((20, 20, 40, 40), None)
    probs[1] = 0.5
    how = CropSettings(margins=(2.0,), least=0.05)
    crop = ObjectCrop(slice(0, 120), slice(0, 200), (224, 336))
    near, anywhere = windows_in(crop, probs, how)
    assert (anywhere.rows, anywhere.columns) == (slice(0, 14), slice(0, 21))
    assert near.columns.stop < 14


def test_no_window_is_needed_for_one_object_or_where_all_fill_the_crop():
    assert windows_of((40, 40, 90, 90))[0] is None
    assert windows_of((0, 0, 120, 180), (10, 10, 119, 199))[0] is None
