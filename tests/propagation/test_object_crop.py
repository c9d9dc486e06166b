import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dextr_vos.propagation.object_crop import CropSettings, ObjectCrop, input_pixels, object_crops

SIZE_HW = (120, 200)
PIXELS = 60 * 100


def probs_with(*boxes, size_hw=SIZE_HW):
    """An object a box: top, left, bottom, right; none of it where there is no box."""
    probs = np.zeros((len(boxes), *size_hw), np.float32)
    for each, box in zip(probs, boxes, strict=True):
        if box is not None:
            each[box[0] : box[2], box[1] : box[3]] = 0.9
    return probs


def sides(window):
    return window.rows.stop - window.rows.start, window.columns.stop - window.columns.start


def inside(window):
    mask = np.zeros(SIZE_HW, bool)
    mask[window.rows, window.columns] = True
    return mask


@settings(deadline=None)
@given(st.data())
def test_a_window_holds_all_objects_and_lies_in_the_frame(data):
    boxes = []
    for _ in range(data.draw(st.integers(1, 3))):
        top, left = data.draw(st.integers(0, 100)), data.draw(st.integers(0, 180))
        height, width = data.draw(st.integers(5, 119 - top)), data.draw(st.integers(5, 199 - left))
        boxes.append((top, left, top + height, left + width))
    probs = probs_with(*boxes)
    zoom = CropSettings(margins=(data.draw(st.sampled_from([1.0, 1.8, 4.0])),))
    (window,) = object_crops(probs, zoom, PIXELS)
    assert 0 <= window.rows.start < window.rows.stop <= SIZE_HW[0]
    assert 0 <= window.columns.start < window.columns.stop <= SIZE_HW[1]
    assert not ((probs > 0.5).any(0) & ~inside(window)).any()
    assert min(window.size_hw) >= 32


def test_a_larger_margin_shows_more_around_the_object():
    probs = probs_with((50, 90, 70, 110))
    windows = object_crops(probs, CropSettings(margins=(1.2, 2.0, 3.0), least=0.05), PIXELS)
    heights = [sides(window)[0] for window in windows]
    assert heights == sorted(heights)
    assert heights[0] == pytest.approx(24, abs=2)
    assert heights[2] == pytest.approx(60, abs=2)


def test_a_small_object_still_has_surroundings():
    (window,) = object_crops(probs_with((58, 98, 63, 103)), CropSettings(margins=(1.5,), least=0.5), PIXELS)
    height, width = sides(window)
    assert height >= 59
    assert width >= 99


@pytest.mark.parametrize(
    "probs",
    [
        probs_with(None),
        probs_with(None, None),
        probs_with((10, 10, 13, 13)),  # nine pixels say nothing
        np.full((1, *SIZE_HW), 0.5, np.float32),
    ],
)
def test_where_nothing_is_to_be_seen_the_window_is_the_whole_frame(probs):
    assert all(inside(window).all() for window in object_crops(probs, CropSettings(), PIXELS))


def test_windows_are_never_very_steep_or_very_flat():
    for box in ((10, 100, 110, 104), (60, 5, 64, 195)):
        (window,) = object_crops(probs_with(box), CropSettings(margins=(1.0,), least=0.01), PIXELS)
        height, width = sides(window)
        assert 0.75 < width / height < 2.1


@pytest.mark.parametrize("box", [(50, 90, 70, 110), (5, 5, 115, 195), (40, 60, 80, 140)])
def test_the_network_sees_about_as_many_pixels_whatever_the_window(box):
    (window,) = object_crops(probs_with(box), CropSettings(margins=(1.8,), enlarge=100.0, least=0.01), PIXELS)
    assert window.size_hw[0] * window.size_hw[1] == pytest.approx(PIXELS, rel=0.1)
    assert window.size_hw[0] / window.size_hw[1] == pytest.approx(
        sides(window)[0] / sides(window)[1], rel=0.1
    )


def test_pixels_are_enlarged_no_more_than_allowed():
    (window,) = object_crops(
        probs_with((50, 80, 80, 120)), CropSettings(margins=(1.8,), enlarge=1.2, least=0.01), 10**6
    )
    assert window.size_hw[0] == pytest.approx(1.2 * sides(window)[0], abs=1)


def smooth(count, size_hw=SIZE_HW):
    ys, xs = np.indices(size_hw, dtype=np.float32)
    return np.stack([0.5 + 0.4 * np.sin(xs / 17 + number) * np.cos(ys / 13) for number in range(count)])


@pytest.mark.parametrize("size_hw", [(60, 80), (40, 54), (90, 120)])
def test_what_is_cut_out_goes_back_where_it_was(size_hw):
    window = ObjectCrop(slice(20, 80), slice(100, 180), size_hw)
    maps = smooth(2)
    cut = window.cut(maps)
    assert (cut.shape, cut.dtype) == ((2, *size_hw), np.float32)
    back = window.paste(cut, SIZE_HW)
    assert (back.shape, back.dtype) == ((2, *SIZE_HW), np.float32)
    assert np.abs(back - maps)[:, inside(window)].max() < 0.02
    assert not back[:, ~inside(window)].any()


def test_pictures_and_maps_are_cut_alike():
    window = ObjectCrop(slice(20, 80), slice(100, 180), (45, 60))
    maps = smooth(1)
    image = np.repeat((maps[0] * 255).astype(np.uint8)[..., None], 3, axis=2)
    cut = window.cut_image(image)
    assert (cut.shape, cut.dtype) == ((45, 60, 3), np.uint8)
    assert np.abs(cut[..., 1] / 255 - window.cut(maps)[0]).max() < 0.01


def test_pixels_of_the_input_are_those_of_a_wide_frame():
    assert input_pixels(480) == 480 * 270
    assert input_pixels(256) == 256 * 144
