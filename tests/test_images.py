import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from dextr_vos.errors import InputError
from dextr_vos.images import SUFFIXES, image_size, read_image, write_image
from dextr_vos.masks import read_labels
from dextr_vos.pixel_levels import LevelRange

COLOURS = np.linspace(0, 255, 4 * 6 * 3).reshape(4, 6, 3).astype(np.uint8)


def save(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tiff", ".bmp"])
def test_lossless_formats_keep_every_value(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    path = save(tmp_path / f"a{suffix}", Image.fromarray(COLOURS), **options)
    assert (read_image(path) == COLOURS).all()


def test_jpeg_is_close(tmp_path: Path) -> None:
    smooth = np.full((16, 16, 3), (200, 90, 40), dtype=np.uint8)
    path = save(tmp_path / "a.jpg", Image.fromarray(smooth), quality=95)
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 3


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    image = read_image(save(tmp_path / "a.png", Image.fromarray(COLOURS[..., 0])))
    assert image.shape == (4, 6, 3)
    assert (image == COLOURS[..., :1]).all()


def test_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = np.dstack([COLOURS, np.full((4, 6), 7, dtype=np.uint8)])
    assert (read_image(save(tmp_path / "a.png", Image.fromarray(rgba))) == COLOURS).all()


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bits_keep_the_upper_byte(tmp_path: Path, suffix: str) -> None:
    deep = COLOURS[..., 0].astype(np.uint16) * 256 + 77
    image = read_image(save(tmp_path / f"a{suffix}", Image.fromarray(deep)))
    assert image.dtype == np.uint8
    assert (image == COLOURS[..., :1]).all()


def test_palette_becomes_colour(tmp_path: Path) -> None:
    indexed = Image.fromarray(COLOURS).quantize(24)
    assert (read_image(save(tmp_path / "a.png", indexed)) == np.array(indexed.convert("RGB"))).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff", ".webp"])
def test_exif_rotation_is_applied(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, :16] = 250
    path = save(tmp_path / f"a{suffix}", Image.fromarray(wide), exif=exif)
    image = read_image(path)
    assert image.shape == (32, 16, 3)
    assert image[:8].mean() > 200
    assert image[-8:].mean() < 50
    assert image_size(path) == (32, 16)


def test_float_tiff_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tiff", Image.fromarray(np.ones((4, 4), dtype=np.float32)))
    with pytest.raises(InputError, match=r"a\.tiff holds floating-point"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_images_are_written(tmp_path: Path, suffix: str) -> None:
    smooth = np.full((16, 24, 3), (200, 90, 40), dtype=np.uint8)
    path = tmp_path / "new" / f"a{suffix}"
    write_image(path, smooth)
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 6
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_narrow_range_of_sixteen_bits_is_stretched(tmp_path: Path) -> None:
    levels = np.linspace(1000, 5095, 24).reshape(4, 6).astype(np.uint16)
    image = read_image(save(tmp_path / "a.png", Image.fromarray(levels)))
    assert np.array_equal(image[..., 0], np.round((levels - 1000.0) * 255 / 4095))
    assert np.array_equal(read_image(tmp_path / "a.png", LevelRange(0, 0xFFFF))[..., 0], levels >> 8)
    assert int(read_image(tmp_path / "a.png", LevelRange(0, 8190)).max()) == 159


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("shift", [4, 8])
def test_colours_of_sixteen_bits(tmp_path: Path, suffix: str, shift: int) -> None:
    """12 and 16 bits show the same."""
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), COLOURS[..., ::-1].astype(np.uint16) << shift)
    assert np.abs(read_image(path).astype(int) - COLOURS).max() <= (1 if shift == 4 else 0)


def test_values_of_8_bits_in_a_deep_file_stay_as_they_are(tmp_path: Path) -> None:
    for mode in (np.uint16, np.int32):
        path = save(tmp_path / "a.tiff", Image.fromarray((COLOURS[..., 0] // 2).astype(mode)))
        assert np.array_equal(read_image(path)[..., 0], COLOURS[..., 0] // 2)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".ppm", ".avif"])
def test_other_names_of_images(tmp_path: Path, suffix: str) -> None:
    if suffix not in SUFFIXES:
        pytest.skip("this Pillow does not read AVIF")
    smooth = np.full((16, 24, 3), (200, 90, 40), dtype=np.uint8)
    path = save(tmp_path / f"a{suffix}", Image.fromarray(smooth), quality=95)
    assert np.abs(read_image(path).astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("side", [9000, 12_000, 20_000])
def test_too_large_images_are_refused_before_they_are_decoded(tmp_path: Path, side: int) -> None:
    path = save(tmp_path / "a.png", Image.new("1", (1, 1)))
    content = path.read_bytes()
    header = b"IHDR" + side.to_bytes(4, "big") * 2 + content[24:29]
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    for use in (read_image, image_size):
        with pytest.raises(InputError, match=r"a\.png .*(81|144|400) million.*; expected at most 67 million"):
            use(path)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 6 4\n%%EndComments\nshowpage\n%%EOF\n"


def test_only_the_formats_of_frames_are_decoded_whatever_a_file_is_called(tmp_path: Path) -> None:
    """Pillow starts Ghostscript for PostScript."""
    (tmp_path / "a.png").write_bytes(EPS)
    with pytest.raises(InputError, match=r"a\.png: it is not an image"):
        image_size(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: it is no image"):
        read_labels(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "TGA", "JPEG2000"])
def test_a_file_may_be_of_another_format_than_it_is_called(kind: str, tmp_path: Path) -> None:
    Image.fromarray(COLOURS).save(tmp_path / "a.png", format=kind)
    assert read_image(tmp_path / "a.png").shape == COLOURS.shape
