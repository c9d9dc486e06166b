import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dextr_vos.propagation.settings import CropSettings
from dextr_vos.propagation.tracker import ObjectCrop, input_pixels, object_crops, object_windows

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
    (crop,) = object_crops(probs, crop_settings, PIXELS)
    assert 0 <= crop.rows.start < crop.rows.stop <= SIZE_HW[0]
    assert 0 <= crop.columns.start < crop.columns.stop <= SIZE_HW[1]
    assert not ((probs > 0.5).any(0) & ~inside(crop)).any()
    assert min(crop.size_hw) >= STEP
    assert all(side % STEP == 0 for side in crop.size_hw)


def test_a_larger_margin_shows_more_around_the_object():
    probs = probs_with((50, 90, 70, 110))
    crops = object_crops(probs, CropSettings(margins=(1.2, 2.0, 3.0), least=0.05), PIXELS)
    heights = [sides(crop)[0] for crop in crops]
    assert heights == sorted(heights)
    assert heights[0] == pytest.approx(24, abs=2)
    assert heights[2] == pytest.approx(60, abs=2)


def test_a_small_object_still_has_surroundings():
    (crop,) = object_crops(probs_with((58, 98, 63, 103)), CropSettings(margins=(1.5,), least=0.5), PIXELS)
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
    assert all(inside(crop).all() for crop in object_crops(probs, CropSettings(), PIXELS))


def test_crops_are_never_very_steep_or_very_flat():
    for box in ((10, 100, 110, 104), (60, 5, 64, 195)):
        (crop,) = object_crops(probs_with(box), CropSettings(margins=(1.0,), least=0.01), PIXELS)
        height, width = sides(crop)
        assert 0.75 < width / height < 2.1


@pytest.mark.parametrize("box", [(50, 90, 70, 110), (5, 5, 115, 195), (40, 60, 80, 140)])
def test_every_crop_enters_the_network_with_about_as_many_pixels(box):
    pixels = 1200 * 2000  # so many that steps matter little
    (crop,) = object_crops(probs_with(box), CropSettings(margins=(1.8,), enlarge=100.0, least=0.01), pixels)
    assert crop.size_hw[0] * crop.size_hw[1] == pytest.approx(pixels, rel=0.1)
    assert crop.size_hw[0] / crop.size_hw[1] == pytest.approx(sides(crop)[0] / sides(crop)[1], rel=0.1)


@pytest.mark.parametrize("pixels", [PIXELS, 480 * 270, 854 * 480])
def test_sides_are_rounded_to_the_nearest_step(pixels):
    probs = probs_with((40, 60, 80, 140))
    (crop,) = object_crops(probs, CropSettings(margins=(1.8,), enlarge=100.0, least=0.01), pixels)
    scale = (pixels / (sides(crop)[0] * sides(crop)[1])) ** 0.5
    for side, exact in zip(crop.size_hw, (scale * side for side in sides(crop)), strict=True):
        assert abs(side - max(STEP, exact)) <= STEP / 2


def test_pixels_are_enlarged_no_more_than_allowed():
    """But for the rounding."""
    (crop,) = object_crops(
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
    cut = crop.cut(maps)
    assert (cut.shape, cut.dtype) == ((2, *size_hw), np.float32)
    back = crop.paste(cut, SIZE_HW)
    assert (back.shape, back.dtype) == ((2, *SIZE_HW), np.float32)
    assert np.abs(back - maps)[:, inside(crop)].max() < 0.02
    assert not back[:, ~inside(crop)].any()


def test_images_and_maps_are_cut_alike():
    crop = ObjectCrop(slice(20, 80), slice(100, 180), (45, 60))
    maps = smooth(1)
    image = np.repeat((maps[0] * 255).astype(np.uint8)[..., None], 3, axis=2)
    cut = crop.cut_image(image)
    assert (cut.shape, cut.dtype) == ((45, 60, 3), np.uint8)
    assert np.abs(cut[..., 1] / 255 - crop.cut(maps)[0]).max() < 0.01


def test_pixels_of_the_input_are_those_of_a_wide_frame():
    assert input_pixels(480) == 480 * 270
    assert input_pixels(256) == 256 * 144


def pixels_of(window):
    return slice(16 * window.rows.start, 16 * window.rows.stop), slice(
        16 * window.columns.start, 16 * window.columns.stop
    )


@settings(deadline=None)
@given(st.data())
def test_a_window_holds_its_object_and_lies_in_the_crop(data):
    size_hw = (112 * data.draw(st.integers(1, 3)), 112 * data.draw(st.integers(1, 4)))
    boxes = []
    for _ in range(data.draw(st.integers(2, 4))):
        height, width = data.draw(st.integers(5, size_hw[0])), data.draw(st.integers(5, size_hw[1]))
        top = data.draw(st.integers(0, size_hw[0] - height))
        left = data.draw(st.integers(0, size_hw[1] - width))
        boxes.append((top, left, top + height, left + width))
    probs = probs_with(*boxes, size_hw=size_hw)
    for mask, window in zip(probs > 0.5, object_windows(probs, 1.5), strict=True):
        rows, columns = pixels_of(window)
        assert 0 <= rows.start < rows.stop <= size_hw[0]
        assert 0 <= columns.start < columns.stop <= size_hw[1]
        assert mask[rows, columns].sum() == mask.sum()


def test_a_window_grows_with_the_object_and_the_margin():
    size_hw = (448, 448)
    small, large = (160, 160, 240, 240), (64, 64, 384, 384)

    def side(box, margin):
        rows, _ = pixels_of(object_windows(probs_with(box, small, size_hw=size_hw), margin)[0])
        return rows.stop - rows.start

    assert side(small, 2.0) == pytest.approx(160, abs=32)
    assert side(small, 1.0) == pytest.approx(112, abs=32)
    assert side(large, 1.2) == pytest.approx(384, abs=32)
    assert side(large, 2.0) == 448


def test_an_object_whose_place_is_unknown_is_looked_for_in_the_whole_crop():
    probs = probs_with((40, 40, 90, 90), None, size_hw=(224, 336))
    probs[1] = 0.5
    near, anywhere = object_windows(probs, 2.0)
    assert pixels_of(anywhere) == (slice(0, 224), slice(0, 336))
    assert pixels_of(near)[1].stop < 336


def test_a_single_object_needs_no_window():
    assert object_windows(probs_with((40, 40, 90, 90), size_hw=(224, 336)), 2.0) is None
