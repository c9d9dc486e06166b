"""What masks of other programs mean; each kind is saved and read."""

import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.masks import read_labels, voc_palette

VOC = voc_palette().tolist()
YOUTUBE_VOS = [[0, 0, 0], [236, 95, 103], [249, 145, 87], [250, 200, 99], [153, 199, 148]]
YOUTUBE_VOS += [[98, 179, 178], [102, 153, 204], [197, 148, 197], [171, 121, 103], [255, 255, 255]]
GREY = [[level] * 3 for level in range(256)]
BLACK, WHITE, RED, GREEN, BLUE = GREY[0], GREY[255], VOC[1], VOC[2], VOC[4]


def read(tmp_path, values, suffix=".png", **options):
    Image.fromarray(np.array(values)).save(tmp_path / f"a{suffix}", **options)
    return read_labels(tmp_path / f"a{suffix}")


def grey(*levels):
    return np.array([levels], dtype=np.uint8)


@pytest.mark.parametrize("kind", [np.uint16, np.int32, np.float32])
@pytest.mark.parametrize("values", [[0, 1, 2], [0, 2], [0, 100], [0, 65, 200], [0, 254, 255], [7]])
def test_values_of_deep_images_are_object_numbers(tmp_path, kind, values):
    suffix = ".png" if kind == np.uint16 else ".tif"
    assert read(tmp_path, np.array([values], dtype=kind), suffix).tolist() == [values]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0, 1001, 1002], "holds the values 0, 1001 and 1002, expected object numbers from 0 to 254"),
        (
            list(range(0, 3000, 300)),
            r"0, 300, 600, 900, … 2700 \(10 in all\).* give its objects lower numbers",
        ),
        ([-1, 0, 3], "-1, 0 and 3"),
        ([0, 0.5], "holds fractions"),
    ],
)
def test_numbers_that_no_object_can_have_are_named(tmp_path, values, words):
    kind = np.float32 if 0.5 in values else np.int32
    with pytest.raises(InputError, match=words):
        read(tmp_path, np.array([values], dtype=kind), ".tif")


@pytest.mark.parametrize("levels", [(0, 128), (0, 254), (0, 65), (16, 235), (100, 255)])
def test_two_grey_levels_are_background_and_object(tmp_path, levels):
    assert read(tmp_path, grey(*levels)).tolist() == [[0, 1]]
    assert read(tmp_path, np.dstack([grey(*levels)] * 3)).tolist() == [[0, 1]]


def test_two_small_numbers_stay_object_numbers(tmp_path):
    assert read(tmp_path, grey(0, 2)).tolist() == [[0, 2]]
    assert read(tmp_path, grey(1, 2)).tolist() == [[1, 2]]


def test_a_trimap_is_refused_with_its_levels(tmp_path):
    words = (
        "holds the grey levels 0, 128 and 255, expected two .*; give each object its number, and 255 to what"
    )
    with pytest.raises(InputError, match=words):
        read(tmp_path, grey(0, 128, 255))


def indexed(tmp_path, indices, palette, **options):
    image = Image.fromarray(grey(*indices))
    image.putpalette([level for colour in palette for level in colour])
    image.save(tmp_path / "a.png", **options)
    return read_labels(tmp_path / "a.png").ravel().tolist()


@pytest.mark.parametrize(
    ("palette", "indices", "expected"),
    [
        ([GREEN, RED, BLACK], [2, 1, 0], [0, 1, 2]),
        ([BLACK, GREEN, RED], [0, 1, 2], [0, 2, 1]),
        ([BLACK, BLUE], [0, 1], [0, 4]),
        ([YOUTUBE_VOS[9], YOUTUBE_VOS[2], BLACK], [2, 1, 0], [0, 2, 9]),
        ([WHITE, BLACK], [1, 0], [0, 1]),
        ([GREY[128], BLACK], [1, 0], [0, 1]),
    ],
)
def test_a_palette_in_another_order_is_read_by_its_colours(tmp_path, palette, indices, expected):
    assert indexed(tmp_path, indices, palette) == expected


@pytest.mark.parametrize(
    ("palette", "indices"),
    [
        (VOC, [0, 1, 255]),
        (VOC[:22] + GREY[22:], [0, 1, 64, 128]),
        (VOC[:22] + GREY[22:], [0, 255]),
        (YOUTUBE_VOS, [0, 1, 9]),
        (YOUTUBE_VOS, [0, 9]),
        ([[10, 200, 30], [200, 10, 30], [3, 2, 1]], [0, 1, 2]),
        (GREY, [0, 1, 7]),
        ([BLACK, GREY[128]], [0, 1]),
        ([BLACK, [255, 0, 0], BLACK], [0, 1, 2]),
    ],
)
def test_other_palettes_leave_indices_as_they_are(tmp_path, palette, indices):
    assert indexed(tmp_path, indices, palette) == indices


def test_a_palette_that_could_mean_two_things_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"black, the usual background, has the index 2.*save it with black"):
        indexed(tmp_path, [2, 1, 0], [[255, 0, 0], [0, 255, 0], BLACK])


@pytest.mark.parametrize(
    ("palette", "indices", "alpha", "expected"),
    [
        ([WHITE, WHITE], [0, 1], [0, 255], [0, 1]),
        ([WHITE, WHITE], [1, 0], [255, 0], [0, 1]),
        ([WHITE, [9, 9, 200], [200, 9, 9]], [0, 1, 2], [0], [0, 1, 2]),
        (VOC[:3], [0, 2], [0], [0, 2]),
    ],
)
def test_transparent_entries_of_a_palette(tmp_path, palette, indices, alpha, expected):
    assert indexed(tmp_path, indices, palette, transparency=bytes(alpha)) == expected


def rgba(*colours):
    return np.array([colours], dtype=np.uint8)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (rgba((255, 255, 255, 0), (255, 255, 255, 255)), [0, 1]),
        (rgba((0, 0, 0, 0), (0, 0, 0, 255)), [0, 1]),
        (rgba((9, 99, 9, 0), (9, 99, 9, 128)), [0, 1]),
        (rgba((0, 0, 0, 0), (200, 10, 10, 255)), [0, 1]),
        (rgba((255, 255, 255, 0), (0, 0, 0, 255)), [0, 1]),
        (rgba((0, 0, 0, 0), (0, 128, 0, 255)), [0, 2]),
        (rgba((7, 7, 7, 0), (128, 0, 0, 255), (0, 128, 0, 255), (0, 0, 0, 255)), [0, 1, 2, 0]),
        (rgba((0, 0, 0, 9), (255, 255, 255, 8)), [0, 1]),
        (rgba((0, 0, 0, 0), (255, 255, 255, 0)), [0, 1]),
    ],
)
def test_a_mask_in_the_alpha_channel(tmp_path, image, expected):
    assert read(tmp_path, image).ravel().tolist() == expected


def test_grey_with_alpha(tmp_path):
    Image.fromarray(rgba((255, 255, 255, 0), (255, 255, 255, 255))).convert("LA").save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 1]]


def test_a_soft_alpha_channel_is_refused(tmp_path):
    image = rgba(*((255, 255, 255, level) for level in range(0, 256, 15)))
    with pytest.raises(InputError, match="looks anti-aliased"):
        read(tmp_path, image)


def test_a_cut_out_photograph_is_refused(tmp_path):
    with pytest.raises(InputError, match="colours are not the PASCAL VOC palette"):
        read(tmp_path, rgba((0, 0, 0, 0), (200, 10, 10, 255), (90, 120, 7, 255)))
